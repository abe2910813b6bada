"""Keeping reports while images pass: in memory until the commit that belongs to them, and never in an image's way."""

import logging
from collections import deque
from collections.abc import Callable, Collection
from typing import Protocol

from appliance.deid.account import places_in
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.services.worker import Made, Withheld
from appliance.spool.reports import Entry, Reports, ReportsNotKept

log = logging.getLogger(__name__)

MOST = 10_000  # reports in memory while they cannot be written; the oldest go first
EVERY_S = 10.0  # between two attempts then
_NOT_TOLD = (Reason.FORGOTTEN.value,)  # who was erased leaves no new trace


class Observer(Protocol):
    """What is told to the metrics."""

    def reports_waiting(self, count: int) -> None: ...


class Reporting:
    """Reports on their way into the store. ``clock`` gives POSIX seconds."""

    def __init__(self, reports: Reports, observer: Observer, clock: Callable[[], float]) -> None:
        self._reports = reports
        self._observer = observer
        self._clock = clock
        self._waiting: deque[Entry] = deque(maxlen=MOST)
        self._failed_at: float | None = None

    def passes(self, instance: Instance, made: Made) -> None:
        """Note what was done to an instance that is about to pass."""
        self._waiting.append(
            Entry(
                *(instance.id, instance.round, self._clock()),
                out=made.staged.stem,
                study=made.study,
                sop_instance=made.sop_instance,
                accepted=tuple(instance.accepted),
                rules_digest=made.rules_digest,
                body=made.account,
            )
        )

    def withheld(self, instance: Instance, reason: Reason, detail: str, of: Made | Withheld | None) -> None:
        """Note why an instance does not pass; ``of``: what came of it, if a worker came so far."""
        if reason.value in _NOT_TOLD:
            return
        self._waiting.append(
            Entry(
                *(instance.id, instance.round, self._clock(), reason.value, places_in(detail)),
                study="" if of is None else of.study,
                accepted=tuple(instance.accepted),
                rules_digest="" if of is None else of.rules_digest,
            )
        )
        self.flush()  # before its row: a kill in between does it again

    def last(self, ids: Collection[str]) -> dict[str, Entry]:
        """Return, of those instances that have any, the report of their last round; nothing if they cannot be read."""
        try:
            return self._reports.last(ids) if ids else {}
        except ReportsNotKept as error:
            log.warning("reports cannot be read; rounds are counted from the first", exc_info=error)
            return {}

    def flush(self) -> None:
        """Keep what was noted, in one commit. What cannot be kept now is tried again, and holds up nobody."""
        now = self._clock()
        if not self._waiting or (self._failed_at is not None and 0 <= now - self._failed_at < EVERY_S):
            return
        try:
            self._reports.keep(self._waiting)
        except ReportsNotKept as error:
            if self._failed_at is None:
                log.warning("reports cannot be kept; images pass on", exc_info=error)
            self._failed_at = now
            self._observer.reports_waiting(len(self._waiting))
            return
        if self._failed_at is not None:
            self._failed_at = None
            self._observer.reports_waiting(0)
        self._waiting.clear()

    def close(self) -> None:
        """Keep what is left, and let go of the store."""
        self._failed_at = None
        self.flush()
        self._reports.close()
