"""What stands behind the last frame of uncompressed pixel data: padding, or whatever somebody put there."""

from typing import BinaryIO

from appliance.dicom.codec.form import (
    ALLOCATED,
    COLUMNS,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    number_in,
    number_of_frames,
    text_in,
)
from appliance.dicom.codec.patch import Patch
from appliance.dicom.element import PIXEL_DATA, Bulk, Element, tag_text
from appliance.dicom.part10 import Part10
from appliance.errors import Malformed

_FLOATING_BITS = {0x7FE00008: 32, 0x7FE00009: 64}
_CHUNK = 1 << 20


def native_surplus(image: Part10, element: Element, bulk: Bulk) -> list[Patch]:
    """Return what to put over the bytes behind the last frame that its Data Set tells of.

    Raises Malformed where these are a frame or more: then a number is wrong, and they may well be pixels.
    """
    data_set, tag = image.dataset, element.tag
    bits = number_in(data_set, ROWS) * number_in(data_set, COLUMNS)
    bits *= _FLOATING_BITS[tag] if tag != PIXEL_DATA else number_in(data_set, SAMPLES) * number_in(data_set, ALLOCATED)
    frames = number_of_frames(data_set)
    lengths = [_bytes(bits * frames)]
    # Colours for every second column only, as told; or for all, as some write who tell so.
    photometric = text_in(data_set, PHOTOMETRIC) if tag == PIXEL_DATA else ""
    if photometric.endswith(("_422", "_420")):
        lengths.append(_bytes(bits * frames * 2 // 3 if photometric.endswith("_422") else bits * frames // 2))
    expected = next((length for length in lengths if length <= bulk.length), bulk.length)
    runs = [(expected, bulk.length)]
    if expected & 1 and element.vr == "OW" and not data_set.little_endian and number_in(data_set, ALLOCATED) <= 8:
        runs = [(expected - 1, expected), (expected + 1, bulk.length)]  # the last word is turned, and its padding first
    file = bulk.lies_in(image.source)
    runs = [(begin, end) for begin, end in runs if not _is_blank(file, bulk.offset + begin, end - begin)]
    if any(end - begin > 1 and end - begin >= _bytes(bits) for begin, end in runs):
        raise Malformed(f"{tag_text(tag)} has {bulk.length} bytes; {frames} frames have {expected}.")
    return [Patch(bulk.offset + begin, bytes(end - begin)) for begin, end in runs]


def _bytes(bits: int) -> int:
    return (bits + 7) // 8


def _is_blank(file: BinaryIO, offset: int, length: int) -> bool:
    file.seek(offset)
    while length > 0 and (data := file.read(min(_CHUNK, length))):
        if data.strip(b"\0"):
            return False
        length -= len(data)
    return True
