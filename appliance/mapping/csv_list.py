"""Lists of patients as people make them: a CSV file whose columns are known by several names, and no others.

Comma, semicolon or tab between the columns, as the header has it; UTF-8, with or without its mark. Nothing here knows
the store. What is wrong is told by line, never by value.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

from appliance.errors import RequestRefused

MOST_LINES: Final = 500_000
MOST_BYTES: Final = 100 * 1024 * 1024
LONGEST_ID: Final = 64  # PS3.5 Table 6.2-1, LO
LEAST_TELLING: Final = 4  # characters of a number that tell who it is when they stand in an id

# Column -> what people call it, letters and digits only.
_NAMES: Final = {
    "number": ("mrn", "patientid", "patientnumber", "pid"),
    "issuer": ("issuer", "issuerofpatientid", "assigningauthority"),
    "id": ("trialid", "pseudonym", "subjectid"),
    "domain": ("domain",),
    "project": ("project",),
}
_NOT_PLAIN = re.compile(r"[^a-z0-9]")
_ID = re.compile(r"[\x20-\x5b\x5d-\x7e]+")  # a new Patient ID fits every character set, and holds no backslash


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a list from being taken: in which line, and what. Never a value."""

    line: int
    what: str


@dataclass(frozen=True, slots=True)
class Line:
    """One patient of a list. Identifying: never to be logged.

    number   Patient ID, padding stripped, leading zeros kept
    issuer, domain, project  "" if the list does not say
    id       new Patient ID; "" in a list without that column
    """

    line: int
    number: str
    issuer: str = ""
    domain: str = ""
    project: str = ""
    id: str = ""

    def __repr__(self) -> str:
        return f"Line({self.line})"


def read_list(file: Path, *, with_ids: bool) -> tuple[list[Line], list[Problem]]:
    """Return the lines of a list and what is wrong with it; a list with problems is not to be taken.

    with_ids  whether it gives each patient an id; a list of those who opted out does not

    Raises RequestRefused when it cannot be read as a list at all.
    """
    rows = _rows(_text(file), file)
    first, header = next(rows, (0, []))
    columns = _columns(header, file, first, with_ids=with_ids)
    lines: list[Line] = []
    problems: list[Problem] = []
    for number, cells in rows:
        if not any(cell.strip() for cell in cells):
            continue
        if len(lines) >= MOST_LINES:
            raise RequestRefused(f"{file} has more than {MOST_LINES:,} lines; nothing was changed. Divide it.")
        wrong = _wrong(cells, columns)
        if wrong:
            problems.append(Problem(number, wrong))
        else:
            lines.append(Line(number, **{name: cells[at].strip(" \0") for name, at in columns.items()}))
    if not lines and not problems:
        raise RequestRefused(f"{file} names no patient; nothing was changed.")
    return lines, problems


def _text(file: Path) -> str:
    with file.open("rb") as opened:
        body = opened.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise RequestRefused(f"{file} is larger than {MOST_BYTES >> 20} MiB; nothing was changed. Divide it.")
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body[: error.start].count(b"\n") + 1
        raise RequestRefused(
            f"{file} line {line} is not UTF-8; nothing was changed. Save the list as 'CSV UTF-8' and try again."
        ) from None


def _rows(text: str, file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line; a cell in quotes may hold line ends, so numbers are those of its first."""
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 1
    try:
        for cells in reader:
            yield number, cells
            number = reader.line_num + 1
    except csv.Error:
        raise RequestRefused(
            f"{file} line {number} is no CSV: a quotation mark is missing, or one too many. Nothing was changed."
        ) from None


def _columns(header: list[str], file: Path, line: int, *, with_ids: bool) -> Mapping[str, int]:
    """Return where each column is; raises RequestRefused for one that is unknown, double or missing."""
    found: dict[str, int] = {}
    known = {alias: name for name, aliases in _NAMES.items() for alias in aliases if with_ids or name != "id"}
    for at, title in enumerate(header):
        name = known.get(_NOT_PLAIN.sub("", title.lower()))
        if name is None or name in found:
            what = "is not known" if name is None else "is there twice"
            # Where there is no header, the first line is a patient: it is not repeated.
            raise RequestRefused(
                f"{file} line {line}: column {at + 1} {what}; nothing was changed. The header names the columns: "
                f"MRN{', trial id' if with_ids else ''}, and if needed issuer, domain, project."
            )
        found[name] = at
    needed = {"number": "MRN", "id": "trial id"} if with_ids else {"number": "MRN"}
    missing = [title for name, title in needed.items() if name not in found]
    if missing:
        raise RequestRefused(f"{file} line {line}: there is no column {' or '.join(missing)}; nothing was changed.")
    return found


def _wrong(cells: list[str], columns: Mapping[str, int]) -> str:
    """Return what is wrong with a line by itself; "" if nothing is."""
    if len(cells) <= max(columns.values()) or any(cell.strip() for cell in cells[max(columns.values()) + 1 :]):
        return "it has not as many cells as the header"
    number = cells[columns["number"]].strip(" \0")
    if not number:
        return "there is no MRN"
    if "id" not in columns:
        return ""
    new = cells[columns["id"]].strip(" \0")
    if not new:
        return "there is no trial id"
    if len(new) > LONGEST_ID or _ID.fullmatch(new) is None:
        return f"the trial id is longer than {LONGEST_ID} characters, or has others than plain ASCII without backslash"
    if new == number or (len(number) >= LEAST_TELLING and number.lower() in new.lower()):
        return "the trial id holds the MRN, and would tell who it is"
    return ""
