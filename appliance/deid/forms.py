"""Whether a value is what its VR promises: where a number, a date or a UID should stand, a text may hide a name."""

from collections.abc import Callable

from appliance.deid.dates import capped_age, is_time, shifted_date, shifted_date_time
from appliance.deid.uids import is_uid

_NUMERALS = b"0123456789+-.eE,\\ \0"  # a comma for the decimal point is met, and hides nothing
_NO_NUMBERS = frozenset({b"nan", b"inf", b"-inf", b"infinity", b"-infinity"})  # met, and no names


def has_form(value: bytes, vr: str) -> bool:
    """Whether each value has the form of its VR; VRs that may hold any text, and binary ones, have none to keep."""
    if vr in ("DS", "IS"):
        return not value.translate(None, _NUMERALS) or _are_numbers(value)
    fits = _FORMS.get(vr)
    return fits is None or all(
        not part or fits(part) for part in (each.strip(" \0") for each in value.decode("latin-1").split("\\"))
    )


def _are_numbers(value: bytes) -> bool:
    parts = (part.strip(b" \0").lower() for part in value.split(b"\\"))
    return all(not part.translate(None, _NUMERALS) or part in _NO_NUMBERS for part in parts)


_FORMS: dict[str, Callable[[str], bool]] = {
    "AS": lambda text: capped_age(text) is not None,
    "DA": lambda text: shifted_date(text, 0) is not None,
    "DT": lambda text: shifted_date_time(text, 0) is not None,
    "TM": is_time,
    "UI": is_uid,
}
