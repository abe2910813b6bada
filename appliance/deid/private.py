"""Which private elements may stay: those of PS3.15 Table E.3.10-1, known by creator, group and low byte.

Never by the absolute element: blocks move. Being listed says what the element means, so its value must also have that
form: a number, a code, a short text. What can hold anything (unlisted UN, OB, long text, names) goes.
"""

from dataclasses import dataclass
from typing import BinaryIO

from appliance.deid.forms import has_form
from appliance.dicom.element import DataSet, Element
from appliance.dicom.unknown import sequence_in_unknown

_WIDTHS = {"FD": 8, "FL": 4, "SL": 4, "SS": 2, "UL": 4, "US": 2, "SV": 8, "UV": 8, "AT": 4}
_SHORT_TEXT = frozenset({"CS", "LO", "SH"})
_LONGEST = 64  # PS3.5 Table 6.2-1: LO


@dataclass(frozen=True, slots=True)
class SafePrivate:
    """The table: (group, low byte, creator) -> VR where known, "" otherwise."""

    table: dict[tuple[int, int, str], str]

    def kept(self, element: Element, source: DataSet, file: BinaryIO) -> Element | None:
        """Return a private element that may stay, read by its known form (a sequence as items); None otherwise.

        Sequences still need cleaning inside, dates moving and UIDs renaming.
        """
        creator = source.creator_of(element.tag)
        listed = None if creator is None else self.table.get((element.tag >> 16, element.tag & 0xFF, creator))
        if listed is None:
            return None
        value = element.value
        vr = element.vr if element.vr != "UN" else listed
        if vr == "SQ" or isinstance(value, list):
            items = sequence_in_unknown(element, file, charsets=source.charsets)
            ordered = items is not None and all(item.little_endian == source.little_endian for item in items)
            return Element(element.tag, "SQ", items) if ordered and items is not None else None
        return element if isinstance(value, bytes) and _has_form(value, vr) else None


def _has_form(value: bytes, vr: str) -> bool:
    """Whether a value is what its VR promises, and its VR promises something that cannot hide a text."""
    if vr in _WIDTHS:
        return len(value) % _WIDTHS[vr] == 0
    if vr in ("DS", "IS"):
        return has_form(value, vr)
    if vr in _SHORT_TEXT:
        return all(32 <= byte < 127 for byte in value.rstrip(b"\0")) and _longest_part(value) <= _LONGEST
    return vr in ("DA", "DT", "UI")


def _longest_part(value: bytes) -> int:
    return max(len(part) for part in value.split(b"\\"))
