"""Nothing leaves in pixel data but pixels: what else is in them is written over, whoever looked at them or not."""

from collections.abc import Callable
from typing import BinaryIO

from appliance.deid.outcome import Report
from appliance.dicom.codec.patch import patched
from appliance.dicom.codec.surplus import surplus_of
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Element, Tag, tag_text
from appliance.dicom.part10 import Part10
from appliance.errors import CannotDecode

_PIXELS: tuple[Tag, ...] = (0x7FE00008, 0x7FE00009, PIXEL_DATA)


def without_surplus(
    data: DataSet,
    syntax: str,
    source: BinaryIO,
    scratch: Callable[[], BinaryIO],
    report: Report,
    *,
    unread: bool = False,
    path: str = "",
) -> None:
    """Write over what the pixel data of ``data``, at any depth, hold beside pixels; none is decoded.

    syntax   transfer syntax of the result
    source   what its Bulk values without a source of their own refer to; it is never written to
    scratch  gives an empty file for pixel data that must be copied, which lives as long as the result is wanted; not
             called when there is nothing to write over

    unread   somebody took streams that nobody here walks upon themselves: they stay as they are

    Changes ``data`` and ``report``. Raises Malformed or CannotDecode for what cannot be told from pixels, and then
    there is no result; CannotEncode or OSError of ``scratch``.
    """
    for element in list(data):
        at = path + tag_text(element.tag)
        for number, item in enumerate(element.items):
            without_surplus(item, syntax, source, scratch, report, unread=unread, path=f"{at}[{number}].")
        if element.tag in _PIXELS and isinstance(element.value, Bulk):
            bulk = element.value
            try:
                patches = surplus_of(Part10(b"", DataSet(), data, syntax, 0, source), element, bulk)
            except CannotDecode:
                if not unread:
                    raise
                continue
            if patches:
                kept = patched(bulk, bulk.lies_in(source), patches, scratch())
                data.put(Element(element.tag, element.vr, kept))
                report.lines.append((at, f"written over {len(patches)}", "beside pixels, not needed to decode them"))
