"""Dates as people write them in text: found, with every day that they can mean.

Year first, day first or month first, with points, dashes, slashes or blanks, months by name in five languages, years
with two digits. Where an order is not known, all days that fit are told.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

_MONTHS = (
    "jan(?:uar[iy]?|vier|uary|uari)?|jän(?:ner)?|gen(?:naio)?|ene(?:ro)?",
    "feb(?:ruar|ruary|braio|rero)?|f[ée]v(?:rier)?",
    "mar(?:ch|s|zo?)?|mär(?:z)?|mrz|maerz",
    "apr(?:il|ile)?|avr(?:il)?|abr(?:il)?",
    "ma[iy]|mag(?:gio)?|mayo",
    "jun[ei]?|juin|giu(?:gno)?|junio",
    "jul[iy]?|juillet|lug(?:lio)?|julio",
    "aug(?:ust)?|ao[ûu]t|ago(?:sto)?",
    "sep(?:t|tember|tembre|tiembre)?|set(?:tembre)?",
    "o[ck]t(?:ober|obre|ubre)?|ott(?:obre)?",
    "nov(?:ember|embre|iembre)?",
    "de[cz](?:ember|embre)?|d[ée]c(?:embre)?|dic(?:embre|iembre)?",
)
_MONTH = "|".join(_MONTHS)
_PATTERN = re.compile(
    r"(?<![\d.])(?:"
    r"(?P<cy>1[89]\d\d|20\d\d)(?P<cm>0\d|1[0-2])(?P<cd>[0-3]\d)(?!\d)"
    r"|(?P<y>\d{4})(?P<s>[-./ ])(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})(?![\d])"
    r"|(?P<a>\d{1,2})(?P<t>[-./ ] ?)(?P<b>\d{1,2})(?P=t)(?P<z>\d{4}|\d\d)(?!\d|\.\d)"
    rf"|(?P<nd>\d{{1,2}})(?:st|nd|rd|th|\.)?[ .\-/]*(?:of |de )?(?P<nm>{_MONTH})(?![^\W\d_])[ .,\-/]*(?:de )?"
    r"(?P<ny>\d{4}|\d\d)(?!\d)"
    r")"
    rf"|(?<![^\W\d_])(?P<pm>{_MONTH})\.? ?(?P<pd>\d{{1,2}})(?:st|nd|rd|th)?[, ]+(?P<py>\d{{4}}|\d\d)(?!\d)",
    re.IGNORECASE,
)
_ANY_DIGITS = re.compile(r"\d\D{0,12}\d")


@dataclass(frozen=True, slots=True)
class Written:
    """A date in a text.

    start, end  where it stands
    readings    days that it can mean, YYYYMMDD; one if there is no doubt
    layout      how it was written, for ``str.format`` with year, month, day
    whole_year  whether the year has four digits
    """

    start: int
    end: int
    readings: tuple[str, ...]
    layout: str
    whole_year: bool


def dates_in(text: str) -> Iterator[Written]:
    """Yield the dates in a text, in order. What is no day of any calendar is not told."""
    if _ANY_DIGITS.search(text) is None:
        return
    for match in _PATTERN.finditer(text):
        orders, layout = _read(match)
        readings = {day for year, month, day_ in orders for day in _days(year, month, day_)}
        if readings:
            whole = all(len(year) == 4 for year, _, _ in orders)
            yield Written(match.start(), match.end(), tuple(sorted(readings)), layout, whole)


def _read(match: re.Match[str]) -> tuple[list[tuple[str, str, str]], str]:
    """Return the possible (year, month, day) of a match, and its layout."""
    part = match.groupdict()
    if part["cy"]:
        return [(part["cy"], part["cm"], part["cd"])], "{year:04}{month:02}{day:02}"
    if part["y"]:
        mark = part["s"]
        layout = f"{{year:04}}{mark}{{month:0{len(part['m'])}}}{mark}{{day:0{len(part['d'])}}}"
        return [(part["y"], part["m"], part["d"])], layout
    if part["a"]:
        first, mark, second, year = part["a"], part["t"], part["b"], part["z"]
        orders = [(year, second, first)]
        if mark.strip() != ".":  # month first is written with slashes, dashes and blanks
            orders.append((year, first, second))
        day_first = int(second) <= 12
        names = ("day", "month") if day_first else ("month", "day")
        layout = f"{{{names[0]}:0{len(first)}}}{mark}{{{names[1]}:0{len(second)}}}{mark}{{year:04}}"
        return orders, layout
    named = part["nm"] or part["pm"]
    month = next(n for n, names in enumerate(_MONTHS, 1) if re.fullmatch(names, named, re.IGNORECASE))
    return [(part["ny"] or part["py"], str(month), part["nd"] or part["pd"])], "{year:04}-{month:02}-{day:02}"


def _days(year: str, month: str, day: str) -> Iterator[str]:
    """Yield YYYYMMDD of a possible day; with two digits of the year, of both centuries."""
    for whole in (year,) if len(year) == 4 else (f"19{year}", f"20{year}"):
        try:
            yield f"{date(int(whole), int(month), int(day)):%Y%m%d}"
        except ValueError:
            continue
