"""What became of each file of one item, kept so that a crash in the middle of it forgets nothing.

A small log in the clinic's own ``_receipts`` folder (it holds the clinic's names), one line a file, removed when the
receipt is written. Losing its last lines in a power cut is harmless: those files are still in the inbox, or are counted
by the journal.
"""

import errno
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from appliance.intake.beneath import Beneath, Parts
from appliance.intake.refusals import Refusal
from appliance.intake.scan import RECEIPTS

_LARGEST_LOG = 256 * 1024 * 1024
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_NAME = ".item-{number:06d}.log"

TAKEN, REFUSED, LITTER, MEDIUM, MISSING = "taken", "refused", "litter", "medium", "missing"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one file. ``what`` is TAKEN, REFUSED, LITTER, MEDIUM (a DICOMDIR) or MISSING (listed by one).

    size  bytes of the kept file, for the metrics; the log does not keep it
    """

    what: str
    why: str = ""
    detail: str = ""
    size: int = 0


@dataclass(slots=True)
class Tally:
    """One item: its number, its name in the clinic's folder, the date it was taken up, and the fate of each file."""

    number: int
    key: str
    date: str
    fates: dict[str, Fate] = field(default_factory=dict)
    _log: BinaryIO | None = None

    def note(self, name: str, fate: Fate) -> None:
        """Remember what became of the file of this name; told twice, the last word holds."""
        self.fates[name] = fate
        self._write([name, fate.what, fate.why, fate.detail])

    def _write(self, value: object) -> None:
        try:
            if self._log is not None:
                self._log.write(_line(value))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            # A clinic's full share must not keep us from emptying it; the log is a convenience.

    def counts(self) -> Counter[str]:
        """How many files had each fate."""
        return Counter(fate.what for fate in self.fates.values())

    def refused(self) -> Iterator[tuple[str, Refusal, str]]:
        """The files that were not taken: name, why, detail."""
        for name, fate in self.fates.items():
            if fate.what == REFUSED:
                yield name, Refusal(fate.why), fate.detail

    def status(self) -> str:
        """``success``, ``partial`` or ``failed``, as importers count items. A missing listed file is no success."""
        counts = self.counts()
        if counts[TAKEN] and not counts[REFUSED] and not counts[MISSING]:
            return "success"
        return "partial" if counts[TAKEN] else "failed"


def opened(clinic: Beneath, number: int, key: str, date: str) -> Tally:
    """Begin the log of a new item."""
    tally = Tally(number, key, date)
    tally._log = clinic.append(_parts(number))
    tally._write({"item": number, "key": key, "date": date})
    return tally


def left_open(clinic: Beneath) -> list[Tally]:
    """Return the items that were begun and not closed, as a crash or a stop left them; ready to go on."""
    found = []
    for name in clinic.names((RECEIPTS,)):
        if name.startswith(".item-") and name.endswith(".log"):
            tally = _read(clinic.read((RECEIPTS, name), _LARGEST_LOG) or b"")
            if tally is None or name != _NAME.format(number=tally.number):
                clinic.remove((RECEIPTS, name))
                continue
            tally._log = clinic.append(_parts(tally.number))
            tally._write(None)  # the last line may be half a one: this ends it, and says nothing itself
            found.append(tally)
    return found


def closed(clinic: Beneath, tally: Tally) -> None:
    """Remove the log: the receipt says it all now."""
    if tally._log is not None:
        tally._log.close()
        tally._log = None
    clinic.remove(_parts(tally.number))


def _parts(number: int) -> Parts:
    return RECEIPTS, _NAME.format(number=number)


def _line(value: object) -> bytes:
    # ensure_ascii: names that are no UTF-8 come as lone surrogates and go back as such.
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def _read(body: bytes) -> Tally | None:
    """Return the tally that a log tells; None without a usable first line. Half lines are passed over."""
    tally: Tally | None = None
    for line in body.splitlines():
        try:
            match json.loads(line):
                case {"item": int(number), "key": str(key), "date": str(date)} if tally is None and _plain(key, date):
                    tally = Tally(number, key, date)
                case [str(name), str(what), str(why), str(detail)] if tally is not None and _known(what, why):
                    tally.fates[name] = Fate(what, why, detail)
        except ValueError:
            continue
    return tally


def _plain(key: str, date: str) -> bool:
    """The log lies where others can write: what will be part of a path must look like it."""
    return _DATE.fullmatch(date) is not None and "/" not in key and "\0" not in key and key not in (".", "..")


def _known(what: str, why: str) -> bool:
    return what in (TAKEN, LITTER, MEDIUM, MISSING) or (what == REFUSED and why in {each.value for each in Refusal})
