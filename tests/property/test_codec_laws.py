"""Laws of pixels: what is encoded exactly comes back exactly; whatever the bytes, a frame or a refusal."""

import io
import os
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import FrameWriter
from appliance.errors import CannotDecode, Malformed
from tests.make import images, make

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
ENCODED = (*images.LOSSLESS, *images.LOSSY)


@st.composite
def forms(draw):
    """A greyscale or colour image of any size and depth, its numbers drawn."""
    allocated = draw(st.sampled_from([8, 16]))
    photometric = draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL"]))
    image = images.image(
        photometric,
        allocated=allocated,
        stored=draw(st.integers(2, allocated)),
        signed=photometric.startswith("MONO") and draw(st.booleans()),
        frames=draw(st.integers(1, 3)),
        shape=(draw(st.integers(1, 40)), draw(st.integers(1, 40))),
    )
    chance = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = np.iinfo(image.frames[0].dtype)
    if draw(st.booleans()):
        noise = [chance.integers(bits.min, bits.max, frame.shape, frame.dtype, endpoint=True) for frame in image.frames]
        value = b"".join(frame.tobytes() for frame in noise)
        image.data.PixelData = value + bytes(len(value) % 2)
        return images.Image(image.data, noise)
    return image


@settings(max_examples=EXAMPLES, deadline=None)
@given(forms(), st.sampled_from(images.LOSSLESS), st.sampled_from([*images.LOSSLESS, make.EXPLICIT]))
def test_through_any_two_lossless_syntaxes_every_bit_comes_back(image, first, second):
    reader = FrameReader(part10.read(io.BytesIO(make.file(image.data))))

    for target in (first, second, make.IMPLICIT):
        writer = FrameWriter(reader, io.BytesIO(), target)
        for number in range(reader.form.frames):
            writer.keep(number)
        done = writer.finish()
        original = reader.original
        done.apply(original.dataset)
        original.transfer_syntax = target
        reader = FrameReader(original)

    assert all(np.array_equal(reader.frame(number), frame) for number, frame in enumerate(image.frames))


@cache
def _originals() -> tuple[bytes, ...]:
    grey = images.image(frames=2, allocated=16, stored=12, shape=(9, 13))
    eight, colour = images.image(frames=2, shape=(9, 13)), images.image("RGB", frames=2, shape=(9, 13))
    coded = [images.compressed(image, syntax) for syntax in ENCODED for image in (eight, colour)]
    native = [make.file(image.data, syntax) for syntax in (make.EXPLICIT, make.BIG_ENDIAN) for image in (grey, colour)]
    return (*coded, *native, images.compressed(grey, make.JPEG_2000, pieces=3, table="none"))


@pytest.mark.slow
@settings(max_examples=EXAMPLES * 3, deadline=None)
@given(st.data())
def test_whatever_the_bytes_there_is_a_frame_or_a_refusal(data):
    body = bytearray(data.draw(st.sampled_from(_originals())))
    pixels = body.rfind(b"\xe0\x7f\x10\x00") if b"\xe0\x7f\x10\x00" in body else len(body) // 2
    for _ in range(data.draw(st.integers(1, 6))):
        # Mostly where the pixels and their description are.
        at = data.draw(st.integers(min(max(0, pixels - 200), len(body) - 1), len(body) - 1))
        match data.draw(st.sampled_from(["set", "number", "delete", "insert", "cut"])):
            case "set":
                body[at : at + 1] = bytes([data.draw(st.integers(0, 255))])
            case "number":
                body[at : at + 2] = data.draw(
                    st.sampled_from([b"\xff\xff", b"\0\0", b"\xff\xd9", b"\x7f\xff", b"\1\0"])
                )
            case "delete":
                del body[at : at + data.draw(st.integers(1, 40))]
            case "insert":
                body[at:at] = data.draw(st.binary(min_size=1, max_size=20))
            case _:
                del body[at:]

    try:
        reader = FrameReader(part10.read(io.BytesIO(bytes(body))))
        for number in range(min(3, reader.form.frames)):
            frame, picture = reader.frame(number), reader.picture(number)
            assert frame.shape == reader.form.shape and frame.dtype == reader.form.dtype
            assert picture.dtype == np.uint8 and picture.shape[:2] == frame.shape[:2]
            assert len(reader.black(number)) == reader.form.samples
    except (Malformed, CannotDecode):
        pass
