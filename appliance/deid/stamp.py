"""The marks that a de-identified instance carries: that it is, by which profile and options, under which rules.

What an earlier de-identification wrote stays; ours is appended. Source: PS3.15 E.1.1, PS3.16 CID 7050.
"""

from dataclasses import dataclass
from functools import lru_cache

from appliance.deid.dummies import padded
from appliance.deid.plan import BASIC_CODE, OPTION_CODES
from appliance.dicom.element import DataSet, Element

PATIENT_IDENTITY_REMOVED = 0x00120062
METHOD = 0x00120063
METHOD_CODES = 0x00120064
DATES_MODIFIED = 0x00280303
BURNED_IN = 0x00280301
_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_LONGEST_METHOD = 0xFFFE - 64


@dataclass(frozen=True, slots=True)
class Marks:
    """What was done to an instance.

    rules_digest  of the rules
    profile       the Basic Profile was carried out
    options       and these options of it
    excepted      but rules kept elements against it: then it cannot be claimed
    dates_kept    dates among them
    dates_moved   a rule moved dates
    pixels        the pixels of this instance were looked at, and cleaned where need be
    """

    rules_digest: str
    profile: bool = True
    options: frozenset[str] = frozenset()
    excepted: bool = False
    dates_kept: bool = False
    dates_moved: bool = False
    pixels: bool = False


def codes(marks: Marks) -> tuple[tuple[str, str], ...]:
    """Return (code value, code meaning) of the profile and of every option that was carried out, in order."""
    if not marks.profile:
        return ()
    carried_out = marks.options | {"CleanPixelData"} if marks.pixels else marks.options
    options = tuple(sorted(OPTION_CODES[option] for option in carried_out))
    return options if marks.excepted else (BASIC_CODE, *options)


def stamp(result: DataSet, marks: Marks) -> tuple[str, ...]:
    """Write the marks into ``result``; return the codes that it now claims by us.

    Without a profile only the rules are named: what else is claimed is theirs to add.
    """
    _method(result, f"appliance, rules {marks.rules_digest[:16]}{_but(marks)}".encode("ascii"))
    if marks.pixels:
        result.put(Element(BURNED_IN, "CS", b"NO"))
    if not marks.profile:
        return ()
    result.put(Element(PATIENT_IDENTITY_REMOVED, "CS", b"YES "))
    known = result.get(METHOD_CODES)
    items = [] if known is None else list(known.items)
    claimed = {_bytes(item, _CODE_VALUE).strip(b" \0") for item in items}
    items += [_item(result, *code) for code in codes(marks) if code[0].encode("ascii") not in claimed]
    if items:
        result.put(Element(METHOD_CODES, "SQ", items))
    result.put(Element(DATES_MODIFIED, "CS", _temporal(marks)))
    return tuple(value for value, _ in codes(marks))


def _but(marks: Marks) -> str:
    if not marks.profile:
        return ", no profile"
    return ", with exceptions" if marks.excepted else ""


def _method(result: DataSet, ours: bytes) -> None:
    earlier = _bytes(result, METHOD).rstrip(b" \0")
    if len(earlier) > _LONGEST_METHOD or ours in earlier.split(b"\\"):
        earlier, ours = b"", earlier or ours
    result.put(Element(METHOD, "LO", padded(earlier + b"\\" + ours if earlier else ours, "LO")))


def _temporal(marks: Marks) -> bytes:
    """Return what became of the dates; of several things, the one that tells most. Source: PS3.3 C.12.1 (0028,0303)."""
    if "RetainLongitudinalFullDates" in marks.options or marks.dates_kept:
        return b"UNMODIFIED"
    return b"MODIFIED" if marks.dates_moved or "RetainLongitudinalModifiedDates" in marks.options else b"REMOVED "


def _item(result: DataSet, value: str, meaning: str) -> DataSet:
    return DataSet({element.tag: element for element in _code(value, meaning)}, result.little_endian, result.charsets)


@lru_cache(maxsize=len(OPTION_CODES) + 1)
def _code(value: str, meaning: str) -> tuple[Element, ...]:
    return (
        Element(_CODE_VALUE, "SH", padded(value.encode("ascii"), "SH")),
        Element(_SCHEME, "SH", b"DCM "),
        Element(_MEANING, "LO", padded(meaning.encode("ascii"), "LO")),
    )


def _bytes(data_set: DataSet, tag: int) -> bytes:
    element = data_set.get(tag)
    return element.value if element is not None and isinstance(element.value, bytes) else b""
