"""Nothing leaves behind uncompressed frames, beside a mask, or in streams that nobody reads."""

import io

import numpy as np
import pydicom
import pytest

from appliance.cli.deidentify import recipe_for
from appliance.deid.outcome import Deidentified, Looked
from appliance.deid.pixels.looking import Cleaned
from appliance.deid.ruleset import load_rules
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import FrameWriter
from appliance.model import ONLY_PROJECT, Provenance
from appliance.reasons import Reason
from appliance.services.worker import Job, Made, equip, work
from tests.make import images, make
from tests.make.beside import LOOKED_AT, WORDS, frames_of, in_front, refusal, segment
from tests.make.deidentified import outcome_of, written


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


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


class Masked:
    """Makes the first frame of an image black and keeps the others as they are, as a mask does."""

    def clean(self, original, ask):
        reader = FrameReader(original)
        writer = FrameWriter(reader, io.BytesIO())
        writer.put(0, np.zeros_like(reader.frame(0)))
        for number in range(1, reader.form.frames):
            writer.keep(number)
        done = writer.finish()
        looked = Looked(ask.task.rule, reader.form.frames, 1, "engine 1.0", ())
        return Cleaned(looked, done.transfer_syntax, done.put, done.remove)


@pytest.mark.parametrize("syntax", [make.JPEG_BASELINE, images.JPEG_LOSSLESS, images.JPEG_LS])
def test_frames_that_a_mask_leaves_alone_are_cleaned_too(syntax, rules):
    image = images.image(frames=3)
    streams = [in_front(images.stream(frame, image.data, syntax), segment(0xFE)) for frame in image.frames]
    body = images.compressed(image, syntax, streams=streams)

    result = written(body, rules, pixels=Masked())

    assert body.count(WORDS) == 3 and WORDS not in result
    assert all(np.array_equal(*pair) for pair in zip(frames_of(body)[1:], frames_of(result)[1:], strict=True))
    assert not frames_of(result)[0].any()


def test_a_worker_writes_the_result_and_nothing_stays_beside_it_or_changes_in_the_original(tmp_path):
    image = images.image("MONOCHROME2", frames=2, shape=(40, 48))
    streams = [in_front(images.stream(frame, image.data, images.JPEG_LS), segment(0xFE)) for frame in image.frames]
    original, key = tmp_path / "original.dcm", tmp_path / "key"
    original.write_bytes(body := images.compressed(image, images.JPEG_LS, streams=streams))
    key.write_bytes(bytes(range(32)))
    (tmp_path / "making").mkdir()
    job = Job(
        "20261120T181522123Z-CT1-k7f3q9",
        1,
        original,
        tmp_path / "making" / "result.dcm",
        Provenance("CT1", project=ONLY_PROJECT),
        ("", ""),
        frozenset(LOOKED_AT),
        "site",
    )

    first, again = (work(equip(recipe_for(None, None, key)), job) for _ in range(2))

    assert isinstance(first, Made) and isinstance(again, Made) and first.digest == again.digest
    assert [path.name for path in first.staged.parent.iterdir()] == ["result.dcm"]
    result = first.staged.read_bytes()
    assert WORDS not in result and original.read_bytes() == body
    assert all(np.array_equal(*pair) for pair in zip(frames_of(result), image.frames, strict=True))
