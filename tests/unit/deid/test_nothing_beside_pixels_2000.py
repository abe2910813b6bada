"""Nothing leaves in JPEG 2000 and RLE frames but pixels: words are gone, each pixel stays."""

import io
import struct

import numpy as np
import pydicom
import pytest

from appliance.deid.outcome import Deidentified
from appliance.deid.ruleset import load_rules
from appliance.reasons import Reason
from tests.make import images, make
from tests.make.beside import LOOKED_AT, WORDS, check, frames_of, refusal, segment
from tests.make.deidentified import outcome_of, written


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def in_headers(stream: bytes, more: bytes) -> bytes:
    """The JPEG 2000 stream with more segments at the end of its main header."""
    tile = stream.index(b"\xff\x90\0\x0a")
    return stream[:tile] + more + stream[tile:]


def in_tiles(stream: bytes, more: bytes) -> bytes:
    """The same in the header of its first tile."""
    tile = stream.index(b"\xff\x90\0\x0a")
    length = int.from_bytes(stream[tile + 6 : tile + 10], "big")
    size = struct.pack(">L", length + len(more) if length else 0)
    return stream[: tile + 6] + size + stream[tile + 10 : tile + 12] + more + stream[tile + 12 :]


def in_boxes(stream: bytes) -> bytes:
    """The code stream in a JP2 file, with boxes of words about it."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L4s", 8 + len(body), kind) + body

    colours = box(b"colr", b"\2\0\0" + WORDS)
    head = box(b"jP  ", b"\r\n\x87\n") + box(b"jp2h", box(b"ihdr", bytes(14)) + colours)
    return head + box(b"xml ", b"<name>" + WORDS) + box(b"jp2c", stream) + box(b"uuid", bytes(16) + WORDS)


HIDDEN_2000 = {
    "a comment": lambda stream: in_headers(stream, segment(0x64, b"\0\1" + WORDS)),
    "a comment behind an encoder's name": lambda stream: in_headers(
        stream, segment(0x64, b"\0\1Created by OpenJPEG version 2.5.0" + WORDS)
    ),
    "a comment of a tile": lambda stream: in_tiles(stream, segment(0x64, b"\0\1" + WORDS)),
    "bytes behind the end": lambda stream: stream + WORDS,
    "boxes": in_boxes,
}
JPEG_2000S = [make.JPEG_2000, images.JPEG_2000_LOSSY, images.HTJ2K_LOSSLESS, images.HTJ2K]


@pytest.mark.parametrize("hide", HIDDEN_2000.values(), ids=HIDDEN_2000)
@pytest.mark.parametrize("syntax", JPEG_2000S)
def test_words_in_a_jpeg_2000_stream_do_not_leave_and_its_pixels_do(syntax, hide, rules):
    image = images.image(frames=2, shape=(40, 48))
    streams = [images.stream(frame, image.data, syntax) for frame in image.frames]

    check(images.compressed(image, syntax, streams=[streams[0], hide(streams[1])]), rules)


@pytest.mark.parametrize("syntax", [*JPEG_2000S, images.HTJ2K_RPCL, make.RLE])
def test_frames_with_nothing_but_pixels_and_their_encoder_are_not_copied(syntax, rules):
    outcome = outcome_of(images.compressed(images.image(frames=2), syntax), rules, accepted=LOOKED_AT, scratch=None)

    assert isinstance(outcome, Deidentified)


BROKEN_2000 = {
    "no beginning": lambda stream: b"\0" + stream,
    "no end": lambda stream: stream[:-2],
    "a segment that is too long": lambda stream: in_headers(stream, b"\xff\x64\xff\xff"),
    "bytes between segments": lambda stream: in_headers(stream, b"words"),
    "two streams": lambda stream: stream + stream,
    "a box that is cut": lambda stream: in_boxes(stream)[:-3],
    "two streams in boxes": lambda stream: in_boxes(stream) + in_boxes(stream),
}


@pytest.mark.parametrize("breaking", BROKEN_2000.values(), ids=BROKEN_2000)
def test_a_jpeg_2000_stream_that_cannot_be_walked_is_refused(breaking, rules):
    image = images.image()
    stream = breaking(images.stream(image.frames[0], image.data, make.JPEG_2000))

    refused = refusal(images.compressed(image, make.JPEG_2000, streams=[stream]), rules)

    assert refused.reason is Reason.MALFORMED and "JPEG 2000" in refused.detail


def rle(stream: bytes, *, header: bytes = b"", between: bytes = b"", behind: bytes = b"") -> bytes:
    """The frame of two segments with more bytes in its header, between the segments and behind them."""
    count, first, second, *_ = struct.unpack_from("<16L", stream)
    assert count == 2
    head = struct.pack("<3L", count, first, second + len(between)) + header.ljust(52, b"\0")
    return head + stream[first:second] + between + stream[second:] + behind


def test_words_in_the_header_of_an_rle_frame_do_not_leave(rules):
    image = images.image(frames=2, allocated=16, stored=12)
    streams = [rle(images.stream(frame, image.data, make.RLE), header=WORDS) for frame in image.frames]

    check(images.compressed(image, make.RLE, streams=streams), rules)


def test_words_between_and_behind_the_segments_of_an_rle_frame_do_not_leave(rules):
    image = images.image(allocated=16, stored=12)
    stream = rle(images.stream(image.frames[0], image.data, make.RLE), between=WORDS, behind=WORDS)

    result = written(images.compressed(image, make.RLE, streams=[stream]), rules, accepted=LOOKED_AT)

    # The decoder refuses such a frame as it was, so what is compared is the picture.
    assert WORDS not in result
    assert np.array_equal(pydicom.dcmread(io.BytesIO(result)).pixel_array, image.frames[0])
    assert np.array_equal(frames_of(result)[0], image.frames[0])


@pytest.mark.parametrize("at", [60, 64])
def test_an_rle_frame_that_cannot_be_walked_is_refused(at, rules):
    image = images.image(allocated=16, stored=12)
    stream = images.stream(image.frames[0], image.data, make.RLE)

    refused = refusal(images.compressed(image, make.RLE, streams=[stream[:at]]), rules)

    assert refused.reason is Reason.MALFORMED and "RLE" in refused.detail


def test_an_offset_table_that_holds_something_else_is_put_right(rules):
    image = images.image(frames=2)
    body = images.compressed(image, make.RLE)
    item = body.index(b"\xfe\xff\0\xe0\x08\0\0\0") + 8

    result = written(body[:item] + b"SECRETSO" + body[item + 8 :], rules, accepted=LOOKED_AT)

    assert pydicom.dcmread(io.BytesIO(result)).PixelData == pydicom.dcmread(io.BytesIO(body)).PixelData
