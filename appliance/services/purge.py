"""Let go of what is no longer needed, each side by itself; look at the databases once a day.

What is undelivered is kept for ever.
"""

import logging
import time
from collections.abc import Callable

from appliance.config import Config
from appliance.services.full_check import FullCheck
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.recovery import recover_purged
from appliance.spool.requests import Requests

log = logging.getLogger(__name__)

EVERY_S = 600.0
PAGE = 500  # originals or rows removed in one step
DAY_S = 86_400.0


class Purge:
    """Removes originals, discarded instances and old rows once their time is over."""

    name = "purge"

    def __init__(self, config: Config, *, clock: Callable[[], float] = time.time) -> None:
        self._config = config
        self._clock = clock
        self._next = 0.0

    def start(self) -> None:
        """Open both sides."""
        self._spool = Spool(self._config.state / "inside", reserve_bytes=self._config.spool.reserve_bytes)
        self._outbox = Outbox(self._config.state / "outside")
        self._repair = recover_purged(self._spool)
        requests = Requests(self._config.state / "requests")
        self._checks = (
            FullCheck(self._spool.journal.database, "deidentify", requests),
            FullCheck(self._outbox.rows.database, "forward", requests),
        )

    def step(self) -> bool:
        """Remove at most a page of each kind; begin again EVERY_S seconds after there was nothing left."""
        now = self._clock()
        for check in self._checks:
            check.step(now)
        if self._repair.step():
            return True
        if now < self._next:
            return False
        removed = self._originals(now) + self._rows(now)
        if not removed:
            self._next = now + EVERY_S
        return removed > 0

    def stop(self) -> None:
        """Close both sides."""
        self._spool.close()
        self._outbox.close()

    def _originals(self, now: float) -> int:
        keep = self._config.retention
        ids = self._spool.purgeable_originals(now - keep.originals_days * DAY_S, PAGE)
        ids += self._spool.purgeable_discarded(now - keep.discarded_days * DAY_S, PAGE)
        self._spool.original_purged(ids)
        if ids:
            log.info("originals purged", extra={"count": len(ids)})
        return len(ids)

    def _rows(self, now: float) -> int:
        before = now - self._config.retention.rows_days * DAY_S
        return self._spool.purge_rows(before, PAGE) + self._outbox.purge_rows(before, PAGE)
