"""From a tree to bytes: sorted, without group lengths, sequences with defined lengths. Source: PS3.5 Section 7.

What lies between is a list of pieces, so that a value left in the file is copied there and never held.
"""

from appliance.dicom.dictionary import vr_of
from appliance.dicom.element import Bulk, DataSet, Element
from appliance.dicom.encoding import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_CODES,
    SEQUENCE_END,
    SHORT_CODES,
    TEXT_PADDED,
    UNDEFINED,
    Encoding,
)

Piece = bytes | Bulk

_LONGEST = UNDEFINED - 1  # the longest defined length, rounded down to even


def pieces_of(dataset: DataSet, encoding: Encoding) -> list[Piece]:
    """Return the encoded Data Set; joined, with each Bulk replaced by its bytes of the source, it is what to write.

    Values are written as they are: raises ValueError if the tree's byte order is not the encoding's.
    """
    pieces: list[Piece] = []
    _add(dataset, encoding, pieces)
    return pieces


def _add(dataset: DataSet, encoding: Encoding, pieces: list[Piece]) -> int:
    """Append the Data Set to ``pieces``; return its length in bytes."""
    if dataset.little_endian != encoding.little_endian:
        raise ValueError("the byte order of the tree is not that of the transfer syntax")
    head = _implicit_head if encoding.implicit else _explicit_head
    pack_short, short_codes = encoding.short.pack, {} if encoding.implicit else SHORT_CODES
    append, total = pieces.append, 0
    elements = dataset.elements
    for tag in sorted(elements):
        if not tag & 0xFFFF:
            continue  # group lengths are retired, and would be wrong
        element = elements[tag]
        value, vr = element.value, element.vr
        if type(value) is bytes:
            length = len(value)
            if length & 1:
                value += b" " if vr in TEXT_PADDED else b"\0"
                length += 1
            code = short_codes.get(vr)
            if code is not None and length < 0x10000:
                append(pack_short(tag >> 16, tag & 0xFFFF, code, length))
                append(value)
                total += length + 8
                continue
            start = head(tag, vr, length, encoding)
            append(start)
            append(value)
            total += len(start) + length
        elif isinstance(value, Bulk):
            total += _add_bulk(element, value, encoding, pieces)
        else:
            total += _add_sequence(element, encoding, pieces)
    return total


def _add_bulk(element: Element, bulk: Bulk, encoding: Encoding, pieces: list[Piece]) -> int:
    head = _implicit_head if encoding.implicit else _explicit_head
    odd = bulk.length & 1
    start = head(element.tag, element.vr, UNDEFINED if bulk.encapsulated else bulk.length + odd, encoding)
    pieces += (start, bulk)
    end = _delimiter(SEQUENCE_END, encoding) if bulk.encapsulated else bytes(odd)
    pieces.append(end)
    return len(start) + bulk.length + len(end)


def _add_sequence(element: Element, encoding: Encoding, pieces: list[Piece]) -> int:
    """Append a sequence.

    One that a reader could not know for a sequence (UN, or an unknown tag in implicit VR) gets an undefined length
    and implicit little endian items, which tell it: PS3.5 6.2.2. So does one in big endian whose items came from UN
    and are little endian still, and, but for the items, one too long for 32 bits.
    """
    head = _implicit_head if encoding.implicit else _explicit_head
    vr, items = element.vr, element.items
    if not encoding.little_endian and items and all(item.little_endian for item in items):
        vr = "UN"
    inner = IMPLICIT_LITTLE if vr == "UN" else encoding
    place = len(pieces)
    pieces.append(b"")
    length = sum(_add_item(item, inner, pieces) for item in items)
    told_by_tag = vr_of(element.tag) == "SQ" if encoding.implicit else vr == "SQ"
    if told_by_tag and length <= _LONGEST:
        start, end = head(element.tag, "SQ", length, encoding), b""
    else:
        start, end = head(element.tag, vr, UNDEFINED, encoding), _delimiter(SEQUENCE_END, inner)
    pieces[place] = start
    pieces.append(end)
    return len(start) + length + len(end)


def _add_item(item: DataSet, encoding: Encoding, pieces: list[Piece]) -> int:
    place = len(pieces)
    pieces.append(b"")
    length = _add(item, encoding, pieces)
    defined = length <= _LONGEST
    pieces[place] = encoding.plain.pack(ITEM >> 16, ITEM & 0xFFFF, length if defined else UNDEFINED)
    end = b"" if defined else _delimiter(ITEM_END, encoding)
    pieces.append(end)
    return 8 + length + len(end)


def _explicit_head(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    code = SHORT_CODES.get(vr)
    if code is not None and length < 0x10000:
        return encoding.short.pack(tag >> 16, tag & 0xFFFF, code, length)
    # A value too long for the 16 bits of its VR is written as UN: PS3.5 6.2.2.
    return encoding.packed.pack(tag >> 16, tag & 0xFFFF, LONG_CODES.get(vr, b"UN"), 0, length)


def _implicit_head(tag: int, vr: str, length: int, encoding: Encoding) -> bytes:
    return encoding.plain.pack(tag >> 16, tag & 0xFFFF, length)


def _delimiter(tag: int, encoding: Encoding) -> bytes:
    return encoding.plain.pack(tag >> 16, tag & 0xFFFF, 0)
