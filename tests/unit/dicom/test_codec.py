"""Pixels in every form: what is read is what was written, and what is written is what was read."""

import io

import numpy as np
import pydicom
import pytest

from appliance.dicom import part10
from appliance.dicom.codec.families import can_decode, can_encode, encodes_exactly
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import FrameWriter
from appliance.dicom.meta import FileMeta
from appliance.errors import CannotDecode, CannotEncode
from tests.make import images, make

GREYS = [
    {},
    {"photometric": "MONOCHROME1", "stored": 6},
    {"allocated": 16, "stored": 12},
    {"allocated": 16, "stored": 12, "signed": True},
    {"allocated": 16},
    {"allocated": 16, "signed": True},
    {"photometric": "PALETTE COLOR"},
]
COLOURS = [{"photometric": "RGB"}, {"photometric": "YBR_FULL"}]
UNCOMPRESSED_ONLY = [
    {"photometric": "RGB", "planar": 1},
    {"photometric": "YBR_FULL", "planar": 1},
    {"photometric": "YBR_FULL_422"},
    {"photometric": "YBR_PARTIAL_422"},
    {"photometric": "RGB", "allocated": 16, "planar": 1},
    {"allocated": 32},
    {"allocated": 32, "signed": True, "stored": 30},
    {"allocated": 16, "stored": 12, "high": 13},
    {"allocated": 1, "shape": (5, 7)},
    {"signed": True},
    {"shape": (5, 7)},
]


def opened(body: bytes) -> FrameReader:
    return FrameReader(part10.read(io.BytesIO(body)))


def recoded(reader: FrameReader, *, target: str = "", put: bool = False) -> bytes:
    """The file after every frame was kept, or decoded and put again."""
    scratch = io.BytesIO()
    scratch.write(b"something else")
    writer = FrameWriter(reader, scratch, target)
    for number in range(reader.form.frames):
        if put:
            writer.put(number, reader.frame(number))
        else:
            writer.keep(number)
    done = writer.finish()
    original = reader.original
    done.apply(original.dataset)
    out = io.BytesIO()
    meta = FileMeta.of(original.meta.elements)
    part10.write(meta, original.dataset, done.transfer_syntax, original.source, out)
    return out.getvalue()


def same(reader: FrameReader, frames: list[np.ndarray]) -> bool:
    return all(
        reader.frame(n).dtype == frame.dtype and np.array_equal(reader.frame(n), frame)
        for n, frame in enumerate(frames)
    )


@pytest.mark.parametrize("syntax", images.NATIVE)
@pytest.mark.parametrize("form", [*GREYS, *COLOURS, *UNCOMPRESSED_ONLY], ids=str)
def test_uncompressed_pixels_are_read_and_written_back_bit_by_bit(form, syntax):
    image = images.image(frames=3, **form)
    body = images.uncompressed(image, syntax)

    reader = opened(body)

    assert same(reader, image.frames)
    for put in (False, True):
        again = recoded(opened(body), put=put)
        assert pydicom.dcmread(io.BytesIO(again)).PixelData == pydicom.dcmread(io.BytesIO(body)).PixelData


def test_bytes_of_big_endian_words_are_read_in_their_order():
    image = images.image(frames=2, shape=(3, 5))
    value = np.frombuffer(image.data.PixelData, "<u2").astype(">u2").tobytes()
    image.data.PixelData = value
    image.data["PixelData"].VR = "OB"  # or pydicom would swap them
    body = make.file(image.data, make.BIG_ENDIAN).replace(b"\x7f\xe0\x00\x10OB", b"\x7f\xe0\x00\x10OW")

    assert same(opened(body), image.frames)
    assert same(opened(recoded(opened(body), put=True)), image.frames)


@pytest.mark.parametrize("table", ["basic", "none", "extended"])
@pytest.mark.parametrize("syntax", images.LOSSLESS)
@pytest.mark.parametrize("form", [*GREYS, *COLOURS], ids=str)
def test_lossless_frames_are_read_and_written_back_bit_by_bit(form, syntax, table):
    image = images.image(frames=3, **form)
    body = images.compressed(image, syntax, table=table)

    assert same(opened(body), image.frames)
    kept, put = opened(recoded(opened(body))), opened(recoded(opened(body), put=True))
    assert same(kept, image.frames) and same(put, image.frames)
    assert put.form.transfer_syntax == syntax and put.form.photometric == image.data.PhotometricInterpretation
    assert [kept.encoded(n).rstrip(b"\0") for n in range(3)] == [
        opened(body).encoded(n).rstrip(b"\0") for n in range(3)
    ]


@pytest.mark.parametrize("syntax", [make.JPEG_2000, images.HTJ2K_LOSSLESS])
def test_colours_turned_by_jpeg_2000_come_out_as_rgb_and_go_back_turned(syntax):
    image = images.image("RGB", frames=2)
    image.data.PhotometricInterpretation = "YBR_RCT"
    body = images.compressed(image, syntax)

    again = opened(recoded(opened(body), put=True))

    assert again.meaning(0) == "RGB" and same(again, image.frames)
    assert again.stream(0).turned and again.form.photometric == "YBR_RCT"


@pytest.mark.parametrize(
    ("table", "frames", "pieces"), [("basic", 3, 4), ("none", 3, 2), ("none", 1, 5), ("basic", 1, 3)]
)
def test_several_fragments_a_frame_are_joined(table, frames, pieces):
    image = images.image(frames=frames, allocated=16, stored=12)

    assert same(opened(images.compressed(image, make.JPEG_2000, table=table, pieces=pieces)), image.frames)


@pytest.mark.parametrize("target", [*images.NATIVE[:2], make.DEFLATED, *images.LOSSLESS])
@pytest.mark.parametrize("source", [make.EXPLICIT, *images.LOSSLESS])
@pytest.mark.parametrize("form", [{"allocated": 16, "stored": 12, "signed": True}, {"photometric": "RGB"}], ids=str)
def test_every_lossless_syntax_becomes_every_other_bit_by_bit(form, source, target):
    image = images.image(frames=2, **form)
    body = make.file(image.data, source) if source == make.EXPLICIT else images.compressed(image, source)

    again = opened(recoded(opened(body), target=target))

    assert again.form.transfer_syntax == target and same(again, image.frames)
    assert again.meaning(0) == image.data.PhotometricInterpretation
    assert again.original.dataset.get(0x00282110) is None


@pytest.mark.parametrize(
    "form", [{"allocated": 16, "stored": 10}, {"allocated": 16, "stored": 12, "high": 13}], ids=str
)
@pytest.mark.parametrize("target", images.LOSSLESS)
def test_bits_above_the_pixel_are_kept_when_compressed(form, target):
    image = images.image(**form)
    image.frames[0][0, 0] |= 0x8000
    image.data.PixelData = image.frames[0].tobytes()

    assert same(opened(recoded(opened(make.file(image.data)), target=target)), image.frames)


# --- lossy ------------------------------------------------------------------------------------------------------------

LOSSY = [
    (make.JPEG_BASELINE, {}),
    (make.JPEG_BASELINE, {"photometric": "YBR_FULL_422"}),
    (make.JPEG_BASELINE, {"photometric": "RGB"}),
    (images.JPEG_EXTENDED, {"allocated": 16, "stored": 12}),
    (images.JPEG_LS_NEAR, {"allocated": 16, "stored": 12}),
    (images.JPEG_2000_LOSSY, {"photometric": "RGB"}),
    (images.HTJ2K, {"allocated": 16, "stored": 12, "signed": True}),
]


@pytest.mark.parametrize(("syntax", "form"), LOSSY, ids=str)
def test_of_a_lossy_image_untouched_frames_keep_their_bytes_and_the_touched_one_stays_close(syntax, form):
    image = images.image(frames=3, shape=(64, 64), **form)
    body = images.compressed(image, syntax)
    before = opened(body)
    old = [before.frame(n).copy() for n in range(3)]
    streams = [before.encoded(n) for n in range(3)]
    writer = FrameWriter(before, io.BytesIO())

    for n in range(3):
        if n == 1:
            writer.put(n, before.frame(n))
        else:
            writer.keep(n)
    done = writer.finish()

    done.apply(before.original.dataset)
    after = FrameReader(before.original)
    assert [after.encoded(n)[: len(streams[n])] for n in (0, 2)] == [streams[0], streams[2]]
    steps = np.abs(after.frame(1).astype(int) - old[1].astype(int))
    assert done.transfer_syntax == syntax
    if encodes_exactly(syntax):
        assert steps.max() == 0
    else:
        assert steps.mean() < 2 * (1 << (before.form.bits_stored - 8))


def test_what_loses_once_more_says_so_with_ratio_and_method_in_order():
    image = images.image("YBR_FULL_422", LossyImageCompression="01", LossyImageCompressionRatio="12.5")
    image.data.LossyImageCompressionMethod = "ISO_15444_1"

    again = pydicom.dcmread(io.BytesIO(recoded(opened(images.compressed(image, make.JPEG_BASELINE)), put=True)))

    assert again.LossyImageCompression == "01" and again.LossyImageCompressionMethod == ["ISO_15444_1", "ISO_10918_1"]
    assert len(again.LossyImageCompressionRatio) == 2 and again.LossyImageCompressionRatio[1] > 1


def test_what_had_lost_and_did_not_say_so_says_it_when_it_is_decoded():
    image = images.image()

    again = pydicom.dcmread(
        io.BytesIO(recoded(opened(images.compressed(image, make.JPEG_BASELINE)), target=make.EXPLICIT))
    )

    assert (again.LossyImageCompression, again.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert again.file_meta.TransferSyntaxUID == make.EXPLICIT


@pytest.mark.parametrize(("syntax", "form"), LOSSY, ids=str)
def test_lossy_frames_become_uncompressed_as_they_were_decoded(syntax, form):
    image = images.image(frames=2, **form)
    body = images.compressed(image, syntax)
    old = [opened(body).frame(n).copy() for n in range(2)]

    again = opened(recoded(opened(body), target=make.EXPLICIT))

    assert same(again, old) and again.meaning(1) == opened(body).meaning(1)


def test_a_jpeg_that_says_it_is_ybr_is_believed_more_than_the_data_set():
    image = images.image("YBR_FULL")
    body = images.compressed(image, make.JPEG_BASELINE)

    reader = opened(body.replace(b"YBR_FULL", b"RGB     "))

    assert reader.form.photometric == "RGB" and reader.meaning(0) == "YBR_FULL"


def test_smallest_and_largest_values_go_when_a_frame_was_touched():
    image = images.image(SmallestImagePixelValue=3, LargestImagePixelValue=200)
    body = make.file(image.data)

    kept, put = (pydicom.dcmread(io.BytesIO(recoded(opened(body), put=put))) for put in (False, True))

    assert kept.SmallestImagePixelValue == 3 and "SmallestImagePixelValue" not in put


# --- what cannot ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "target"),
    [
        ({"allocated": 32}, images.JPEG_LS),
        ({"allocated": 1}, make.RLE),
        ({"allocated": 16, "stored": 14}, images.JPEG_EXTENDED),
        ({"allocated": 16, "stored": 12}, make.JPEG_BASELINE),
        ({"photometric": "PALETTE COLOR"}, make.JPEG_BASELINE),
        ({"photometric": "YBR_PARTIAL_422"}, make.JPEG_2000),
        ({}, images.MPEG4),
        ({}, make.UNKNOWN),
    ],
    ids=str,
)
def test_what_a_syntax_cannot_hold_is_refused_by_name(form, target):
    reader = opened(make.file(images.image(**form).data))

    with pytest.raises(CannotEncode):
        recoded(reader, target=target)


def test_video_is_not_decoded():
    with pytest.raises(CannotDecode, match=r"1\.2\.840\.10008\.1\.2\.4\.102"):
        opened(images.compressed(images.image(), images.MPEG4, streams=[b"\0\0\1\xba"]))


def test_every_syntax_that_is_encoded_is_decoded_too():
    known = [*images.NATIVE, *images.LOSSLESS, *images.LOSSY, images.MPEG4, make.UNKNOWN]

    assert all(can_decode(syntax) for syntax in known if can_encode(syntax))
    assert [can_encode(syntax) for syntax in known[-2:]] == [False, False]
    assert [syntax for syntax in known[:-2] if not encodes_exactly(syntax)] == [
        make.JPEG_BASELINE,
        images.JPEG_EXTENDED,
    ]
