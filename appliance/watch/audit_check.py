"""Once a day the audit's chain is followed from end to end, beside whatever else the watch service does."""

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from appliance.watch.audit import broken_at

log = logging.getLogger(__name__)

EVERY_S = 86_400.0


class AuditCheck:
    """The daily look. ``step`` never waits for it.

    clock  POSIX seconds
    """

    def __init__(self, file: Path, registry: CollectorRegistry, *, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock
        self._next = float("-inf")
        self._look: threading.Thread | None = None
        self._broken = Gauge("appliance_audit_broken", "1 if the audit's chain is broken.", registry=registry)
        self._checked = Gauge(
            "appliance_audit_checked_timestamp_seconds", "When the audit was last checked.", registry=registry
        )

    def step(self) -> bool:
        """Begin to look when a day is over; return whether a look is under way."""
        now = self._clock()
        under_way = self._look is not None and self._look.is_alive()
        if not under_way and not 0 <= self._next - now <= EVERY_S:
            self._next = now + EVERY_S
            self._look = threading.Thread(target=self._check, name="audit-check", daemon=True)
            self._look.start()
        return under_way

    def _check(self) -> None:
        try:
            broken = broken_at(self._file)
        except FileNotFoundError:
            broken = None  # nothing was decided yet
        except OSError as error:
            log.warning("audit not checked", extra={"kind": type(error).__name__})
            return
        if broken is not None:
            log.error("audit broken", extra={"line": broken})
        self._broken.set(int(broken is not None))
        self._checked.set(self._clock())
