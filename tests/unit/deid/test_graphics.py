"""Clean Graphics: shapes stay, writing goes, by hand or typed; what cannot be read goes, and the option is claimed."""

import pydicom
import pytest
from pydicom.sequence import Sequence

from appliance.deid.ruleset import load_rules
from tests.make import make
from tests.make.deidentified import passed

LINE, OUTLINE = [1.0, 2.0, 3.0, 4.0], [1.0, 1.0, *[5.0] * 20, 1.0, 1.0]
WRITING = [float(number) for number in range(40)]


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def drawn(kind, points, **more):
    item = pydicom.Dataset()
    item.GraphicAnnotationUnits, item.GraphicDimensions, item.GraphicFilled = "PIXEL", 2, "N"
    item.NumberOfGraphicPoints, item.GraphicData = len(points) // 2, points
    if kind:
        item.GraphicType = kind
    return item


@pytest.mark.parametrize(
    ("kind", "points", "stays"),
    [("POLYLINE", LINE, True), ("POLYLINE", OUTLINE, True), ("CIRCLE", LINE, True), ("POINT", LINE[:2], True),
     ("INTERPOLATED", WRITING, False), ("POLYLINE", WRITING, False), ("LETTERS", LINE, False), ("", LINE, False)],
)  # fmt: skip
@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN])
def test_shapes_stay_and_what_may_be_handwriting_does_not(kind, points, stays, syntax, rules):
    data = make.presentation_state()
    data.GraphicAnnotationSequence[0].GraphicObjectSequence = Sequence([drawn(kind, points)])

    result = passed(data, rules, syntax).GraphicAnnotationSequence[0].GraphicObjectSequence[0]

    assert list(result.GraphicData) == (points if stays else [0.0] * len(points))
    assert result.NumberOfGraphicPoints == len(points) // 2


def test_texts_keep_medical_words_and_labels_that_are_referred_to_stay_alike(rules):
    data = make.presentation_state(ContentLabel="BERTAS", ContentDescription="Lung nodule of Berta")
    data.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue = "nodule 5 mm? Berta"
    data.GraphicAnnotationSequence[0].GraphicLayer = data.GraphicLayerSequence[0].GraphicLayer = "BERTA 1"
    data.GraphicLayerSequence[0].GraphicLayerDescription = "by Berta"

    result = passed(data, rules)

    annotation, layer = result.GraphicAnnotationSequence[0], result.GraphicLayerSequence[0]
    assert annotation.TextObjectSequence[0].UnformattedTextValue == "nodule 5 mm"
    assert annotation.GraphicLayer == layer.GraphicLayer != "BERTA 1"
    assert "BERTA" not in result.ContentLabel
    assert result.ContentDescription == "Lung nodule of"
    assert layer.get("GraphicLayerDescription", "") == "by"
    assert "113103" in [code.CodeValue for code in result.DeidentificationMethodCodeSequence]


def test_overlays_and_curves_go_with_their_texts_for_nobody_reads_their_bits(rules):
    data = make.presentation_state()
    data.add_new(0x60003000, "OW", bytes(8))
    data.add_new(0x60000022, "LO", "lung")
    data.add_new(0x50003000, "OW", bytes(8))

    result = passed(data, rules)

    assert not [element for element in result if element.tag.group in (0x5000, 0x6000)]
