"""What is searched: the values of a result as text, folded, read in every way that they may be meant."""

from collections.abc import Iterable
from dataclasses import dataclass

from appliance.deid.clues import folded
from appliance.deid.packed import unpacked
from appliance.deid.romanised import romanised
from appliance.dicom.element import DataSet, Element
from appliance.dicom.text import decode

LEAST_IN_BYTES = 5  # of a word as UTF-8: shorter ones come about by chance among numbers
_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_NUMBER_VRS = frozenset({"AS", "DA", "DS", "DT", "IS", "TM"})
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
            if not value.isascii() or b"\x1b" in value:
                decoded.append(folded(decode(value, _AS_TEXT.get(vr, vr), data_set.charsets).text))
            raw += unpacked(value) if len(value) >= 20 else ()
        elif vr == "UI":
            uids.append(value)
        elif vr in _NUMBER_VRS:
            numbers.append(value)
        else:
            for piece in (value, *unpacked(value)):
                raw.append(piece)
                guessed += _meant(piece)
    decoded += [romanised(text) for text in decoded]
    return Haystack(
        "\n".join((_plain(texts), *decoded)), _plain(uids), _plain(numbers), "\n".join((_plain(raw), *guessed))
    )


def _meant(value: bytes) -> list[str]:
    if value.isascii() or len(value) < LEAST_IN_BYTES:
        return []
    return [folded(value.decode(coding, "ignore")) for coding in ("utf-8", "utf-16-le", "utf-16-be")]


def _plain(values: list[bytes]) -> str:
    """Return bytes as Latin-1, lower case; without NULs, so that UTF-16 of plain letters reads like ASCII."""
    return b"\n".join(values).replace(b"\0", b"").decode("latin-1").lower()
