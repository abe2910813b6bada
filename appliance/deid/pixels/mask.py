"""Painting over: boxes of a frame become black, and every other pixel stays as it is, bit by bit."""

from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.dicom.codec.form import PixelForm
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import FrameWriter, Recoded
from appliance.dicom.element import DataSet, Tag
from appliance.errors import BoxOutside

_OVERLAYS = range(0x6000, 0x6020, 2)
_BITS_ALLOCATED, _BIT_POSITION, _DATA = 0x0100, 0x0102, 0x3000  # of an overlay group


def mask(reader: FrameReader, boxes: Callable[[int], Sequence[Box]], scratch: BinaryIO) -> Recoded:
    """Write the image anew with the boxes painted over; return what becomes of its Data Set.

    boxes    of a frame, by its number from 0; a frame without one keeps its bytes
    scratch  where the new pixels go; it must stay open until they are written

    Overlays that lie in the bits above the pixels are cleared in every frame: their description leaves with the
    header, and what they show would stay behind. Raises BoxOutside, and what FrameReader and FrameWriter raise.
    """
    writer = FrameWriter(reader, scratch)
    hidden = overlay_bits(reader.original.dataset, reader.form)
    for number in range(reader.form.frames):
        wanted = boxes(number)
        if not wanted and not hidden:
            writer.keep(number)
            continue
        frame = paint(reader.frame(number), wanted, reader.black(number), halved=reader.halved)
        if hidden:
            frame &= frame.dtype.type(~hidden & _all_ones(frame))
        writer.put(number, frame)
    return writer.finish()


def paint(frame: NDArray[Any], boxes: Sequence[Box], black: Sequence[int], *, halved: bool = False) -> NDArray[Any]:
    """Return ``frame`` with every box filled with ``black``.

    frame   (R, C) or (R, C, S), integer; S is Samples per Pixel, colour by pixel. Not modified.
    boxes   pixels from the top left, half open: rows [top, bottom), columns [left, right)
    black   stored value for each sample (``FrameReader.black``); it fills the whole cell, what stands in the bits
            above the pixel included
    halved  two columns share their colour differences: those of both go, the neighbour's brightness stays

    Boxes beyond the edge are clipped; a box wholly outside raises BoxOutside, because a wrong device geometry must
    never pass for a clean image.  Source: PS3.3 C.7.6.3, C.8.5.5.
    """
    painted = frame.copy()
    rows, columns = frame.shape[:2]
    for box in boxes:
        inside = box.within(rows=rows, columns=columns)
        if not inside.area:
            raise BoxOutside(
                f"A box at column {box.left} and row {box.top} lies outside of a frame of {columns} x {rows} pixels."
            )
        down, across = slice(inside.top, inside.bottom), slice(inside.left, inside.right)
        if not halved:
            painted[down, across] = black[0] if frame.ndim == 2 else black
            continue
        pairs = slice(inside.left & ~1, inside.right + (inside.right & 1))
        painted[down, across, 0] = black[0]
        painted[down, pairs, 1:] = black[1:]
    return painted


def overlay_bits(data: DataSet, form: PixelForm) -> int:
    """Return the bits of a cell, outside of the pixel, in which overlays are drawn. Source: PS3.3 C.9.2."""
    bits = 0
    for group in _OVERLAYS:
        base = group << 16
        if base | _BIT_POSITION in data and base | _DATA not in data and _number(data, base | _BITS_ALLOCATED) != 1:
            bits |= 1 << min(63, _number(data, base | _BIT_POSITION))
    pixel = ((1 << form.bits_stored) - 1) << (form.high_bit + 1 - form.bits_stored)
    return bits & ~pixel & ((1 << form.bits_allocated) - 1)


def _all_ones(frame: NDArray[Any]) -> int:
    return -1 if frame.dtype.kind == "i" else int(np.iinfo(frame.dtype).max)


def _number(data: DataSet, tag: Tag) -> int:
    element = data.get(tag)
    value = element.value if element is not None and isinstance(element.value, bytes) else b""
    return int.from_bytes(value[:2], "little" if data.little_endian else "big")
