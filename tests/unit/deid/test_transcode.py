"""Another transfer syntax by rule: the same pixels and the same values, or a reason."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified, Refused
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.reasons import Reason
from tests.make import images, make
from tests.make.deidentified import outcome_of, rules_from, written

TARGETS = [*images.NATIVE, *images.LOSSLESS, images.JPEG_LS_NEAR, images.JPEG_2000_LOSSY, images.HTJ2K]
NOBODY_LOOKS = ["burned-in-risk"]  # the images are secondary captures
LEFT = [*NOBODY_LOOKS, "identifier-left"]


@pytest.fixture
def rules(tmp_path):
    def into(syntax: str, profile: str = "Basic"):
        return rules_from(
            f"Profile: {profile}\nTransformations: [{{Scope: {{Labels: ALL}}, Transcode: {syntax}}}]\n", tmp_path
        )

    return into


def with_numbers(data: Dataset) -> Dataset:
    """Numbers of every width, in a sequence and as a large value too."""
    data.add_new(0x00280106, "SS" if data.PixelRepresentation else "US", 7)
    data.FrameIncrementPointer = 0x00181063
    data.PositionerMotion = "STATIC"
    data.add_new(0x00189305, "FD", 1.25)
    inner = Dataset()
    inner.LUTDescriptor, inner.LUTData = [4096, 0, 16], np.arange(4096, dtype="<u2").tobytes()
    data.VOILUTSequence = Sequence([inner])
    data.add_new(0x00189087, "FD", 2.5)
    return data


def kept(body: bytes, rules) -> bytes:
    """The file written under rules that leave everything as it is."""
    return written(body, rules, accepted=LEFT)


def frames_of(body: bytes) -> list[np.ndarray]:
    reader = FrameReader(part10.read(io.BytesIO(body)))
    return [reader.frame(n) for n in range(reader.form.frames)]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        *((make.IMPLICIT, target) for target in TARGETS if target != make.IMPLICIT),
        *((make.BIG_ENDIAN, target) for target in (make.EXPLICIT, make.RLE, make.JPEG_2000)),
        *((source, make.BIG_ENDIAN) for source in (make.RLE, images.JPEG_LOSSLESS_SV1, make.JPEG_2000)),
    ],
)
@pytest.mark.parametrize("form", [{"allocated": 16, "stored": 12, "signed": True}, {"photometric": "RGB"}], ids=str)
def test_pixels_stay_bit_by_bit_whatever_the_syntaxes(form, source, target, rules):
    image = images.image(frames=2, **form)
    body = images.uncompressed(image, source) if source in images.NATIVE else images.compressed(image, source)

    result = written(body, rules(target), accepted=NOBODY_LOOKS)

    assert str(pydicom.dcmread(io.BytesIO(result)).file_meta.TransferSyntaxUID) == target
    assert all(np.array_equal(new, old) for new, old in zip(frames_of(result), image.frames, strict=True))


@pytest.mark.parametrize("target", [make.BIG_ENDIAN, make.EXPLICIT, make.IMPLICIT, make.RLE])
def test_numbers_keep_their_values_in_the_other_byte_order(target, rules):
    data = with_numbers(images.image(allocated=16, signed=True).data)

    there = kept(make.file(data), rules(make.BIG_ENDIAN, "none"))
    back = pydicom.dcmread(io.BytesIO(kept(there, rules(target, "none"))))

    turned = pydicom.dcmread(io.BytesIO(there))
    for result in (turned, back):
        for tag in (0x00280106, 0x00189305, 0x00189087, 0x00280009, 0x00280010, 0x00100010):
            assert result[tag].value == data[tag].value
        assert result.VOILUTSequence[0].LUTDescriptor == [4096, 0, 16]
    order = ">" if target == make.BIG_ENDIAN else "<"
    assert list(np.frombuffer(back.VOILUTSequence[0].LUTData, f"{order}u2")[:3]) == [0, 1, 2]


def test_a_private_sequence_of_unknown_bytes_survives_the_other_byte_order(rules):
    data = make.with_private(images.image().data)
    body = make.file(data, make.IMPLICIT)

    there = kept(body, rules(make.BIG_ENDIAN, "none"))
    back = pydicom.dcmread(io.BytesIO(kept(there, rules(make.IMPLICIT, "none"))))

    assert [element.tag for element in back if element.tag.is_private] == [
        element.tag for element in data if element.tag.is_private
    ]


def test_an_instance_without_pixels_is_not_called_compressed(rules):
    result = pydicom.dcmread(io.BytesIO(written(make.file(make.sr(), make.IMPLICIT), rules(make.JPEG_2000))))

    assert result.file_meta.TransferSyntaxUID == make.EXPLICIT


def test_lossy_jpeg_by_rule_says_what_it_lost(rules):
    image = images.image("RGB", frames=2, shape=(64, 64))

    result = written(make.file(image.data), rules(make.JPEG_BASELINE), accepted=NOBODY_LOOKS)

    said = pydicom.dcmread(io.BytesIO(result))
    assert (said.LossyImageCompression, said.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert said.LossyImageCompressionRatio > 1 and said.PhotometricInterpretation == "RGB"
    assert np.abs(frames_of(result)[1].astype(int) - image.frames[1]).mean() < 8


@pytest.mark.parametrize(
    ("source", "target", "why"),
    [
        (make.EXPLICIT, images.MPEG4, "no codec"),
        (images.MPEG4, make.EXPLICIT, "no codec"),
        (make.UNKNOWN, make.EXPLICIT, "no codec"),
        (make.JPEG_BASELINE, make.EXPLICIT, "JPEG"),
        (make.EXPLICIT, make.JPEG_BASELINE, "8 bits"),
    ],
)
def test_what_cannot_be_put_into_a_syntax_waits_and_says_why(source, target, why, rules):
    refused = outcome_of(make.file(make.ct(), source), rules(target))  # fragments of no particular code

    assert isinstance(refused, Refused) and refused.reason is Reason.RULE
    assert why in refused.detail and target in refused.detail and "line 2" in refused.detail


def test_without_room_for_new_pixels_the_instance_waits(rules):
    body = make.file(make.ct())

    assert isinstance(outcome_of(body, rules(make.RLE), scratch=None), Refused)
    assert isinstance(outcome_of(body, rules(make.DEFLATED), scratch=None), Deidentified)


def test_an_image_within_a_sequence_that_is_compressed_is_not_called_uncompressed(rules):
    image = images.image()
    icon = pydicom.dcmread(io.BytesIO(images.compressed(images.image(), make.RLE)))
    inner = Dataset()
    inner.PixelData = icon.PixelData
    inner["PixelData"].VR, inner["PixelData"].is_undefined_length = "OB", True
    image.data.IconImageSequence = Sequence([inner])

    refused = outcome_of(images.compressed(image, make.RLE), rules(make.EXPLICIT, "none"), accepted=LEFT)

    assert isinstance(refused, Refused) and "within a sequence" in refused.detail
