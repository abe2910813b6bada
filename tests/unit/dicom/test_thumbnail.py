"""A first frame becomes a PNG that any reader opens, in its right greys and colours."""

import io
import struct
import zlib

import numpy as np
import pytest

from appliance.dicom import part10
from appliance.dicom.thumbnail import png, thumbnail
from tests.make import make


def picture_of(data, syntax=make.EXPLICIT, edge=160, bulk_from=4096):
    original = part10.read(io.BytesIO(make.file(data, syntax)), bulk_from=bulk_from)
    body = thumbnail(original.dataset, original.source, edge)
    return None if body is None else unpacked(body)


def unpacked(body):
    """The picture in a PNG, read as simply as it was written; fails for a wrong checksum."""
    assert body[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(body):
        (length,) = struct.unpack_from(">L", body, at)
        name, content = body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
        assert struct.unpack_from(">L", body, at + 8 + length)[0] == zlib.crc32(name + content)
        chunks[name], at = content, at + 12 + length
    columns, rows, depth, kind = struct.unpack_from(">LLBB", chunks[b"IHDR"])
    samples = {0: 1, 2: 3}[kind]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(rows, 1 + columns * samples)
    assert depth == 8 and not lines[:, 0].any() and b"IEND" in chunks
    return lines[:, 1:].reshape((rows, columns) if samples == 1 else (rows, columns, 3))


def grey(values, **more):
    data = make.ct(size=values.shape[0], **more)
    data.PixelData = values.tobytes()
    return data


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT, make.DEFLATED, make.BIG_ENDIAN])
def test_greys_are_stretched_in_their_order(syntax):
    values = np.arange(64, dtype="<u2").reshape(8, 8) * 10
    if syntax == make.BIG_ENDIAN:
        values = values.astype(">u2")

    picture = picture_of(grey(values), syntax)

    assert picture.shape == (8, 8) and picture.min() == 0 and picture.max() == 255
    assert (np.diff(picture.ravel().astype(int)) >= 0).all()


def test_signed_and_inverted_greys():
    values = np.linspace(-500, 500, 64).astype("<i2").reshape(8, 8)

    plain = picture_of(grey(values, PixelRepresentation=1))
    inverted = picture_of(grey(values, PixelRepresentation=1, PhotometricInterpretation="MONOCHROME1"))

    assert plain[0, 0] == 0 and plain[-1, -1] == 255
    assert (inverted == 255 - plain).all()


def test_a_flat_image_is_no_division_by_nothing():
    assert picture_of(grey(np.full((8, 8), 7, "<u2"))).max() == 0


def test_large_images_become_small_and_pixels_may_lie_in_the_file():
    assert picture_of(make.ct(size=100), edge=20).shape == (20, 20)
    assert picture_of(make.ct(size=101), edge=20).shape == (17, 17)
    assert picture_of(make.ct(size=8), bulk_from=1 << 20).shape == (8, 8)


def test_of_several_frames_the_first_is_shown():
    data = make.ct(frames=3, size=8)
    first = np.frombuffer(data.PixelData, "<u2")[:64].reshape(8, 8)

    assert (picture_of(data) == picture_of(grey(first))).all()


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_are_what_they_are_in_either_order(planar):
    values = np.zeros((4, 4, 3), np.uint8)
    values[..., 0], values[0, 0] = 200, (1, 2, 3)
    data = make.us(size=4)
    data.PlanarConfiguration = planar
    data.PixelData = (values.transpose(2, 0, 1) if planar else values).tobytes()

    assert (picture_of(data) == values).all()


def test_ybr_becomes_rgb():
    data = make.us(size=4)
    data.PhotometricInterpretation = "YBR_FULL"
    data.PixelData = np.tile(np.array([76, 85, 255], np.uint8), 16).tobytes()

    assert (np.abs(picture_of(data).astype(int) - (254, 0, 0)) <= 1).all()


@pytest.mark.parametrize(
    ("data", "syntax"),
    [
        (make.ct(), make.JPEG_2000),
        (make.sr(), make.EXPLICIT),
        (make.ct(Rows=0), make.EXPLICIT),
        (make.ct(Rows=99), make.EXPLICIT),
        (make.ct(BitsAllocated=1), make.EXPLICIT),
        (make.us(PhotometricInterpretation="PALETTE COLOR"), make.EXPLICIT),
        (make.us(size=64, PhotometricInterpretation="YBR_FULL_422"), make.EXPLICIT),
        (make.us(size=64, Rows=640), make.EXPLICIT),
    ],
)
def test_what_cannot_be_shown_is_not_guessed(data, syntax):
    assert picture_of(data, syntax) is None


def test_a_file_that_became_shorter_has_no_picture():
    original = part10.read(io.BytesIO(make.file(make.ct(size=64))))

    assert thumbnail(original.dataset, io.BytesIO(b"short")) is None


def test_a_png_of_one_pixel():
    assert (unpacked(png(np.array([[7]], np.uint8))) == 7).all()
