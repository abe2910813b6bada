"""Let go of what is no longer needed, each side by itself; look at the databases once a day.

What is undelivered is kept for ever. A hospital runs one process a side, each as a user who may not reach the other. A
timer at night says when, or a person ('appliance purge'); if nobody does, it is once a day.
"""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from appliance.config import Config
from appliance.errors import SpoolFull
from appliance.services.books import Books
from appliance.services.full_check import FullCheck
from appliance.spool.files import free_bytes
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.recovery import recover_purged
from appliance.spool.reports import Reports, ReportsNotKept
from appliance.spool.requests import Requests

log = logging.getLogger(__name__)

LATEST_S = 26 * 3600.0  # after the last time, if nobody asks; above a day, so that a timer at night comes first
LOOK_S = 5.0  # how often it is looked whether the disk fills
AT_ONCE = 50  # originals removed early in one step
PAGE = 500  # originals or rows removed in one step
DAY_S = 86_400.0

Told = Callable[[dict[str, int], int], None]  # what the comparison of books and disk found


def _nobody(_missing: dict[str, int], _uncounted: int) -> None:
    """Tell nobody."""


class Asked:
    """What a purging service is asked for: to let go at once of all that is over its time."""

    def __init__(self, config: Config, owner: str) -> None:
        self._requests = Requests(config.state / "requests")
        self._owner = owner

    def step(self) -> bool:
        """Answer what is asked; return whether it is time now.

        On a disk too full for the answer it is time all the same: to let go is what makes room for it.
        """
        due = False
        for request in self._requests.take(self._owner):
            known = request.verb == "purge"
            due = due or known
            refused = {"error": f"'{self._owner}' can't be asked to do this; nothing was changed."}
            with suppress(SpoolFull):  # asked again with the next step
                self._requests.answer(self._owner, request.id, {"done": 1} if known else refused)
        return due


class PurgeInside:
    """Removes originals, discarded instances and old rows of the inside once their time is over.

    With ``retention.early_below_gb`` also originals that every destination named, the longest ago first, while less
    than that is free. Nothing else goes early, however full the disk is: senders are told to retry.

    free  bytes free on the file system of a folder
    """

    name = "purge-inside"

    def __init__(
        self,
        config: Config,
        told: Told = _nobody,
        *,
        clock: Callable[[], float] = time.time,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._config = config
        self._told = told
        self._clock = clock
        self._free = free
        self._asked = Asked(config, self.name)
        self._next = 0.0
        self._look = 0.0

    def start(self) -> None:
        """Open the inside."""
        self._spool = Spool(self._config.state / "inside", reserve_bytes=self._config.spool.reserve_bytes)
        self._reports = Reports(self._spool.layout.reports)
        self._repair = recover_purged(self._spool)
        self._books = Books(self._spool, self._told)
        self._check = FullCheck(self._spool.journal.database, "deidentify", Requests(self._config.state / "requests"))

    def step(self) -> bool:
        """Remove at most a page of each kind; begin again when somebody asks, or LATEST_S after nothing was left."""
        now = self._clock()
        self._check.step(now)
        if self._asked.step():
            self._next = now
        if self._repair.step() or self._books.step(now):
            return True
        if self._early(now):
            return True
        if self._next - LATEST_S <= now < self._next:  # else it is due, or the clock was set back
            return False
        removed = self._originals(now) + self._spool.purge_rows(_rows_before(self._config, now), PAGE)
        removed += self._old_reports(now)
        if not removed:
            self._next = now + LATEST_S
        return removed > 0

    def stop(self) -> None:
        """Close the inside."""
        self._reports.close()
        self._spool.close()

    def _originals(self, now: float) -> int:
        keep = self._config.retention
        ids = self._spool.purgeable_originals(now - keep.originals_days * DAY_S, PAGE)
        ids += self._spool.purgeable_discarded(now - keep.discarded_days * DAY_S, PAGE)
        self._spool.original_purged(ids)
        if ids:
            log.info("originals purged", extra={"count": len(ids)})
        return len(ids)

    def _early(self, now: float) -> bool:
        """Remove delivered originals while the disk fills; return whether there may be more to remove."""
        below = self._config.retention.early_below_bytes
        if not below or self._look - LOOK_S <= now < self._look:
            return False
        self._look = now + LOOK_S
        folder = self._spool.layout.root
        removed = 0
        if self._free(folder) < below:
            for spool_id in self._spool.purgeable_originals(now, AT_ONCE):
                if self._free(folder) >= below:
                    break
                self._spool.original_purged([spool_id])
                removed += 1
        if removed:
            log.warning("originals purged before their days: the disk fills", extra={"count": removed})
        if removed == AT_ONCE:
            self._look = now
        return removed > 0

    def _old_reports(self, now: float) -> int:
        try:
            return self._reports.purge(now - self._config.retention.reports_days * DAY_S, PAGE)
        except ReportsNotKept as error:
            log.warning("old reports cannot be purged", exc_info=error)
            return 0


class PurgeOutside:
    """Forgets old rows of the outside. Its files leave by delivery alone."""

    name = "purge-outside"

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._asked = Asked(config, self.name)
        self._next = 0.0

    def start(self) -> None:
        """Open the outside."""
        self._outbox = Outbox(self._config.state / "outside")
        self._check = FullCheck(self._outbox.rows.database, "forward", Requests(self._config.state / "requests"))

    def step(self) -> bool:
        """Forget at most a page of rows; begin again when somebody asks, or LATEST_S after nothing was left."""
        now = self._clock()
        self._check.step(now)
        if self._asked.step():
            self._next = now
        if self._next - LATEST_S <= now < self._next:
            return False
        removed = self._outbox.purge_rows(_rows_before(self._config, now), PAGE)
        if not removed:
            self._next = now + LATEST_S
        return removed > 0

    def stop(self) -> None:
        """Close the outside."""
        self._outbox.close()


class Purge:
    """Both sides in one process, as in development."""

    name = "purge"

    def __init__(self, config: Config, told: Told = _nobody, *, clock: Callable[[], float] = time.time) -> None:
        self._sides = (PurgeInside(config, told, clock=clock), PurgeOutside(config, clock=clock))

    def start(self) -> None:
        """Open both sides."""
        for side in self._sides:
            side.start()

    def step(self) -> bool:
        """Take a step on each side."""
        inside, outside = (side.step() for side in self._sides)
        return inside or outside

    def stop(self) -> None:
        """Close both sides."""
        for side in self._sides:
            side.stop()


def _rows_before(config: Config, now: float) -> float:
    return now - config.retention.rows_days * DAY_S
