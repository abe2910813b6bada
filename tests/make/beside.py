"""Words where no pixel stands: put into streams, looked for in results that must hold every pixel and none of them."""

import io
import struct

import numpy as np
import pydicom
from pydicom.encaps import encapsulate, generate_frames

from appliance.deid.outcome import Refused
from appliance.deid.ruleset import Ruleset
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from tests.make.deidentified import outcome_of, written

WORDS = b"SECRETSON^SVEN 19620708"
LOOKED_AT = ["burned-in-risk"]  # the images are secondary captures


def segment(marker: int, body: bytes = WORDS) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def in_front(stream: bytes, more: bytes) -> bytes:
    """The JPEG stream with more segments behind its first marker."""
    return stream[:2] + more + stream[2:]


def before_end(stream: bytes, more: bytes) -> bytes:
    """The JPEG stream with more segments between its scan and its end."""
    end = stream.rindex(b"\xff\xd9")
    return stream[:end] + more + stream[end:]


def with_streams(body: bytes, streams: list[bytes]) -> bytes:
    """The file with other frames."""
    data = pydicom.dcmread(io.BytesIO(body))
    data.PixelData = encapsulate(streams)
    out = io.BytesIO()
    data.save_as(out)
    return out.getvalue()


def streams_of(body: bytes) -> list[bytes]:
    data = pydicom.dcmread(io.BytesIO(body))
    return list(generate_frames(data.PixelData, number_of_frames=int(data.get("NumberOfFrames", 1))))


def frames_of(body: bytes) -> list[np.ndarray]:
    reader = FrameReader(part10.read(io.BytesIO(body)))
    return [reader.frame(n) for n in range(reader.form.frames)]


def check(body: bytes, rules: Ruleset) -> bytes:
    """De-identify what holds the words; return the result, without them and with every pixel."""
    assert WORDS in body

    result = written(body, rules, accepted=LOOKED_AT)

    assert WORDS not in result
    for before, after in zip(frames_of(body), frames_of(result), strict=True):
        assert before.dtype == after.dtype and np.array_equal(before, after)
    old, new = (pydicom.dcmread(io.BytesIO(each)).PixelData for each in (body, result))
    assert len(old) == len(new)
    return result


def refusal(body: bytes, rules: Ruleset) -> Refused:
    outcome = outcome_of(body, rules, accepted=LOOKED_AT)
    assert isinstance(outcome, Refused), outcome
    return outcome
