"""Nothing leaves in pixel data but pixels: words beside them are gone, and every pixel and offset stays."""

import io
import struct
import subprocess

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified, Refused
from appliance.deid.ruleset import load_rules
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.reasons import Reason
from tests.make import images, make
from tests.make.deidentified import outcome_of, rules_from, written

WORDS = b"SECRETSON^SVEN 19620708"
LOOKED_AT = ["burned-in-risk"]
JPEGS = [make.JPEG_BASELINE, images.JPEG_EXTENDED, images.JPEG_LOSSLESS, images.JPEG_LOSSLESS_SV1]
JPEG_FAMILY = [*JPEGS, images.JPEG_LS, images.JPEG_LS_NEAR]
DCMTK = {
    "dcmcjpeg lossless": ["dcmcjpeg", "+e1"],
    "dcmcjpeg baseline": ["dcmcjpeg", "+eb"],
    "dcmcjpeg progressive": ["dcmcjpeg", "+ep"],
    "dcmcjpls lossless": ["dcmcjpls", "+el"],
    "dcmcjpls near": ["dcmcjpls", "+en"],
}


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def segment(marker: int, body: bytes = WORDS) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def in_front(stream: bytes, more: bytes) -> bytes:
    """The JPEG stream with more segments behind its first marker."""
    return stream[:2] + more + stream[2:]


def before_end(stream: bytes, more: bytes) -> bytes:
    """The JPEG stream with more segments between its scan and its end."""
    end = stream.rindex(b"\xff\xd9")
    return stream[:end] + more + stream[end:]


def with_streams(body: bytes, streams: list[bytes], **encapsulated) -> bytes:
    """The file with other frames."""
    data = pydicom.dcmread(io.BytesIO(body))
    data.PixelData = encapsulate(streams, **encapsulated)
    out = io.BytesIO()
    data.save_as(out)
    return out.getvalue()


def streams_of(body: bytes) -> list[bytes]:
    data = pydicom.dcmread(io.BytesIO(body))
    return list(generate_frames(data.PixelData, number_of_frames=int(data.get("NumberOfFrames", 1))))


def frames_of(body: bytes) -> list[np.ndarray]:
    reader = FrameReader(part10.read(io.BytesIO(body)))
    return [reader.frame(n) for n in range(reader.form.frames)]


def check(body: bytes, rules) -> bytes:
    """De-identify what holds the words; return the result, without them and with every pixel."""
    assert WORDS in body

    result = written(body, rules, accepted=LOOKED_AT)

    assert WORDS not in result
    for before, after in zip(frames_of(body), frames_of(result), strict=True):
        assert before.dtype == after.dtype and np.array_equal(before, after)
    old, new = (pydicom.dcmread(io.BytesIO(each)).PixelData for each in (body, result))
    assert len(old) == len(new)
    return result


def refusal(body: bytes, rules) -> Refused:
    outcome = outcome_of(body, rules, accepted=LOOKED_AT)
    assert isinstance(outcome, Refused), outcome
    return outcome


HIDDEN = {
    "a comment": lambda stream: in_front(stream, segment(0xFE)),
    "EXIF": lambda stream: in_front(stream, segment(0xE1, b"Exif\0\0" + WORDS)),
    "a maker's segment": lambda stream: in_front(stream, segment(0xE8) + segment(0xEF)),
    "a thumbnail": lambda stream: in_front(stream, segment(0xE0, b"JFXX\0\x10" + WORDS)),
    "something with another's name": lambda stream: in_front(stream, segment(0xE8, b"SPIFF\0" + WORDS)),
    "bytes behind the end": lambda stream: stream + WORDS,
    "fill bytes and a comment": lambda stream: in_front(stream, b"\xff\xff\xff" + segment(0xFE)),
    "a comment, and bytes behind the end": lambda stream: in_front(stream, segment(0xFE)) + WORDS,
}


@pytest.mark.parametrize("hide", HIDDEN.values(), ids=HIDDEN)
@pytest.mark.parametrize("syntax", JPEG_FAMILY)
def test_words_in_a_jpeg_stream_do_not_leave_and_its_pixels_do(syntax, hide, rules):
    image = images.image(frames=3, shape=(40, 48))
    streams = [images.stream(frame, image.data, syntax) for frame in image.frames]
    body = images.compressed(image, syntax, streams=[streams[0], hide(streams[1]), hide(streams[2])])

    check(body, rules)


@pytest.mark.parametrize("syntax", JPEGS)
def test_words_between_a_scan_and_the_end_do_not_leave(syntax, rules):
    image = images.image(frames=2, shape=(40, 48))  # CharLS refuses such a JPEG-LS stream
    streams = [before_end(images.stream(frame, image.data, syntax), segment(0xFE)) for frame in image.frames]

    check(images.compressed(image, syntax, streams=streams), rules)


@pytest.mark.parametrize("syntax", JPEGS)
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_what_tells_a_decoder_the_colours_stays(photometric, syntax, rules):
    image = images.image(photometric, frames=2)
    thumbnail = segment(0xE0, b"JFIF\0\1\2\0\0\1\0\1\3\3" + WORDS + b"....")
    streams = [images.stream(frame, image.data, syntax) for frame in image.frames]
    # Which colours an Adobe segment tells is its last byte; words stand behind it.
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + (b"\0" if photometric == "RGB" else b"\1") + WORDS)
    body = images.compressed(image, syntax, streams=[in_front(streams[0], adobe), in_front(streams[1], adobe)])

    check(body, rules)
    check(images.compressed(image, syntax, streams=[in_front(each, thumbnail) for each in streams]), rules)


@pytest.mark.parametrize(
    ("form", "how"),
    [
        *((form, how) for form in ({}, {"photometric": "RGB"}) for how in DCMTK.values()),
        *(({"allocated": 16, "stored": 12}, how) for how in DCMTK.values() if "+eb" not in how),  # which has 8 bits
    ],
    ids=str,
)
def test_words_in_what_dcmtk_encoded_do_not_leave(form, how, tmp_path, rules):
    plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
    plain.write_bytes(make.file(images.image(frames=2, shape=(40, 48), **form).data))
    subprocess.run([*how, str(plain), str(packed)], check=True, capture_output=True)
    body = packed.read_bytes()

    hidden = [HIDDEN["a comment, and bytes behind the end"](stream) for stream in streams_of(body)]

    check(with_streams(body, hidden), rules)


@pytest.mark.parametrize("table", ["none", "basic", "extended"])
def test_frames_are_found_by_every_table_and_in_every_number_of_fragments(table, rules):
    image = images.image(frames=3, shape=(40, 48))
    streams = [in_front(images.stream(frame, image.data, images.JPEG_LS), segment(0xFE)) for frame in image.frames]
    for pieces in (1, 3) if table != "extended" else (1,):
        check(images.compressed(image, images.JPEG_LS, table=table, pieces=pieces, streams=streams), rules)


def test_the_byte_that_pads_a_frame_is_written_over_too(rules):
    image = images.image()
    stream = images.stream(image.frames[0], image.data, images.JPEG_LS)
    stream = stream if len(stream) % 2 else in_front(stream, segment(0xE5, b"\0"))
    body = images.compressed(image, images.JPEG_LS, table="extended", streams=[stream])

    result = written(body.replace(stream + b"\0", stream + b"X"), rules, accepted=LOOKED_AT)

    assert stream + b"\0" in result


def test_an_icon_that_rules_keep_is_cleaned_like_the_image(tmp_path):
    rules = rules_from("Profile: none\n", tmp_path)
    image, small = images.image(frames=2), images.image(shape=(8, 8))
    icon = small.data
    stream = in_front(images.stream(small.frames[0], icon, make.JPEG_BASELINE), segment(0xFE))
    icon.PixelData = encapsulate([stream])
    icon["PixelData"].VR, icon["PixelData"].is_undefined_length = "OB", True
    kept = ("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored")
    item = pydicom.Dataset()
    for name in (*kept, "HighBit", "PixelRepresentation", "PixelData"):
        item[name] = icon[name]
    image.data.IconImageSequence = Sequence([item])
    body = images.compressed(image, make.JPEG_BASELINE)

    result = written(body, rules, accepted=[*LOOKED_AT, "identifier-left"])

    left = pydicom.dcmread(io.BytesIO(result)).IconImageSequence[0].PixelData
    assert WORDS not in result and len(left) == len(icon.PixelData)


@pytest.mark.parametrize("syntax", JPEG_FAMILY)
def test_pixel_data_with_nothing_beside_the_pixels_are_not_copied(syntax, rules):
    body = images.compressed(images.image(frames=2), syntax)

    def never():
        raise AssertionError("a scratch file was asked for")

    outcome = outcome_of(body, rules, accepted=LOOKED_AT, scratch=never)

    assert isinstance(outcome, Deidentified)
    assert outcome.dataset.elements[0x7FE00010].value.source is None


def test_the_report_says_what_was_written_over_and_how_often(rules):
    image = images.image()
    stream = in_front(images.stream(image.frames[0], image.data, images.JPEG_LS), segment(0xFE)) + WORDS
    outcome = outcome_of(images.compressed(image, images.JPEG_LS, streams=[stream]), rules, accepted=LOOKED_AT)

    assert isinstance(outcome, Deidentified)
    told = ("(7FE0,0010)", "written over 2", "beside pixels, not needed to decode them")
    assert outcome.report.lines[-1] == told


BROKEN = {
    "no beginning": lambda stream: b"\0" + stream,
    "no end": lambda stream: stream[: stream.rindex(b"\xff\xd9")],
    "a segment that is too long": lambda stream: in_front(stream, b"\xff\xfe\xff\xff"),
    "bytes between segments": lambda stream: in_front(stream, b"words"),
    "two streams": lambda stream: stream + stream,
    "a stream in a stream": lambda stream: in_front(stream, b"\xff\xd8"),
    "an extension": lambda stream: in_front(stream, segment(0xFD)),
    "a reserved marker": lambda stream: in_front(stream, segment(0x02)),
    "a colour segment that is cut": lambda stream: in_front(stream, segment(0xEE, b"Adobe\0")),
}


@pytest.mark.parametrize("breaking", BROKEN.values(), ids=BROKEN)
def test_a_jpeg_stream_that_cannot_be_walked_is_refused(breaking, rules):
    image = images.image()
    stream = breaking(images.stream(image.frames[0], image.data, make.JPEG_BASELINE))

    refused = refusal(images.compressed(image, make.JPEG_BASELINE, streams=[stream]), rules)

    assert refused.reason is Reason.MALFORMED and "JPEG" in refused.detail


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_another_number_of_frames_than_is_told_is_refused(frames, rules):
    image = images.image(frames=4)
    streams = [images.stream(frame, image.data, images.JPEG_LS) for frame in image.frames]
    image.data.NumberOfFrames = frames

    assert refusal(images.compressed(image, images.JPEG_LS, streams=streams), rules).reason is Reason.MALFORMED


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


@pytest.mark.parametrize("syntax", images.NATIVE)
@pytest.mark.parametrize("form", [{}, {"allocated": 16}, {"photometric": "YBR_FULL_422"}, {"allocated": 1}], ids=str)
def test_words_behind_the_last_uncompressed_frame_do_not_leave(form, syntax, rules):
    image = images.image(frames=2, **form)
    exact = image.data.PixelData
    plain = images.uncompressed(image, syntax)
    image.data.PixelData = exact + WORDS + b"."

    result = written(images.uncompressed(image, syntax), rules, accepted=LOOKED_AT)

    left = pydicom.dcmread(io.BytesIO(result)).PixelData
    assert left == pydicom.dcmread(io.BytesIO(plain)).PixelData + bytes(len(WORDS) + 1)


@pytest.mark.parametrize("frames", [1, 3])
def test_the_padding_of_big_endian_words_is_told_from_the_last_pixel(frames, rules):
    image = images.image(frames=frames, shape=(5, 7))
    cells = b"".join(frame.tobytes() for frame in image.frames)
    image.data.PixelData = np.frombuffer(cells + b"X", "<u2").astype(">u2").tobytes()
    image.data["PixelData"].VR = "OW"
    body = make.file(image.data, make.BIG_ENDIAN)

    result = written(body, rules, accepted=LOOKED_AT)

    value = pydicom.dcmread(io.BytesIO(result)).PixelData
    assert np.frombuffer(value, ">u2").astype("<u2").tobytes() == cells + b"\0"


def test_a_frame_or_more_behind_the_last_one_is_refused(rules):
    image = images.image(frames=3)
    image.data.NumberOfFrames = 2

    assert refusal(make.file(image.data), rules).reason is Reason.MALFORMED


def test_zeros_behind_the_last_frame_are_left_alone(rules):
    image = images.image()
    image.data.PixelData += bytes(4096)

    assert isinstance(outcome_of(make.file(image.data), rules, accepted=LOOKED_AT, scratch=None), Deidentified)


@pytest.mark.parametrize("syntax", [images.MPEG4, make.UNKNOWN, "1.2.840.10008.1.2.4.110"])
def test_streams_that_nobody_reads_wait_for_a_person(syntax, rules):
    body = images.compressed(images.image(), syntax, streams=[b"\0\0\1\xb2" + WORDS])

    refused = refusal(body, rules)
    accepted = outcome_of(body, rules, accepted=[*LOOKED_AT, "stream-not-read"])

    assert refused.reason is Reason.STREAM_NOT_READ and syntax in refused.detail
    assert isinstance(accepted, Deidentified)


def test_without_room_nothing_leaves(rules):
    image = images.image()
    stream = images.stream(image.frames[0], image.data, images.JPEG_LS) + WORDS
    body = images.compressed(image, images.JPEG_LS, streams=[stream])

    outcome = outcome_of(body, rules, accepted=LOOKED_AT, scratch=None)

    assert isinstance(outcome, Refused) and outcome.reason is Reason.PIXELS_UNDECODABLE
