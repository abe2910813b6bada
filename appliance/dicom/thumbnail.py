"""A small picture of an image's first frame, to recognise it by; not for diagnosis: greys are stretched.

Only native pixel data, which need no codec. Source: PS3.3 C.7.6.3, PS3.5 Section 8; PNG: ISO/IEC 15948.
"""

import struct
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec.meaning import rgb_of
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Tag

EDGE = 160  # pixels of the longer side
_MOST = 256 * 1024 * 1024  # bytes of a frame that is looked at
_ROWS, _COLUMNS, _ALLOCATED = 0x00280010, 0x00280011, 0x00280100
_SAMPLES, _SIGNED, _PLANAR, _PHOTOMETRIC = 0x00280002, 0x00280103, 0x00280006, 0x00280004
_GREY, _COLOUR = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL")


def thumbnail(data_set: DataSet, source: BinaryIO, edge: int = EDGE) -> bytes | None:
    """Return a PNG of the first frame; None if there are no pixels, or none that can be shown without a codec.

    source  what the tree's Bulk values refer to
    """
    rows, columns, samples = (_number(data_set, tag) for tag in (_ROWS, _COLUMNS, _SAMPLES))
    bits = _number(data_set, _ALLOCATED)
    kind = _word(data_set, _PHOTOMETRIC)
    known = (samples == 1 and kind in _GREY) or (samples == 3 and kind in _COLOUR and bits == 8)
    length = rows * columns * samples * bits // 8
    if not known or bits not in (8, 16) or not 0 < length <= _MOST:
        return None
    raw = _first(data_set, source, length)
    if raw is None:
        return None
    order = "<" if data_set.little_endian else ">"
    signed = samples == 1 and _number(data_set, _SIGNED) == 1
    values = np.frombuffer(raw, dtype=f"{order}{'i' if signed else 'u'}{bits // 8}")
    step = max(1, -(-max(rows, columns) // edge))
    if samples == 1:
        return png(_greys(values.reshape(rows, columns)[::step, ::step], inverted=kind == "MONOCHROME1"))
    planes = _number(data_set, _PLANAR) == 1
    shaped = values.reshape(3, rows, columns).transpose(1, 2, 0) if planes else values.reshape(rows, columns, 3)
    small = shaped[::step, ::step]
    return png(small if kind == "RGB" else rgb_of(small))


def png(picture: NDArray[Any]) -> bytes:
    """Return (R, C) greys or (R, C, 3) colours, 8 bit, as a PNG file."""
    rows, columns = picture.shape[:2]
    lines = np.zeros((rows, 1 + picture[0].size), dtype=np.uint8)  # each line begins with its filter: none
    lines[:, 1:] = picture.reshape(rows, -1)
    head = struct.pack(">LLBBBBB", columns, rows, 8, 0 if picture.ndim == 2 else 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines.tobytes(), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body)) for name, body in parts
    )


def _greys(values: NDArray[Any], *, inverted: bool) -> NDArray[Any]:
    numbers = values.astype(np.float64)
    low, high = np.percentile(numbers, (1, 99))
    scaled = (numbers - low) / max(high - low, 1.0) * 255
    greys: NDArray[Any] = np.clip(scaled, 0, 255).astype(np.uint8)
    return 255 - greys if inverted else greys


def _first(data_set: DataSet, source: BinaryIO, length: int) -> bytes | None:
    element = data_set.get(PIXEL_DATA)
    value = None if element is None else element.value
    raw = b""
    if isinstance(value, bytes):
        raw = value[:length]
    elif isinstance(value, Bulk) and not value.encapsulated and value.length >= length:
        source = value.lies_in(source)
        source.seek(value.offset)
        raw = source.read(length)
    return raw if len(raw) == length else None


def _number(data_set: DataSet, tag: Tag) -> int:
    element = data_set.get(tag)
    if element is None or not isinstance(element.value, bytes) or len(element.value) < 2:
        return 0
    return int.from_bytes(element.value[:2], "little" if data_set.little_endian else "big")


def _word(data_set: DataSet, tag: Tag) -> str:
    element = data_set.get(tag)
    value = element.value if element is not None and isinstance(element.value, bytes) else b""
    return value.decode("latin-1").strip(" \0")
