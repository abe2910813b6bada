"""Uncompressed pixels: cells in a row, whatever their order, planes, halved colours. Source: PS3.5 Section 8.1, 8.2."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec.form import HALVED, PixelForm
from appliance.errors import CannotDecode

Cells = NDArray[Any]
Order = Literal["<", ">"]


def unpacked(raw: bytes, form: PixelForm, *, order: Order, first_bit: int = 0) -> Cells:
    """Return a frame as (R, C) or (R, C, 3): stored values, colour by pixel, halved colours doubled.

    order      "<" or ">": the bytes of a cell
    first_bit  of cells of one bit: where in ``raw`` the frame begins
    """
    if form.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")
        return bits[first_bit : first_bit + form.cells].astype(form.dtype).reshape(form.shape)
    cells = np.frombuffer(raw, form.dtype.newbyteorder(order)).astype(form.dtype)
    if form.photometric in HALVED:
        return _doubled(cells, form)
    if form.photometric == "YBR_PARTIAL_420":
        raise CannotDecode("Uncompressed YBR_PARTIAL_420 is not read.")
    if form.samples == 3 and form.planar == 1:
        return np.ascontiguousarray(cells.reshape(3, form.rows, form.columns).transpose(1, 2, 0))
    return cells.reshape(form.shape)


def packed(frame: Cells, form: PixelForm, *, order: Order) -> bytes:
    """Return the bytes of a frame, the inverse of ``unpacked``; cells of one bit as one byte each.

    Of halved colours those of every first column of two are written.
    """
    if form.bits_allocated == 1:
        return (frame & 1).astype(np.uint8).tobytes()
    if form.photometric in HALVED:
        pairs = frame.reshape(form.rows, form.columns // 2, 2, 3)
        frame = np.concatenate((pairs[..., 0], pairs[:, :, 0, 1:]), axis=-1)
    elif form.samples == 3 and form.planar == 1:
        frame = frame.transpose(2, 0, 1)
    return frame.astype(form.dtype.newbyteorder(order), copy=False).tobytes()


def _doubled(cells: Cells, form: PixelForm) -> Cells:
    """Y1 Y2 Cb Cr for two columns. Source: PS3.3 C.7.6.3.1.2."""
    if form.columns % 2 or form.planar:
        raise CannotDecode("Halved colours need an even number of Columns (0028,0011), and no planes.")
    groups = cells.reshape(form.rows, form.columns // 2, 4)
    frame = np.empty((form.rows, form.columns // 2, 2, 3), form.dtype)
    frame[..., 0] = groups[..., :2]
    frame[..., 1:] = groups[:, :, None, 2:]
    return frame.reshape(form.shape)
