"""The instance query: every operator on every kind of element, and what is refused."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.dicom import part10
from appliance.dicom.element import Bulk, DataSet, Element
from appliance.dicom.query import EVERYTHING, BadQuery, Both, Condition, Either, Operator, parse_query
from tests.make import make


def the_instance(syntax: str = make.EXPLICIT) -> part10.Part10:
    data = make.instance(make.CT, "CT", patient="Müller^Änne")
    data.AccessionNumber = ""
    data.Rows, data.ImageType = 512, ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.PixelSpacing, data.WindowCenter = ["0.5", "0.75"], "-40"
    data.ReferencedStudySequence = Sequence([])
    inner, empty = Dataset(), Dataset()
    inner.ReferencedSOPInstanceUID, inner.ReferencedFrameNumber = "1.2.3", ["1", "7"]
    empty.ReferencedSOPInstanceUID = ""
    data.ReferencedImageSequence = Sequence([inner, empty])
    data.FrameIncrementPointer = 0x00181063
    data.AcquisitionDuration = 2.5
    data.RecommendedDisplayFrameRateInFloat = 0.1
    return part10.read(io.BytesIO(make.file(data, syntax)))


# For each kind of element: the number and the text it is compared with, and the operators that are true of it.
TRUTH = {
    # missing, at the top, in items, behind a missing sequence
    "PatientComments": ("7", "x", set()),
    "ReferencedImageSequence.PatientName": ("7", "x", set()),
    "SourceImageSequence.PatientName": ("7", "x", set()),
    # empty text, empty sequence
    "AccessionNumber": ("0", "x", {"Exists", "Empty"}),
    "ReferencedStudySequence": ("0", "x", {"Exists", "Empty"}),
    # one value: text, decimal string, negative, binary, float
    "Modality": ("7", "ct", {"Exists", "StrEquals"}),
    "InstanceNumber": ("1", "1", {"Exists", "NbEquals", "StrEquals"}),
    "WindowCenter": ("-40", "-40", {"Exists", "NbEquals", "StrEquals"}),
    "Rows": ("512.0", "512", {"Exists", "NbEquals", "StrEquals"}),
    "AcquisitionDuration": ("2.5", "2.5", {"Exists", "NbEquals", "StrEquals"}),
    # many values: any of them
    "ImageType": ("7", "primary", {"Exists", "StrEquals"}),
    "PixelSpacing": ("0.6", "0.75", {"Exists", "NbGreater", "NbLess", "StrEquals"}),
    # in items: any of them, the empty one too
    "ReferencedImageSequence": ("7", "x", {"Exists"}),
    "ReferencedImageSequence.ReferencedSOPInstanceUID": ("7", "1.2.3", {"Exists", "Empty", "StrEquals"}),
    "ReferencedImageSequence.ReferencedFrameNumber": ("5", "7", {"Exists", "NbGreater", "NbLess", "StrEquals"}),
    # an attribute tag is its eight digits
    "FrameIncrementPointer": ("7", "00181063", {"Exists", "StrEquals"}),
}
OPPOSITES = {"Exists": "NotExists", "Empty": "NotEmpty", "NbEquals": "NbNotEquals", "StrEquals": "StrNotEquals"}


@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN])
@pytest.mark.parametrize("operator", ["Exists", "Empty", "NbEquals", "NbGreater", "NbLess", "StrEquals"])
@pytest.mark.parametrize("tag", TRUTH)
def test_every_operator_is_true_of_what_the_table_says_and_its_opposite_of_all_else(
    tag: str, operator: str, syntax: str
) -> None:
    number, text, true = TRUTH[tag]
    value = {"N": f" {number}", "S": f' "{text}"'}.get(operator[0], "")
    instance = the_instance(syntax).dataset

    assert parse_query(f"{tag} {operator}{value}").matches(instance) == (operator in true)
    if operator in OPPOSITES:
        assert parse_query(f"{tag} {OPPOSITES[operator]}{value}").matches(instance) == (operator not in true)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", True),
        ("   ", True),
        ("Modality StrEquals CT", True),
        ("modality", None),
        ("Modality strequals ct AND Rows nbgreater 511", True),
        ("Modality StrEquals MR AND Rows NbGreater 1 OR Rows NbEquals 512", True),
        ("Modality StrEquals MR AND (Rows NbGreater 1 OR Rows NbEquals 512)", False),
        ("(Modality StrEquals CT) AND Rows NbGreater 1", True),
        ("((Modality StrEquals CT))", True),
        ("Modality StrEquals MR or (Rows NbLess 1)", False),
        ('PatientName StrEquals "müller^Änne"', True),
        ('PatientName StrEquals "MÜLLER*"', True),
        ("PatientName StrEquals M*nne", True),
        ("PatientName StrEquals M", False),
        ("StudyInstanceUID StrEquals 1.2.826.*", True),
        ("StudyInstanceUID StrEquals 1x2*", False),
        ('StudyDescription StrEquals "Study of something"', True),
        ('StudyDescription StrEquals "(Study)*"', False),
        ('AccessionNumber StrEquals ""', True),
        ("AccessionNumber StrEquals *", True),
        ("PatientComments StrEquals *", False),
        ("00080060 StrEquals CT", True),
        ("Modality StrEquals AND", False),
        ("Modality StrNotEquals or AND Modality StrEquals CT", True),
        ("TransferSyntaxUID StrEquals 1.2.840.10008.1.2.1", True),
        ("RecommendedDisplayFrameRateInFloat NbEquals 0.1", True),
        ("WindowCenter NbLess -39.5", True),
        ("Rows NbEquals 5.12e2", True),
    ],
)
def test_a_query_matches(query: str, expected: bool | None) -> None:
    instance = the_instance()

    if expected is None:
        with pytest.raises(BadQuery):
            parse_query(query)
    else:
        assert parse_query(query).matches(instance.dataset, instance.meta) is expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("Modality", "ends where one of Exists"),
        ("Modality Is CT", "character 10"),
        ("Modalty StrEquals CT", "no 'Modalty'"),
        ("Modality StrEquals", "ends where the value"),
        ("Modality StrEquals (CT)", "value of StrEquals"),
        ('Modality StrEquals "CT', "not closed"),
        ("Rows NbGreater many", "a number"),
        ("Rows NbGreater 0x10", "a number"),
        ("Rows NbGreater nan", "a number"),
        ("(Rows Exists", r"AND, OR or '\)'"),
        ("Rows Exists)", "AND, OR or the end"),
        ("Rows Exists Columns Exists", "AND, OR or the end"),
        ("Rows Exists AND", "ends where a keyword"),
        ("AND Rows Exists", "keyword"),
        ("NOT Rows Exists", "keyword"),
        ('"Rows" Exists', "a keyword or tag"),
        ("Rows..Columns Exists", "keyword"),
        ("OverlayRows Exists", "many groups"),
        ("(" * 60 + "Rows Exists" + ")" * 60, "no more than 50"),
    ],
)
def test_what_is_no_query_is_refused_with_the_place_and_what_was_expected(query: str, words: str) -> None:
    with pytest.raises(BadQuery, match=words):
        parse_query(query)


_conditions = (
    st.builds(
        Condition,
        st.lists(
            st.sampled_from([0x00080060, 0x00100010, 0x00091001, 0x60000010, 0x00280010]), min_size=1, max_size=3
        ).map(tuple),
        st.sampled_from([Operator.EXISTS, Operator.NOT_EXISTS, Operator.EMPTY, Operator.NOT_EMPTY]),
    )
    | st.builds(
        Condition,
        st.just((0x00100010,)),
        st.sampled_from([Operator.STR_EQUALS, Operator.STR_NOT_EQUALS]),
        st.text().filter(lambda text: '"' not in text),
    )
    | st.builds(
        Condition,
        st.just((0x00280010,)),
        st.sampled_from([Operator.NB_EQUALS, Operator.NB_GREATER]),
        st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9),
    )
)
_queries = st.recursive(
    _conditions,
    lambda inner: (
        st.builds(Both, st.lists(inner, min_size=2, max_size=3).map(tuple))
        | st.builds(Either, st.lists(inner, min_size=2, max_size=3).map(tuple))
    ),
    max_leaves=8,
)


@given(_queries)
def test_a_query_that_was_written_down_is_read_as_the_same(query: Both | Either | Condition) -> None:
    assert parse_query(str(query)) == query


@given(st.text())
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        query = parse_query(text)
    except BadQuery:
        return
    query.matches(DataSet())


def test_no_query_is_every_instance() -> None:
    assert parse_query("") is EVERYTHING
    assert EVERYTHING.matches(DataSet())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Rows NbEquals 7", True),
        ("AcquisitionDuration NbEquals 7", False),
        ("AcquisitionDuration NbLess 7", False),
        ("EncapsulatedDocument NotEmpty", True),
        ("EncapsulatedDocument StrEquals *", False),
        ("EncapsulatedDocument NbNotEquals 1", True),
        ("PixelData Empty", False),
        ("PixelData NbGreater 0", False),
    ],
)
def test_bytes_have_no_value_and_a_public_element_in_unknown_has_its_own(query: str, expected: bool) -> None:
    elements = [
        Element(0x00280010, "UN", b"\7\0"),
        Element(0x00189073, "FD", b"\0\0\0\0\0\0\xf8\x7f"),  # not a number
        Element(0x00420011, "OB", b"ab"),
        Element(0x7FE00010, "OW", Bulk(0, 100)),
    ]

    assert parse_query(query).matches(DataSet({element.tag: element for element in elements})) is expected
