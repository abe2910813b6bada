"""From bytes to a tree: every element of a Data Set, read strictly and without the large values.

Only a window of the file is in memory. A value that stays in the file is stepped over, so reading costs what the
header costs. Loops here run once for each element of each instance; that is why they are long and use local names.
Source: PS3.5 Section 7 (elements, sequences), Section 6.2.2 (UN), A.4 (fragments).
"""

from typing import BinaryIO

from appliance.dicom.dictionary import VR_BY_TAG, vr_of
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Element, Tag, tag_text
from appliance.dicom.encoding import (
    BULK_VRS,
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_END,
    LONG_VRS,
    SEQUENCE_END,
    SHORT_VRS,
    UNDEFINED,
    Encoding,
)
from appliance.errors import Malformed

MAX_DEPTH = 64  # sequences within sequences; the deepest seen in a structured report is below 20
MAX_ELEMENTS = 1_000_000  # and items; some 250 MB of memory
FIRST_PIXELS: Tag = 0x7FE00008  # Float Pixel Data; Double Float and Pixel Data follow
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, PIXEL_DATA})
_WINDOW = 65536
_SHORTER = "The file became shorter while it was read."
_BEYOND = bytes(16)  # after the file's last byte: a head that begins in the file can always be unpacked


class TooLargeToRead(Malformed):
    """Reading it would take more memory, elements or depth than an instance may take."""


class Scanner:
    """Reads elements of one file. Offsets are of the file; ``end`` is the first byte that no longer belongs.

    max_header  bytes that may be read besides Bulk
    bulk_from   values this long of a bulk VR stay in the file; pixel data always do
    until       stop, at the top, before the first element behind this tag
    """

    __slots__ = ("_base", "_budget", "_bulk_from", "_data", "_file", "_until", "count", "skipped", "start", "trailing")

    def __init__(self, file: BinaryIO, start: int, *, max_header: int, bulk_from: int, until: Tag = 0xFFFFFFFF) -> None:
        self._file = file
        self._budget = max_header
        self._bulk_from = bulk_from
        self._until = until
        self._data = b""
        self._base = start
        self.start = start
        self.skipped = 0  # bytes left in the file
        self.count = 0  # elements and items
        self.trailing = 0  # bytes behind the last element

    def data_set(
        self, at: int, end: int, encoding: Encoding, *, depth: int = 0, delimited: bool = False
    ) -> tuple[DataSet, int]:
        """Return the Data Set at ``at`` and the offset behind it; ``delimited``: ended by an Item Delimitation Item."""
        if depth > MAX_DEPTH:
            raise TooLargeToRead(f"Sequences are nested deeper than {MAX_DEPTH} at byte {at}.")
        if encoding.implicit:
            return self._implicit(at, end, depth, delimited)
        return self._explicit(at, end, encoding, depth, delimited)

    # --- the two loops ------------------------------------------------------------------------------------------------

    def _explicit(self, at: int, end: int, encoding: Encoding, depth: int, delimited: bool) -> tuple[DataSet, int]:
        head, until = encoding.short.unpack_from, self._until if depth == 0 else 0xFFFFFFFF
        elements: dict[Tag, Element] = {}
        last = -1
        base, data = self._base, self._data
        have, pos, limit = len(data), at - base, end - base
        while pos < limit:
            if pos + 12 > have:
                at = base + pos
                self._slide(at, len(elements))
                base, data = self._base, self._data
                have, pos, limit = len(data), at - base, end - base
            group, number, code, length = head(data, pos)
            tag = group << 16 | number
            start = pos + 8
            vr = SHORT_VRS.get(code)
            if vr is None:
                if group == 0xFFFE:
                    if tag == ITEM_END and delimited:
                        return self._ended(elements, encoding, base + pos, end, depth)
                    if depth or not self._is_tail(base + pos, end, last, tag):
                        raise _malformed(base + pos, tag, "stands where an element should")
                    break
                vr = LONG_VRS.get(code)
                if vr is None and code.isalpha() and code.isupper():
                    vr = "UN"  # a VR of tomorrow: all of them have 32 bit lengths (PS3.5 7.1.2) and may be told as UN
                start += 4
                length = encoding.long.unpack_from(data, pos + 8)[0]
            stop = start + length
            if vr is None or stop > limit or tag <= last:
                if depth == 0 and self._is_tail(base + pos, end, last, tag, plausible=vr is not None and tag > last):
                    break
                if vr is None:
                    raise _malformed(base + pos, tag, "has no value representation")
                if stop > limit and length != UNDEFINED:
                    raise _malformed(base + pos, tag, "is longer than what holds it")
                if tag in elements and not self._repeats(elements[tag], base + start, length):
                    raise _malformed(base + pos, tag, "appears twice, and not the same")
            if tag > until:
                break
            last = tag
            if length == UNDEFINED or vr == "SQ":
                self.count += len(elements)
                value, at = self._nested(tag, vr, base + start, length, end, encoding, depth)
                self.count -= len(elements)
                elements[tag] = Element(tag, vr, value)
                base, data = self._base, self._data
                have, pos, limit = len(data), at - base, end - base
                continue
            if (length >= self._bulk_from and vr in BULK_VRS) or (tag in _PIXELS and length):
                self.skipped += length
                elements[tag] = Element(tag, vr, Bulk(base + start, length))
            elif stop <= have:
                elements[tag] = Element(tag, vr, data[start:stop])
            else:
                elements[tag] = Element(tag, vr, self._value(base + start, length))
            pos = stop
        return self._complete(elements, encoding, base + pos, end, depth, delimited)

    def _implicit(self, at: int, end: int, depth: int, delimited: bool) -> tuple[DataSet, int]:
        head, known, until = IMPLICIT_LITTLE.plain.unpack_from, VR_BY_TAG, self._until if depth == 0 else 0xFFFFFFFF
        elements: dict[Tag, Element] = {}
        last = -1
        base, data = self._base, self._data
        have, pos, limit = len(data), at - base, end - base
        while pos < limit:
            if pos + 12 > have:
                at = base + pos
                self._slide(at, len(elements))
                base, data = self._base, self._data
                have, pos, limit = len(data), at - base, end - base
            group, number, length = head(data, pos)
            tag = group << 16 | number
            start = pos + 8
            stop = start + length
            vr = known.get(tag) or vr_of(tag)
            if group == 0xFFFE or stop > limit or tag <= last:
                if tag == ITEM_END and delimited:
                    return self._ended(elements, IMPLICIT_LITTLE, base + pos, end, depth)
                plausible = tag > last and group < 0xFFFE and (bool(group & 1) or vr != "UN")
                if depth == 0 and self._is_tail(base + pos, end, last, tag, plausible=plausible):
                    break
                if group == 0xFFFE:
                    raise _malformed(base + pos, tag, "stands where an element should")
                if stop > limit and length != UNDEFINED:
                    raise _malformed(base + pos, tag, "is longer than what holds it")
                if tag in elements and not self._repeats(elements[tag], base + start, length):
                    raise _malformed(base + pos, tag, "appears twice, and not the same")
            if tag > until:
                break
            last = tag
            if length == UNDEFINED or vr == "SQ":
                self.count += len(elements)
                value, at = self._nested(tag, vr, base + start, length, end, IMPLICIT_LITTLE, depth)
                self.count -= len(elements)
                elements[tag] = Element(tag, vr, value)
                base, data = self._base, self._data
                have, pos, limit = len(data), at - base, end - base
                continue
            if (length >= self._bulk_from and vr in BULK_VRS) or (tag in _PIXELS and length):
                self.skipped += length
                elements[tag] = Element(tag, vr, Bulk(base + start, length))
            elif stop <= have:
                elements[tag] = Element(tag, vr, data[start:stop])
            else:
                elements[tag] = Element(tag, vr, self._value(base + start, length))
            pos = stop
        return self._complete(elements, IMPLICIT_LITTLE, base + pos, end, depth, delimited)

    # --- how a Data Set ends ------------------------------------------------------------------------------------------

    def _ended(
        self, elements: dict[Tag, Element], encoding: Encoding, at: int, end: int, depth: int
    ) -> tuple[DataSet, int]:
        """The Item Delimitation Item at ``at`` ends the item."""
        _, length = self._item_head(at, end, encoding)
        if length:
            raise _malformed(at, ITEM_END, "has a length")
        return self._complete(elements, encoding, at + 8, end, depth, False)

    def _complete(
        self, elements: dict[Tag, Element], encoding: Encoding, at: int, end: int, depth: int, delimited: bool
    ) -> tuple[DataSet, int]:
        if delimited:
            raise Malformed(f"An item has no end before byte {end}.")
        self._spend(at, len(elements))
        self.count += len(elements)
        if depth == 0:
            self.trailing = max(0, end - at)
        return DataSet(elements, encoding.little_endian), at

    def _is_tail(self, at: int, end: int, last: Tag, tag: Tag, *, plausible: bool = False) -> bool:
        """Whether the bytes from ``at`` on are no element any more, but what someone put behind the Data Set.

        Behind the pixels, whatever does not look like a head; elsewhere only zeros. What looks like the next head
        and is cut is no tail: then the file ended early.
        """
        if last >= FIRST_PIXELS:
            return not plausible or end - at < 8
        if tag:
            return False
        begin = at
        self._file.seek(at)
        while at < end:
            piece = self._file.read(min(_WINDOW, end - at))
            if not piece or piece.count(0) != len(piece):
                raise _malformed(begin, tag, "begins zeros that are neither elements nor the end")
            at += len(piece)
        return True

    def _repeats(self, earlier: Element, at: int, length: int) -> bool:
        """Whether the element is there already with the same bytes: some writers do that, and it loses nothing."""
        self.count += 1  # or a file of repetitions would keep us for minutes
        if type(earlier.value) is not bytes or length != len(earlier.value):
            return False
        self._file.seek(at)
        return self._read(length) == earlier.value

    # --- what holds other things --------------------------------------------------------------------------------------

    def _nested(
        self, tag: Tag, vr: str, at: int, length: int, end: int, encoding: Encoding, depth: int
    ) -> tuple[list[DataSet] | Bulk, int]:
        """Return the items of a sequence, or where the fragments lie, and the offset behind."""
        if vr == "SQ" and length != UNDEFINED:
            return self.items(at, at + length, encoding, depth=depth)
        if tag in _PIXELS or (vr in ("OB", "OW") and not encoding.implicit):
            return self._fragments(tag, at, end, encoding)
        if vr not in ("SQ", "UN"):
            raise _malformed(at, tag, f"has no length, which {vr} must have")
        inner = IMPLICIT_LITTLE if vr == "UN" else encoding  # PS3.5 6.2.2, in big endian files too
        return self.items(at, end, inner, depth=depth, delimited=True)

    def items(
        self, at: int, end: int, encoding: Encoding, *, depth: int, delimited: bool = False
    ) -> tuple[list[DataSet], int]:
        """Return the items of a sequence and the offset behind it; ``delimited``: it ends by its delimiter."""
        found: list[DataSet] = []
        explicit_little = encoding.little_endian and not encoding.implicit
        while at < end:
            tag, length = self._item_head(at, end, encoding)
            at += 8
            if tag == SEQUENCE_END and delimited and not length:
                return found, at
            if tag != ITEM:
                raise _malformed(at - 8, tag, "stands where an item should")
            self.count += 1
            inner = encoding
            if explicit_little and length and self._lacks_vr(at, end):
                inner = IMPLICIT_LITTLE  # GE and others write private items so, whatever the file's transfer syntax
            if length == UNDEFINED:
                item, at = self.data_set(at, end, inner, depth=depth + 1, delimited=True)
            elif length > end - at:
                raise _malformed(at - 8, tag, "is longer than its sequence")
            else:
                item, at = self.data_set(at, at + length, inner, depth=depth + 1)
            found.append(item)
        if delimited:
            raise Malformed(f"A sequence has no end before byte {end}.")
        return found, at

    def _fragments(self, tag: Tag, at: int, end: int, encoding: Encoding) -> tuple[Bulk, int]:
        """Step over encapsulated pixels: a basic offset table and fragments, each an item with a length. PS3.5 A.4."""
        first = at
        while at + 8 <= end:
            kind, length = self._item_head(at, end, encoding)
            if kind == SEQUENCE_END and not length:
                self.skipped += at - first
                return Bulk(first, at - first, encapsulated=True), at + 8
            if kind != ITEM or length == UNDEFINED:
                raise _malformed(at, kind, "stands where a fragment should")
            at += 8 + length
        raise _malformed(first, tag, "has no end to its fragments")

    def _item_head(self, at: int, end: int, encoding: Encoding) -> tuple[Tag, int]:
        if at + 8 > end:
            raise Malformed(f"An item is cut at byte {at}.")
        pos = at - self._base
        if pos < 0 or pos + 8 > len(self._data):
            # A fragment can be far away and large: the next head is all that is wanted of it.
            self._file.seek(at)
            group, number, length = encoding.plain.unpack(self._read(8))
        else:
            group, number, length = encoding.plain.unpack_from(self._data, pos)
        return group << 16 | number, length

    def _lacks_vr(self, at: int, end: int) -> bool:
        """Whether the element at ``at`` has two bytes that are no VR, where explicit VR has one."""
        if at + 8 > end:
            return False
        pos = at - self._base
        head = self._data[pos : pos + 6] if pos >= 0 else b""
        if len(head) < 6:
            self._file.seek(at)
            head = self._read(6)
        return head[:2] != b"\xfe\xff" and not (head[4:6].isalpha() and head[4:6].isupper())

    # --- bytes --------------------------------------------------------------------------------------------------------

    def _slide(self, at: int, elements: int) -> None:
        """Put the window at ``at``."""
        self._spend(at, elements)
        self._file.seek(at)
        data = self._as_much_as(_WINDOW)
        if not data:
            raise Malformed(_SHORTER)
        self._data = data if len(data) == _WINDOW else data + _BEYOND
        self._base = at

    def _value(self, at: int, length: int) -> bytes:
        """Return a value that reaches beyond the window."""
        self._spend(at + length, 0)
        self._file.seek(at)
        return self._read(length)

    def _read(self, length: int) -> bytes:
        data = self._as_much_as(length)
        if len(data) != length:
            raise Malformed(_SHORTER)
        return data

    def _as_much_as(self, length: int) -> bytes:
        data = self._file.read(length)
        while len(data) < length and (more := self._file.read(length - len(data))):
            data += more  # an unbuffered file may give less than it has
        return data

    def _spend(self, at: int, elements: int) -> None:
        """Refuse before memory does. What was stepped over costs nothing."""
        if at - self.start - self.skipped > self._budget:
            raise TooLargeToRead(f"The header is larger than {self._budget} bytes.")
        if self.count + elements > MAX_ELEMENTS:
            raise TooLargeToRead(f"It has more than {MAX_ELEMENTS} elements and items.")


def _malformed(at: int, tag: Tag, what: str) -> Malformed:
    return Malformed(f"{tag_text(tag)} at byte {at} {what}.")
