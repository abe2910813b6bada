"""What went wrong with each caller lately, kept in a small file beside the metrics: for 'appliance peers'.

Only facts of the connection are kept: addresses, AE titles (their plain characters), proposed UIDs. It is a memory, no
record: not synced, bounded, and without it nothing else suffers.
"""

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.errors import Unsafe
from appliance.intake.troubles import Trouble
from appliance.spool.files import make_folder, open_regular

MOST_CALLERS = 200
MOST_FAILURES = 5  # of each caller, the latest
EVERY_S = 2.0
_LARGEST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Failure:
    """One thing that went wrong.

    at      POSIX seconds
    called  AE title that was called, as far as it can be shown; "" before one was given
    facts   what the sender proposed or showed, in words of DICOM
    """

    at: float
    trouble: Trouble
    called: str = ""
    facts: str = ""


@dataclass(slots=True)
class Caller:
    """Whoever calls from an address under an AE title ("" where the connection never came that far).

    worked_at  when an association of this caller last ended in order, POSIX seconds; 0: not that we remember
    failures   the latest last
    """

    address: str
    calling: str
    worked_at: float = 0.0
    failures: list[Failure] = field(default_factory=list)


class Callers:
    """The memory of the receiver. ``failed`` and ``worked`` may come from any thread, and never raise.

    file   None: nothing is kept
    """

    def __init__(self, file: Path | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._callers: OrderedDict[tuple[str, str], Caller] = OrderedDict()
        self._changed = False
        self._next = 0.0
        for caller in [] if file is None else read_callers(file):
            self._callers[caller.address, caller.calling] = caller

    def failed(self, address: str, calling: str, trouble: Trouble, *, called: str = "", facts: str = "") -> None:
        """Something went wrong with a caller."""
        failure = Failure(self._clock(), trouble, shown(called), facts)
        with self._lock:
            caller = self._caller(address, shown(calling))
            caller.failures = [*caller.failures, failure][-MOST_FAILURES:]

    def worked(self, address: str, calling: str) -> None:
        """An association was served to its orderly end."""
        with self._lock:
            self._caller(address, shown(calling)).worked_at = self._clock()

    def save(self) -> None:
        """Write what changed, at most every EVERY_S. Never raises: a full disk must not end the receiver."""
        now = self._clock()
        if self._file is None or not self._changed or 0 <= self._next - now <= EVERY_S:
            return
        self._next = now + EVERY_S
        with self._lock:
            self._changed = False
            text = json.dumps([_as_json(caller) for caller in self._callers.values()])
        with suppress(OSError):
            make_folder(self._file.parent)
            part = self._file.with_suffix(".part")
            part.write_text(text, encoding="utf-8")
            part.replace(self._file)

    def _caller(self, address: str, calling: str) -> Caller:
        self._changed = True
        caller = self._callers.setdefault((address, calling), Caller(address, calling))
        self._callers.move_to_end((address, calling))
        if len(self._callers) > MOST_CALLERS:
            self._callers.popitem(last=False)
        return caller


def shown(title: str) -> str:
    """Return what of an AE title from the network is shown: letters, digits and plain marks."""
    return "".join(c if c.isascii() and (c.isalnum() or c in " ._-") else "?" for c in title)


def read_callers(file: Path) -> list[Caller]:
    """Return what was kept, the caller that last did something last; nothing if it cannot be understood."""
    try:
        with open_regular(file) as body:
            return [_of_json(each) for each in json.loads(body.read(_LARGEST))]
    except (OSError, Unsafe, ValueError, KeyError, TypeError):
        return []


def _as_json(caller: Caller) -> dict[str, Any]:
    return {
        **asdict(caller),
        "failures": [{**asdict(failure), "trouble": failure.trouble.value} for failure in caller.failures],
    }


def _of_json(found: dict[str, Any]) -> Caller:
    return Caller(
        str(found["address"]),
        str(found["calling"]),
        float(found["worked_at"]),
        [
            Failure(float(each["at"]), Trouble(each["trouble"]), str(each["called"]), str(each["facts"]))
            for each in found["failures"]
        ],
    )
