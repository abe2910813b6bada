"""Bytes that contradict are refused by name, before a decoder or the memory meets them."""

import io
import struct

import pydicom
import pytest

from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.errors import CannotDecode, Malformed
from tests.make import images, make


def opened(body: bytes) -> FrameReader:
    return FrameReader(part10.read(io.BytesIO(body)))


def changed(image: images.Image, syntax: str = make.EXPLICIT, **attributes) -> bytes:
    """The file with attributes of another image than is in it."""
    body = make.file(image.data) if syntax == make.EXPLICIT else images.compressed(image, syntax)
    data = pydicom.dcmread(io.BytesIO(body))
    for name, value in attributes.items():
        setattr(data, name, value)
    out = io.BytesIO()
    data.save_as(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "attributes",
    [
        {"NumberOfFrames": 4},
        {"NumberOfFrames": 2},
        {"NumberOfFrames": 2_000_000_000},
        {"Rows": 25},
        {"Columns": 31},
        {"Rows": 0},
        {"BitsStored": 9},
        {"HighBit": 9},
        {"SamplesPerPixel": 3},
        {"PhotometricInterpretation": "RGB"},
        {"Rows": 65535, "Columns": 65535},
    ],
    ids=str,
)
@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.RLE, images.JPEG_LS, make.JPEG_2000, images.JPEG_LOSSLESS])
def test_attributes_that_are_not_those_of_the_pixels_are_refused(attributes, syntax):
    body = changed(images.image(frames=3), syntax, **attributes)

    with pytest.raises((Malformed, CannotDecode)):
        opened(body).frame(0)


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.RLE])
def test_cells_of_another_size_are_refused(syntax):
    with pytest.raises(Malformed):
        opened(changed(images.image(), syntax, BitsAllocated=16)).frame(0)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"BitsAllocated": 64, "BitsStored": 64, "HighBit": 63}, "Bits Allocated"),
        ({"SamplesPerPixel": 4}, "Samples per Pixel"),
        ({"PhotometricInterpretation": "CMYK"}, "Photometric"),
        ({"Rows": 60000, "Columns": 60000}, "larger than"),
        ({"NumberOfFrames": 1_000_001}, "frames"),
    ],
)
def test_what_is_not_read_is_told_by_its_attribute(attributes, why):
    with pytest.raises(CannotDecode, match=why):
        opened(changed(images.image(), **attributes))


def test_floating_point_pixels_are_not_read():
    data = images.image().data
    del data.PixelData
    data.FloatPixelData = bytes(4 * 24 * 32)

    with pytest.raises(CannotDecode, match="floating point"):
        opened(make.file(data))


def test_an_instance_without_pixels_has_none():
    with pytest.raises(CannotDecode, match="No pixels"):
        opened(make.file(make.sr()))


@pytest.mark.parametrize("syntax", [*images.LOSSLESS, *images.LOSSY])
@pytest.mark.parametrize("keep", [0.2, 0.6, 0.97])
def test_a_stream_that_ends_early_is_refused(syntax, keep):
    image = images.image(shape=(64, 64))
    stream = images.stream(image.frames[0], image.data, syntax)
    cut = stream[: int(len(stream) * keep)]

    for end in (b"", b"\xff\xd9"):
        with pytest.raises(Malformed):
            opened(images.compressed(image, syntax, streams=[cut + end])).frame(0)


@pytest.mark.parametrize("syntax", [*images.LOSSLESS, *images.LOSSY])
def test_a_stream_of_another_size_than_the_data_set_says_is_refused_before_it_is_decoded(syntax):
    small, large = images.image(), images.image(shape=(48, 32))
    stream = images.stream(large.frames[0], large.data, syntax)

    with pytest.raises(Malformed):
        opened(images.compressed(small, syntax, streams=[stream])).frame(0)


def test_a_stream_that_promises_a_huge_picture_costs_no_memory():
    image = images.image()
    stream = bytearray(images.stream(image.frames[0], image.data, make.JPEG_2000))
    struct.pack_into(">LL", stream, 8, 0xFFFFFFF0, 0xFFFFFFF0)

    with pytest.raises(Malformed, match=r"size|tiles"):
        opened(images.compressed(image, make.JPEG_2000, streams=[bytes(stream)])).frame(0)


def test_runs_that_would_swell_beyond_the_frame_are_refused():
    image = images.image()
    runs = b"\x81\x00" * 5000  # 128 zeros each

    with pytest.raises(Malformed, match="segment"):
        opened(images.compressed(image, make.RLE, streams=[struct.pack("<16L", 1, 64, *[0] * 14) + runs])).frame(0)


def test_a_frame_much_longer_than_its_pixels_is_not_even_read():
    image = images.image()

    with pytest.raises(Malformed, match="longer"):
        opened(images.compressed(image, make.RLE, streams=[bytes(2_000_000)])).frame(0)


@pytest.mark.parametrize("position", [8, 12])
def test_an_offset_table_that_does_not_lead_to_the_fragments_is_refused(position):
    body = bytearray(images.compressed(images.image(frames=3), images.JPEG_LS))
    table = body.rfind(b"\xe0\x7f\x10\x00") + 12
    body[table + position : table + position + 4] = b"\x06\0\0\0"

    with pytest.raises(Malformed, match="offset table"):
        opened(bytes(body))


def test_fragments_of_an_extended_table_must_be_as_many_as_the_frames():
    image = images.image(frames=3)
    body = changed(image, images.JPEG_LS)
    data = pydicom.dcmread(io.BytesIO(body))
    data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = struct.pack("<2Q", 0, 8), struct.pack("<2Q", 5, 5)
    out = io.BytesIO()
    data.save_as(out)

    with pytest.raises(Malformed, match="extended offset table"):
        opened(out.getvalue())


def test_a_jpeg_of_a_process_that_is_not_decoded_is_told_so():
    image = images.image()
    stream = images.stream(image.frames[0], image.data, make.JPEG_BASELINE).replace(b"\xff\xc0", b"\xff\xc9", 1)

    with pytest.raises(CannotDecode, match="arithmetic"):
        opened(images.compressed(image, make.JPEG_BASELINE, streams=[stream])).frame(0)


def test_uncompressed_pixels_under_a_compressed_syntax_are_refused():
    body = make.file(images.image().data).replace(make.EXPLICIT.encode() + b"\0", make.RLE.encode() + b"\0\0")

    with pytest.raises(Malformed):
        opened(body)
