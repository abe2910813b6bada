"""What the numbers of a frame are: colours, black, the picture that a reader sees. Source: PS3.3 C.7.6.3.1, C.11."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec.families import Family
from appliance.dicom.codec.form import PixelForm
from appliance.dicom.codec.streams import Stream
from appliance.dicom.element import DataSet, Tag
from appliance.dicom.part10 import Part10

Cells = NDArray[Any]
Picture = NDArray[np.uint8]

_PADDING = 0x00280120
_CENTRE, _WIDTH, _INTERCEPT, _SLOPE, _MODALITY_LUT = 0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00283000
_DESCRIPTORS, _TABLES = (0x00281101, 0x00281102, 0x00281103), (0x00281201, 0x00281202, 0x00281203)
_MOST_TABLE_BYTES = 2 * 65536


def meaning_of(form: PixelForm, stream: Stream | None, family: Family) -> str:
    """Return what decoded numbers are: a photometric interpretation without what belongs to the code stream.

    JPEG 2000's own transform is undone by its decoder; lossy JPEG says itself whether it is RGB, and is believed more
    than the Data Set, as all readers do.
    """
    told = form.photometric
    if form.samples == 1:
        return told
    if stream is not None and (stream.turned or stream.colours):
        return "YBR_FULL" if stream.colours == "YBR" else "RGB"
    if told in ("YBR_ICT", "YBR_RCT"):
        return "RGB"
    if told.startswith("YBR_PARTIAL"):
        return "YBR_PARTIAL"
    return "YBR_FULL" if told.startswith("YBR_FULL") else "RGB"


def black_of(form: PixelForm, meaning: str, original: Part10) -> tuple[int, ...]:
    """Return the stored value of black for each sample, as a number of the allocated cell.

    Of greys the padding value if it is a dark one: then no window is stretched by what was painted.
    """
    shift = form.high_bit + 1 - form.bits_stored
    half = 1 << (form.bits_stored - 1)
    low, high = (-half, half - 1) if form.signed else (0, 2 * half - 1)
    if meaning == "RGB":
        return (0, 0, 0)
    if meaning.startswith("YBR"):
        floor = 16 * (2 * half) // 256 if meaning == "YBR_PARTIAL" else 0
        return (floor << shift, half << shift, half << shift)
    if meaning == "PALETTE COLOR":
        return (_darkest(original, low, high) << shift,)
    padding = _integer(original.dataset, _PADDING, signed=form.signed)
    middle = (low + high) // 2
    if meaning == "MONOCHROME1":
        return ((padding if padding is not None and middle < padding <= high else high) << shift,)
    return ((padding if padding is not None and low <= padding <= middle else low) << shift,)


def picture_of(frame: Cells, form: PixelForm, meaning: str, original: Part10, *, windowed: bool) -> Picture:
    """Return what a reader sees of a frame, 8 bit: (R, C) or (R, C, 3) RGB."""
    pixels = _pixels(frame, form)
    if meaning == "PALETTE COLOR":
        table = palette_of(original)
        if table is not None:
            colours, first = table
            return colours[np.clip(pixels.astype(np.int64) - first, 0, len(colours) - 1)]
        meaning = "MONOCHROME2"  # a segmented table: its numbers still show where something is drawn
    if form.samples == 1:
        window = _window(original) if windowed else None
        return _greys(pixels, form, window, _integer(original.dataset, _PADDING, signed=form.signed), meaning)
    deep = max(0, form.bits_stored - 8)
    colours = (pixels >> deep).astype(np.uint8)
    return colours if meaning == "RGB" else rgb_of(colours, partial=meaning == "YBR_PARTIAL")


def rgb_of(ybr: Cells, *, partial: bool = False) -> Picture:
    """Return 8 bit YBR_FULL, or YBR_PARTIAL, as RGB. Source: PS3.3 C.7.6.3.1.2."""
    result = np.empty(ybr.shape, np.uint8)
    for row in range(0, len(ybr), 256):  # some rows at a time: floats are eight times as large
        part = ybr[row : row + 256].astype(np.float32)
        y, blue, red = part[..., 0], part[..., 1] - 128, part[..., 2] - 128
        if partial:
            y, blue, red = (y - 16) * (255 / 219), blue * (255 / 224), red * (255 / 224)
        turned = np.stack((y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue), axis=-1)
        result[row : row + 256] = np.clip(np.rint(turned), 0, 255)
    return result


def palette_of(original: Part10) -> tuple[Picture, int] | None:
    """Return the palette as (N, 3) RGB and the number that its first entry stands for; None without a plain one."""
    data = original.dataset
    columns, first = [], 0
    for descriptor, table in zip(_DESCRIPTORS, _TABLES, strict=True):
        told, raw = value_in(original, descriptor) or b"", value_in(original, table) or b""
        if len(told) != 6:
            return None
        order = "<" if data.little_endian else ">"
        count, first, bits = (int(number) for number in np.frombuffer(told, f"{order}u2"))
        count = count or 65536
        if bits == 8 and count <= len(raw) <= count + 1:
            column = np.frombuffer(raw, np.uint8)[:count]
        elif len(raw) == 2 * count:
            wide = np.frombuffer(raw, f"{order}u2")
            column = (wide >> (8 if bits > 8 else 0)).astype(np.uint8)
        else:
            return None
        columns.append(column)
    if len({len(column) for column in columns}) != 1:
        return None
    return np.stack(columns, axis=-1), first


def _darkest(original: Part10, low: int, high: int) -> int:
    """Return the number of the darkest entry that a pixel can name."""
    table = palette_of(original)
    if table is None:
        return low
    colours, first = table
    reachable = colours[: max(1, high - first + 1)].astype(np.int32).sum(axis=-1)
    return first + int(reachable.argmin())


def _pixels(frame: Cells, form: PixelForm) -> Cells:
    """Return the pixel within each cell: what stands above or below it is something else."""
    shift = form.high_bit + 1 - form.bits_stored
    if form.bits_stored == form.bits_allocated:
        return frame
    bits = (frame.astype(np.int64) >> shift) & ((1 << form.bits_stored) - 1)
    if form.signed:
        sign = 1 << (form.bits_stored - 1)
        bits = (bits ^ sign) - sign
    return bits.astype(form.dtype)


def _greys(
    pixels: Cells, form: PixelForm, window: tuple[float, float] | None, padding: int | None, meaning: str
) -> Picture:
    if form.bits_stored == 1:
        bottom, top = 0.0, 1.0
    elif window is not None:
        bottom, top = window
    else:
        seen = pixels if padding is None else pixels[pixels != padding]
        bottom, top = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    scale = 255 / max(top - bottom, 1e-6)
    result = np.empty(pixels.shape, np.uint8)
    for row in range(0, len(pixels), 256):
        part = (pixels[row : row + 256].astype(np.float32) - bottom) * scale
        result[row : row + 256] = np.clip(np.rint(part), 0, 255)
    return 255 - result if meaning == "MONOCHROME1" else result


def _window(original: Part10) -> tuple[float, float] | None:
    """Return the stored values that the first window shows as black and white; None without a usable one."""
    data = original.dataset
    centre, width = _decimal(data, _CENTRE), _decimal(data, _WIDTH)
    slope, intercept = _decimal(data, _SLOPE), _decimal(data, _INTERCEPT)
    if centre is None or width is None or width < 1 or slope == 0 or _MODALITY_LUT in data:
        return None
    slope, intercept = slope or 1.0, intercept or 0.0
    edges = sorted((edge - intercept) / slope for edge in (centre - width / 2, centre + width / 2))
    return (edges[0], edges[1]) if slope > 0 and abs(edges[0]) < 2**40 and abs(edges[1]) < 2**40 else None


def _decimal(data: DataSet, tag: Tag) -> float | None:
    element = data.get(tag)
    if element is None or not isinstance(element.value, bytes):
        return None
    try:
        number = float(element.value.decode("latin-1").split("\\")[0].strip(" \0"))
    except ValueError:
        return None
    return number if number - number == 0 else None  # neither infinite nor none


def _integer(data: DataSet, tag: Tag, *, signed: bool) -> int | None:
    element = data.get(tag)
    if element is None or not isinstance(element.value, bytes) or len(element.value) != 2:
        return None
    return int.from_bytes(element.value, "little" if data.little_endian else "big", signed=signed)


def value_in(original: Part10, tag: Tag, most: int = _MOST_TABLE_BYTES) -> bytes | None:
    """Return the bytes of an element, from the file too; None if it is missing, a sequence or longer than ``most``."""
    element = original.dataset.get(tag)
    if element is None or isinstance(element.value, list):
        return None
    if isinstance(element.value, bytes):
        return element.value
    file = element.value.lies_in(original.source)
    file.seek(element.value.offset)
    return file.read(element.value.length) if element.value.length <= most else None
