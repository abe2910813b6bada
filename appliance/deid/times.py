"""Moving times and moments by seconds, as ``ShiftDateTime`` asks: what fits is moved, whatever its precision.

A value keeps its precision and never stays as it was: what says minutes only moves by a minute at least.
Source: PS3.5 Section 6.2 (TM, DT).
"""

import re
from datetime import UTC, datetime, timedelta

from appliance.deid.dates import is_time

_DAY = 86_400
_TM = re.compile(r"(\d{2})(?:(:?)(\d{2})(?:\2(\d{2})(\.\d{1,6})?)?)?")
_DT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,6})?)?)?)?([+-]\d{4})?")


def moved_time(text: str, seconds: int) -> str | None:
    """Return a TM value moved by ``seconds``, round midnight; None if it is no time of day. No date moves with it."""
    match = _TM.fullmatch(text.strip())
    if match is None or not is_time(text):
        return None
    hour, colon, minute, second, fraction = match.groups()
    unit = 3600 if minute is None else 60 if second is None else 1
    at = int(hour) * 3600 + int(minute or 0) * 60 + min(int(second or 0), 59)
    at = (at + _whole_units(seconds, unit)) % _DAY
    parts = [f"{at // 3600:02d}", f"{at // 60 % 60:02d}", f"{at % 60:02d}"]
    written = parts[: 1 + (minute is not None) + (second is not None)]
    return (colon or "").join(written) + (fraction or "")


def moved_moment(text: str, seconds: int) -> str | None:
    """Return a DT value moved by ``seconds``, fraction and zone as they were; None for a partial date or none."""
    match = _DT.fullmatch(text.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    unit = _DAY if hour is None else 3600 if minute is None else 60 if second is None else 1
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), min(int(second or 0), 59), tzinfo=UTC
        ) + timedelta(seconds=_whole_units(seconds, unit))  # whatever its zone is: that stays beside it
    except (ValueError, OverflowError):
        return None
    written = f"{moment:%m%d%H%M%S}"[: 4 + 2 * ((hour is not None) + (minute is not None) + (second is not None))]
    return f"{moment.year:04d}{written}{fraction or ''}{zone or ''}"


def _whole_units(seconds: int, unit: int) -> int:
    """Return ``seconds`` as whole units, at least one: a shift that is not seen is none."""
    units = max(1, (abs(seconds) + unit // 2) // unit) * unit
    return units if seconds > 0 else -units
