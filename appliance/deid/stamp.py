"""The marks that a de-identified instance carries: that it is, by which profile and options, under which rules.

What an earlier de-identification wrote stays; ours is appended. Source: PS3.15 E.1.1, PS3.16 CID 7050.
"""

from appliance.deid.dummies import padded
from appliance.deid.plan import BASIC_CODE, OPTION_CODES
from appliance.dicom.element import DataSet, Element

PATIENT_IDENTITY_REMOVED = 0x00120062
METHOD = 0x00120063
METHOD_CODES = 0x00120064
DATES_MODIFIED = 0x00280303
_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_LONGEST_METHOD = 0xFFFE - 64


def codes(options: frozenset[str]) -> tuple[tuple[str, str], ...]:
    """Return (code value, code meaning) of the profile and of every option that was carried out, in order."""
    return (BASIC_CODE, *sorted(OPTION_CODES[option] for option in options))


def stamp(result: DataSet, options: frozenset[str], rules_digest: str) -> None:
    """Write the marks into ``result``."""
    result.put(Element(PATIENT_IDENTITY_REMOVED, "CS", b"YES "))
    ours = f"appliance, rules {rules_digest[:16]}".encode("ascii")
    earlier = _bytes(result, METHOD).rstrip(b" \0")
    if len(earlier) > _LONGEST_METHOD or ours in earlier.split(b"\\"):
        earlier, ours = b"", earlier or ours
    result.put(Element(METHOD, "LO", padded(earlier + b"\\" + ours if earlier else ours, "LO")))
    known = result.get(METHOD_CODES)
    items = [] if known is None else list(known.items)
    claimed = {_bytes(item, _CODE_VALUE).strip(b" \0") for item in items}
    items += [_item(result, *code) for code in codes(options) if code[0].encode("ascii") not in claimed]
    result.put(Element(METHOD_CODES, "SQ", items))
    result.put(Element(DATES_MODIFIED, "CS", _temporal(options)))


def _temporal(options: frozenset[str]) -> bytes:
    """Return what became of the dates. Source: PS3.3 C.12.1 (0028,0303)."""
    if "RetainLongitudinalFullDates" in options:
        return b"UNMODIFIED"
    return b"MODIFIED" if "RetainLongitudinalModifiedDates" in options else b"REMOVED "


def _item(result: DataSet, value: str, meaning: str) -> DataSet:
    item = DataSet({}, result.little_endian, result.charsets)
    item.put(Element(_CODE_VALUE, "SH", padded(value.encode("ascii"), "SH")))
    item.put(Element(_SCHEME, "SH", b"DCM "))
    item.put(Element(_MEANING, "LO", padded(meaning.encode("ascii"), "LO")))
    return item


def _bytes(data_set: DataSet, tag: int) -> bytes:
    element = data_set.get(tag)
    return element.value if element is not None and isinstance(element.value, bytes) else b""
