"""RLE: a plane for each byte of a cell, each packed by itself. Source: PS3.5 Annex G."""

import struct
from itertools import pairwise
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec.form import PixelForm
from appliance.errors import Malformed

HEADER = struct.Struct("<16L")


def decoded(stream: bytes, form: PixelForm) -> NDArray[Any]:
    """Return a frame, colour by pixel. Raises Malformed where segments and form contradict."""
    width, plane = form.dtype.itemsize, form.rows * form.columns
    count = form.samples * width
    if len(stream) < HEADER.size:
        raise Malformed("The header of an RLE frame is cut.")
    said, *offsets = HEADER.unpack_from(stream)
    starts = [*offsets[:count], len(stream)] if said == count else []
    if not starts or starts[0] != HEADER.size or any(b <= a for a, b in pairwise(starts)):
        raise Malformed(f"An RLE frame has not the {count} segments that its form asks for.")
    # Most significant byte first; one sample after the other.
    planes = np.empty((form.samples, width, plane), np.uint8)
    for index in range(count):
        sample, byte = divmod(index, width)
        planes[sample, width - 1 - byte] = plane_of(stream[starts[index] : starts[index + 1]], plane)[0]
    cells = np.ascontiguousarray(planes.transpose(2, 0, 1)).view(form.dtype.newbyteorder("<"))
    return cells.astype(form.dtype, copy=False).reshape(form.shape)


def encoded(frame: NDArray[Any], form: PixelForm) -> bytes:
    """Return the frame as RLE: each row packed by itself."""
    width = form.dtype.itemsize
    little = np.ascontiguousarray(frame.astype(form.dtype.newbyteorder("<"), copy=False))
    planes = little.view(np.uint8).reshape(form.rows, form.columns, form.samples, width)
    segments = []
    for sample in range(form.samples):
        for byte in reversed(range(width)):
            segment = bytes(imagecodecs.packbits_encode(planes[:, :, sample, byte].copy(), axis=-1))
            segments.append(segment + bytes(len(segment) % 2))
    starts = [HEADER.size]
    for segment in segments[:-1]:
        starts.append(starts[-1] + len(segment))
    head = HEADER.pack(len(segments), *starts, *[0] * (15 - len(starts)))
    return head + b"".join(segments)


def plane_of(packed: bytes, length: int) -> tuple[NDArray[np.uint8], int]:
    """Return the bytes of one plane, and where in ``packed`` their codes end: there, or before one byte of padding.

    Raises Malformed for more padding than that, and for a segment that is broken.
    """
    for end in (len(packed), len(packed) - 1):
        # The zero that makes a segment even looks like the beginning of a run.
        try:
            cells = np.frombuffer(imagecodecs.packbits_decode(packed[:end], out=length), np.uint8)
        except RuntimeError:
            continue
        if len(cells) == length:
            return cells, end
    raise Malformed("A segment of an RLE frame is too short, too long or broken.")
