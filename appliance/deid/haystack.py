"""What is searched: the values of a result as text, folded, read in every way that they may be meant."""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.deid.clues import folded
from appliance.deid.escaped import readings, unescaped
from appliance.deid.packed import LEAST, unpacked
from appliance.deid.romanised import romanised
from appliance.dicom.element import DataSet, Element
from appliance.dicom.text import decode

LEAST_IN_BYTES = 5  # of a word as UTF-8: shorter ones come about by chance among numbers
_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_NUMBER_VRS = frozenset({"AS", "DA", "DS", "DT", "IS", "TM"})
_WHOLE_NUMBERS = {"SL": "l", "SV": "q", "UL": "L", "UV": "Q"}
_MOST_NUMBERS = 64  # bytes; longer values are tables
_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}|&#?\w+;|\\[uxX][0-9A-Fa-f{]|=[0-9A-F]{2}")
_CONTROL = re.compile(rb"[\x01-\x08\x0e-\x1f]")  # escapes, and half of UTF-16 in most scripts
_AS_TEXT = {"CS": "LO", "AE": "LO", "UR": "UT"}  # a name in a code's place is written like a text all the same


@dataclass(frozen=True, slots=True)
class Haystack:
    """One value a line.

    texts    what people wrote
    uids     what VR UI holds
    numbers  numbers and dates written as text
    raw      other bytes, and what is packed in them
    """

    texts: str
    uids: str
    numbers: str
    raw: str


def haystack(values: Iterable[tuple[Element, DataSet]]) -> Haystack:
    """Return the values as text; what is no ASCII is read in every way that it may be meant."""
    texts: list[bytes] = []
    uids: list[bytes] = []
    numbers: list[bytes] = []
    raw: list[bytes] = []
    decoded: list[str] = []
    guessed: list[str] = []
    for element, data_set in values:
        value, vr = element.value, element.vr
        if type(value) is not bytes:
            continue
        if vr in _TEXT_VRS:
            texts.append(value)
            if not value.isascii() or _CONTROL.search(value) is not None:
                decoded.append(folded(decode(value, _AS_TEXT.get(vr, vr), data_set.charsets).text))
                decoded += map(folded, readings(value))
            if _ESCAPED.search(value) is not None:
                decoded += map(folded, unescaped(value.decode("utf-8", "replace")))
            for piece in unpacked(value) if len(value) >= LEAST else ():
                raw.append(piece)
                guessed += _meant(piece)
        elif vr == "UI":
            uids.append(value)
        elif vr in _NUMBER_VRS:
            numbers.append(value)
        else:
            for piece in (value, *(unpacked(value) if len(value) >= LEAST else ())):
                raw.append(piece)
                guessed += _meant(piece)
            if vr in _WHOLE_NUMBERS and len(value) <= _MOST_NUMBERS:
                numbers += _whole_numbers(value, vr, little_endian=data_set.little_endian)
    decoded += [romanised(text) for text in decoded]
    return Haystack(
        "\n".join((_plain(texts), *decoded)), _plain(uids), _plain(numbers), "\n".join((_plain(raw), *guessed))
    )


def _whole_numbers(value: bytes, vr: str, *, little_endian: bool) -> list[bytes]:
    """Return the numbers as they are written: a patient's number may be stored as one."""
    one = struct.Struct(("<" if little_endian else ">") + _WHOLE_NUMBERS[vr])
    return [b"%d" % number for (number,) in one.iter_unpack(value[: len(value) // one.size * one.size])]


def _meant(value: bytes) -> list[str]:
    if value.isascii() or len(value) < LEAST_IN_BYTES:
        return []
    return [folded(value.decode(coding, "ignore")) for coding in ("utf-8", "utf-16-le", "utf-16-be")]


def _plain(values: list[bytes]) -> str:
    """Return bytes as Latin-1, lower case; without NULs, so that UTF-16 of plain letters reads like ASCII."""
    return b"\n".join(values).replace(b"\0", b"").decode("latin-1").lower()
