"""Sequences that a system wrote as UN because it did not know them. Source: PS3.5 Section 6.2.2."""

import io
from typing import BinaryIO

from appliance.dicom.element import Bulk, DataSet, Element
from appliance.dicom.encoding import IMPLICIT_LITTLE
from appliance.dicom.scan import Scanner
from appliance.dicom.text import inherit_charsets
from appliance.errors import Malformed

BULK_FROM = 4096
MAX_HEADER = 64 * 1024 * 1024
_ITEM = b"\xfe\xff\x00\xe0"
_SHORTEST = 16  # an item with one empty element


def sequence_in_unknown(
    element: Element, source: BinaryIO, *, charsets: tuple[str, ...] = (), max_header: int = MAX_HEADER
) -> list[DataSet] | None:
    """Return the items that an element of VR UN and defined length holds, or None if its bytes are no sequence.

    Whatever the file's own syntax, they are in implicit VR little endian. Strict: items from the first byte to the
    last (a closing Sequence Delimitation Item is allowed), elements ascending, at least one of them. An empty value
    is None. Sequences in UN further inside are not looked for: ask again for them.

    source    what the file's Bulk values refer to; in a Bulk value, large values inside are Bulk of the same source
    charsets  in force where the element stands
    """
    value = element.value
    if isinstance(value, list):
        return value
    if isinstance(value, Bulk):
        if value.encapsulated:
            return None
        inside, start, length, bulk_from = source, value.offset, value.length, BULK_FROM
    else:
        inside, start, length, bulk_from = io.BytesIO(value), 0, len(value), len(value) + 1
    inside.seek(start)
    if length < _SHORTEST or inside.read(4) != _ITEM:
        return None
    for delimited in (False, True):
        scanner = Scanner(inside, start, max_header=max_header, bulk_from=bulk_from)
        try:
            items, end = scanner.items(start, start + length, IMPLICIT_LITTLE, depth=1, delimited=delimited)
        except Malformed:
            continue
        if end == start + length and any(item.elements for item in items) and all(map(_ascends, items)):
            for item in items:
                inherit_charsets(item, charsets)
            return items
    return None


def _ascends(data_set: DataSet) -> bool:
    tags = list(data_set.elements)
    return tags == sorted(tags) and all(_ascends(item) for element in data_set for item in element.items)
