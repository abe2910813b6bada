"""Moving dates by whole days: what was two weeks apart stays two weeks apart, and the time of day stays.

Whole days only, so that a time zone suffix and a TM beside it stay true. What is no date is not guessed at.
Source: PS3.5 Section 6.2 (DA, DT, TM).
"""

import re
from datetime import date, timedelta

# The old form of ACR-NEMA, YYYY.MM.DD, still met. A hyphen joins a range (queries, and some modalities).
_DA = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})")
_PARTIAL_DATE = re.compile(r"(\d{4})(\d{2})?")
_DT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")
_TM = re.compile(r"\d{2}(?::?\d{2}(?::?\d{2}(?:\.\d{1,6})?)?)?")
_ZONE = re.compile(r"[+-](?:0\d|1[0-4])[0-5]\d")
_AGE = re.compile(r"(\d{3})([DWMY])")

OLDEST_YEARS = 90  # an age above 89 singles people out: 45 CFR 164.514(b)(2)(i)(C)


def shifted_date(text: str, days: int) -> str | None:
    """Return a DA value (one value, or a range) moved by ``days``; None if it is no date.

    A partial date (YYYY, YYYYMM) keeps its precision: the middle of what it can mean is moved.
    """
    text = text.strip()
    if not text:
        return ""
    if "-" in text:
        ends = [shifted_date(end, days) for end in text.split("-", 1)]
        return None if None in ends or not any(ends) else "-".join(end or "" for end in ends)
    whole = _DA.fullmatch(text)
    if whole is not None:
        year, point, month, day = whole.groups()
        moved = _moved(int(year), int(month), int(day), days)
        return None if moved is None else f"{moved.year:04d}{point}{moved.month:02d}{point}{moved.day:02d}"
    partial = _PARTIAL_DATE.fullmatch(text)
    return None if partial is None else _partial(partial[1], partial[2], days)


def shifted_date_time(text: str, days: int) -> str | None:
    """Return a DT value moved by ``days``, its time, fraction and zone as they were; None if it is no date-time."""
    text = text.strip()
    if not text:
        return ""
    match = _DT.fullmatch(text)
    if match is None:
        return None
    year, month, day, time, zone = match.groups()
    if day is None:
        moved = None if time else _partial(year, month, days)
    else:
        whole = _moved(int(year), int(month), int(day), days)
        moved = None if whole is None else f"{whole.year:04d}{whole.month:02d}{whole.day:02d}"
    if moved is None or (time is not None and not is_time(time)):
        return None
    return moved + (time or "") + (zone or "")


def is_time(text: str) -> bool:
    """Whether ``text`` is a TM value or a range of them: nothing but a time of day can hide in it."""
    parts = text.strip().split("-")
    return len(parts) <= 2 and all(not part or _is_one_time(part) for part in parts)


def is_zone(text: str) -> bool:
    """Whether ``text`` is an offset from UTC. Source: PS3.3 C.12.1.1.8."""
    return _ZONE.fullmatch(text.strip()) is not None


def capped_age(text: str) -> str | None:
    """Return an AS value, the very old as ``090Y``; None if it is no age."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        return None
    years = int(match[1]) / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[match[2]]
    return f"{OLDEST_YEARS:03d}Y" if years >= OLDEST_YEARS else match[0]


def _is_one_time(text: str) -> bool:
    if _TM.fullmatch(text) is None:
        return False
    digits = text.replace(":", "").partition(".")[0]
    parts = [int(digits[at : at + 2]) for at in range(0, len(digits), 2)]
    return all(part <= limit for part, limit in zip(parts, (23, 59, 60), strict=False))  # 60: a leap second


def _partial(year: str, month: str | None, days: int) -> str | None:
    moved = _moved(int(year), 7 if month is None else int(month), 2 if month is None else 15, days)
    if moved is None:
        return None
    return f"{moved.year:04d}" + ("" if month is None else f"{moved.month:02d}")


def _moved(year: int, month: int, day: int, days: int) -> date | None:
    try:
        return date(year, month, day) + timedelta(days=days)
    except (ValueError, OverflowError):
        return None
