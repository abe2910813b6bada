"""Nothing leaves in pixel data but pixels: words beside them are gone, and every pixel and offset stays."""

import io
import subprocess

import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified, Refused
from appliance.deid.ruleset import load_rules
from appliance.reasons import Reason
from tests.make import images, make
from tests.make.beside import LOOKED_AT, WORDS, before_end, check, in_front, refusal, segment, streams_of, with_streams
from tests.make.deidentified import outcome_of, rules_from, written

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


def test_without_room_nothing_leaves(rules):
    image = images.image()
    stream = images.stream(image.frames[0], image.data, images.JPEG_LS) + WORDS
    body = images.compressed(image, images.JPEG_LS, streams=[stream])

    outcome = outcome_of(body, rules, accepted=LOOKED_AT, scratch=None)

    assert isinstance(outcome, Refused) and outcome.reason is Reason.PIXELS_UNDECODABLE
