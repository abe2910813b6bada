"""Tells the hospital's audit receiver what the audit and the rows say, at least once, however long it was away.

The audit file and the rows are the buffer; a cursor says how far they were told. It moves after the receiver confirmed,
so a crash tells a page again and leaves none out. Nobody waits for the receiver: a step takes at most some seconds, and
after a failure the next one comes later and later.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from appliance.auditing import Syslog
from appliance.errors import ApplianceError
from appliance.spool.arrivals import FRONT
from appliance.spool.backoff import backoff
from appliance.spool.overview import Unreadable
from appliance.watch.audit import Audit
from appliance.watch.syslog.cursor import Cursor, CursorUnreadable, put_cursor, read_cursor
from appliance.watch.syslog.lines import end_of, follow
from appliance.watch.syslog.message import Message, Origin, Refused, stranger
from appliance.watch.syslog.rows import Rows
from appliance.watch.syslog.said import AGAIN, BEGUN, OTHER_ROWS, REPLACED, STARTED, STOPPED, of_line
from appliance.watch.syslog.wire import KINDS, deliver, frame, header_name, kind

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
PAGE: Final = 100  # lines of one delivery
LONGEST_S: Final = 300.0  # between two attempts
SERVICE: Final = "watch"


class Relay:
    """Follows the audit and the rows and tells them, a page a step.

    origin   who reports
    refused  gives the nodes that were refused after a moment
    file    where it is remembered how far was told
    clock   POSIX seconds; chance: from [0, 1)
    """

    def __init__(
        self,
        to: Syslog,
        origin: Origin,
        audit: Audit,
        rows: Rows,
        refused: Callable[[float], list[Refused]],
        file: Path,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float],
        chance: Callable[[], float],
    ) -> None:
        self._to = to
        self._origin = origin
        self._audit = audit
        self._rows = rows
        self._refused = refused
        self._file = file
        self._clock = clock
        self._chance = chance
        self._cursor: Cursor | None = None
        self._next = float("-inf")
        self._pause = 0.0
        self._next_rows = float("-inf")
        self._failures = 0
        self._oldest: float | None = None
        self._sent = Counter("appliance_syslog_messages", "Audit messages that were confirmed.", registry=registry)
        self._failed = Counter(
            "appliance_syslog_failures", "Deliveries of audit messages that failed.", ["why"], registry=registry
        )
        self._gaps = Counter(
            "appliance_syslog_gaps", "Times that the audit could not be followed from where it was.", registry=registry
        )
        self._waiting = Gauge(
            "appliance_syslog_waiting_seconds", "Age of the oldest audit message not told.", registry=registry
        )
        for why in KINDS:
            self._failed.labels(why)

    def step(self) -> bool:
        """Tell one page if it is time; return whether there may be more. OSError when that cannot be remembered."""
        now = self._clock()
        if self._oldest is not None:
            self._waiting.set(max(0.0, now - self._oldest))
        if 0 <= self._next - now <= self._pause:  # else it is due, or the clock was set
            return False
        self._wait(LOOK_S)
        return self._tell(self._begin() if self._cursor is None else self._cursor)

    def end(self) -> None:
        """Note that the service stops, and tell it unless the receiver is away: then it is told at the next start."""
        try:
            self._note(STOPPED, SERVICE)
            if self._cursor is not None and not self._failures:
                self._tell(self._cursor)
        except (OSError, ApplianceError) as error:
            log.warning("the stop is not in the audit, or not told yet", extra={"kind": type(error).__name__})

    def _begin(self) -> Cursor:
        """Return how far was told before we started; what was before the first start is not told."""
        try:
            cursor = read_cursor(self._file)
        except CursorUnreadable as error:
            log.error("it is not known which audit messages were told", extra={"problem": str(error)})
            cursor = Cursor()
            self._lost(AGAIN, cursor)
        if cursor is None:
            cursor = Cursor(end_of(self._audit.file), *self._rows.newest(), self._clock())
            self._note(BEGUN, f"to {self._to.host} port {self._to.port}")
        put_cursor(cursor, self._file)
        self._note(STARTED, SERVICE)
        self._cursor = cursor
        return cursor

    def _tell(self, cursor: Cursor) -> bool:
        messages, after = self._page(cursor)
        if messages:
            self._oldest = min(message.at for message in messages)
            host = header_name(self._origin.node)
            try:
                deliver(self._to, [frame(message, host) for message in messages])
            except (OSError, UnicodeError) as error:  # a name that cannot be one, to the resolver
                self._could_not(error)
                return False
            self._told(len(messages))
        if after == cursor:
            self._oldest = None
            self._waiting.set(0)
            return False
        self._cursor = after  # first: while it cannot be remembered, it is not told again and again
        put_cursor(after, self._file)
        self._next = float("-inf")
        return True

    def _page(self, cursor: Cursor) -> tuple[list[Message], Cursor]:
        """Return the next messages, and the cursor after them."""
        now = self._clock()
        found = follow(self._audit.file, cursor.audit, PAGE, now)
        if found.is_new:
            log.error("the audit file was replaced, shortened or removed; it is told from its front")
            self._lost(REPLACED, replace(cursor, audit=found.place))
        messages = [of_line(self._origin, line) for line in found.lines]
        after = replace(cursor, audit=found.place)
        # The rest a study, or a caller, at a time: it is looked at more rarely.
        if 0 <= self._next_rows - now <= self._to.gather_s:
            return messages, after
        self._next_rows = now + self._to.gather_s
        refused = self._refused(cursor.refused)[:PAGE]
        messages += [stranger(self._origin, each) for each in refused]
        after = replace(after, refused=max([cursor.refused, *(each.at for each in refused)]))
        try:
            return self._with_rows(messages, after, now)
        except Unreadable:
            return messages, after  # told elsewhere, and followed when they can be read again

    def _with_rows(self, messages: list[Message], cursor: Cursor, now: float) -> tuple[list[Message], Cursor]:
        received, exported = self._rows.received(cursor.received, now), self._rows.exported(cursor.exported)
        if received is None or exported is None:
            log.error("rows were begun again; they are told from their front")
            front = FRONT if received is None else cursor.received, ("", 0) if exported is None else cursor.exported
            self._lost(OTHER_ROWS, replace(self._cursor or cursor, received=front[0], exported=front[1]))
            self._next_rows = float("-inf")
            return messages, replace(cursor, received=front[0], exported=front[1])
        if received.is_full or exported.is_full:
            self._next_rows = float("-inf")
        messages = [*messages, *received.messages, *exported.messages]
        return messages, replace(cursor, received=received.place, exported=exported.place)

    def _lost(self, what: str, front: Cursor) -> None:
        """Say that it is told from ``front``: in the audit, and so to the receiver; once, however long he is away."""
        self._gaps.inc()
        self._note(what, "")
        put_cursor(front, self._file)
        self._cursor = front

    def _note(self, what: str, about: str) -> None:
        self._audit.write(who="appliance", what=what, about=about)

    def _told(self, count: int) -> None:
        self._sent.inc(count)
        if self._failures:
            log.info("audit messages are told again", extra={"count": count})
        self._failures = 0

    def _could_not(self, error: OSError | UnicodeError) -> None:
        why = kind(error)
        self._failed.labels(why).inc()
        if not self._failures:
            log.warning("audit messages wait; they are told later", extra={"why": why, "kind": type(error).__name__})
        self._failures += 1
        self._next_rows = float("-inf")
        self._wait(backoff(self._failures, self._chance(), longest_s=LONGEST_S))

    def _wait(self, seconds: float) -> None:
        self._pause = seconds
        self._next = self._clock() + seconds
