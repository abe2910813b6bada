"""A tree in the other byte order: every number turned, texts and bytes as they are. Source: PS3.5 Section 7.3."""

from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

import numpy as np

from appliance.dicom.element import Bulk, DataSet, Element
from appliance.errors import Malformed

# Bytes of one number. UN and OB have none that anybody knows.
_WIDTHS = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
_CHUNK = 1024 * 1024


def turned(data: DataSet, source: BinaryIO, scratch: Callable[[], BinaryIO]) -> DataSet:
    """Return the Data Set in the other byte order.

    source   what its Bulk values without a source of their own refer to
    scratch  gives a file for the large values that have to be turned; it must stay open as long as the result is wanted

    Items of a sequence whose VR is UN stay in little endian, which they have in every transfer syntax (PS3.5 6.2.2).
    Raises Malformed for a value that is no whole number of numbers.
    """
    result = DataSet({}, not data.little_endian, data.charsets)
    for tag, element in data.elements.items():
        value = element.value
        if isinstance(value, list):
            stays = element.vr == "UN" or not all(item.little_endian == data.little_endian for item in value)
            items = value if stays else [turned(item, source, scratch) for item in value]
            result.elements[tag] = Element(tag, element.vr, items)
            continue
        width = _WIDTHS.get(element.vr, 1)
        if width == 1 or (isinstance(value, Bulk) and value.encapsulated):
            result.elements[tag] = element
        elif isinstance(value, Bulk):
            result.elements[tag] = Element(tag, element.vr, _turned_bulk(value, width, source, scratch))
        else:
            result.elements[tag] = Element(tag, element.vr, _turned(value, width))
    return result


def _turned(value: bytes, width: int) -> bytes:
    if len(value) % width:
        raise Malformed(f"A value of numbers of {width} bytes has {len(value)}.")
    return np.frombuffer(value, f"<u{width}").astype(f">u{width}").tobytes()


def _turned_bulk(bulk: Bulk, width: int, source: BinaryIO, scratch: Callable[[], BinaryIO]) -> Bulk:
    file, target = bulk.lies_in(source), scratch()
    begin = target.tell()
    for at in range(0, bulk.length, _CHUNK):
        file.seek(bulk.offset + at)
        target.write(_turned(file.read(min(_CHUNK, bulk.length - at)), width))
    return replace(bulk, offset=begin, source=target)
