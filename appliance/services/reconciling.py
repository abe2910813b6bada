"""Asking each destination, once a day, whether it has what it named as stored; what it lost is sent again.

Part of the forward service. A timer says when, at night; if nobody does, it is due by itself. A round asks study by
study. What is missing is looked for again an hour later, and if it is missing still, the inside makes it again from its
original, once by itself. Where more is missing than a site lets us send again by ourselves, nothing is: a destination
that was emptied, or shows us too little, needs a person. A crash means only that the round begins again.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.delivery import Destination, Reconciliation
from appliance.outlet import inventory as web
from appliance.outlet.breaker import Breaker, Permit
from appliance.outlet.destination import Unavailable
from appliance.outlet.inventory import Absent, Answer, Inventory, NotAnswered
from appliance.services.errands import Errands, Reports
from appliance.spool.missing import Delivered
from appliance.spool.outbox import Outbox

log = logging.getLogger(__name__)

HOUR_S = 3600.0  # until something found missing, or sent again, is looked for
DAY_S = 86_400.0
LATEST_S = 26 * HOUR_S  # between two rounds if nobody asks; above a day, so that the timer at night comes first
SETTLED_S = 3600.0  # what was stored later may not be found yet: an archive sorts in at its leisure
LOOK_S = 1.0  # between two looks whether a round is due
TOGETHER = 500  # instances that one step lets be made again


@dataclass(slots=True)
class _Round:
    """What is being asked.

    whole  everything that was delivered lately; else only what is missing or on its way again
    after  the study that was asked for last; None at the end
    """

    whole: bool
    after: str | None = ""
    instances: int = 0


@dataclass(frozen=True, slots=True)
class _Errand:
    """``before`` is the study before this one, from which the round goes on if nobody answers."""

    destination: str
    round: _Round
    before: str | None
    delivered: Delivered
    permit: Permit


@dataclass(frozen=True, slots=True)
class _Report:
    errand: _Errand
    answer: Answer


class Asker(Errands[_Errand, _Report]):
    """One destination's thread for questions."""

    def __init__(self, name: str, inventory: Inventory, breaker: Breaker, wanted: Reconciliation) -> None:
        super().__init__(name, "reconciliation", breaker)
        self.wanted = wanted
        self._inventory = inventory

    def work(self, errand: _Errand) -> _Report:
        try:
            answer = self._inventory.absent(errand.delivered.study, errand.delivered.instances)
        except Exception as error:  # the edge of a service loop (house-style C2): nothing may end it
            log.exception("reconciliation failed unexpectedly", extra={"destination": errand.destination})
            answer = Unavailable(None, f"an unexpected {type(error).__name__} of the appliance.")
        return _Report(errand, answer)

    def close(self) -> None:
        self._inventory.close()


class Reconciling:
    """The questions to every destination. Used by the forward service's thread alone.

    kept_s  for how long the original of a forwarded instance is kept
    clock   POSIX seconds
    """

    def __init__(self, outbox: Outbox, askers: Sequence[Asker], *, kept_s: float, clock: Callable[[], float]) -> None:
        self._outbox = outbox
        self._rows = outbox.missing
        self._askers = {asker.name: asker for asker in askers}
        self._rounds: dict[str, _Round] = {}
        self._asked: dict[str, float] = {}  # when the last round ended, of either kind
        self._looked: dict[str, float] = {}  # when it was last looked whether one is due
        self._reports = Reports(self._settle)
        self._kept_s = kept_s
        self._clock = clock

    def start(self) -> None:
        """Start the threads; they open their first connection with the first question."""
        self._rows.forget_others(self._askers)
        for asker in self._askers.values():
            self._rows.last(asker.name, self._clock())
            asker.start(self._reports.came)

    def step(self) -> bool:
        """Write what came back, ask for more if it is time; return whether there was anything."""
        came = self._reports.take()
        asked = [self._ask(asker) for asker in self._askers.values() if asker.free]
        return came or any(asked)

    def stop(self, seconds: float) -> None:
        """Let running questions end within so many seconds and write what came; a round begins again."""
        for asker in self._askers.values():
            asker.stop()
        for asker in self._askers.values():
            asker.join(seconds)
        self._reports.take()

    def look_now(self, destination: str) -> bool:
        """Begin a round at once, whatever the time; False for a destination that is not asked."""
        if destination not in self._askers:
            return False
        self._rounds[destination] = _Round(whole=True)
        self._askers[destination].breaker.reset()
        return True

    def send_again(self, destination: str) -> int:
        """A person wants what is missing to be sent again, however much and often it is; return how many are."""
        total = 0
        while sent := self._rows.send_again(destination, self._kept_since(), self._clock(), TOGETHER, by_person=True):
            total += sent
        return total

    # --- asking ---------------------------------------------------------------------------------------------------

    def _ask(self, asker: Asker) -> bool:
        now = self._clock()
        found = self._rounds.get(asker.name) or self._due(asker, now)
        if found is None or (permit := asker.breaker.permit()) is None:
            return False
        self._rounds[asker.name] = found
        before, until = found.after, now - SETTLED_S
        if found.whole:
            since = now - asker.wanted.days * DAY_S
            found.after, delivered = self._rows.next_delivered(asker.name, before or "", since, until)
        else:
            found.after, delivered = self._rows.next_open(asker.name, before or "", now - DAY_S, until)
        if delivered.instances:
            asker.send(_Errand(asker.name, found, before, delivered, permit))
            return True
        asker.breaker.unused(permit)
        if found.after is None:
            self._ended(asker, found)
        return True

    def _due(self, asker: Asker, now: float) -> _Round | None:
        if 0 <= now - self._looked.get(asker.name, float("-inf")) < LOOK_S:
            return None
        self._looked[asker.name] = now
        if not 0 <= now - self._rows.last(asker.name, now) < LATEST_S:  # or the clock was set back
            return _Round(whole=True)
        counts = self._rows.counts().get(asker.name, {})
        asked = self._asked.setdefault(asker.name, now)
        if (counts.get("MISSING") or counts.get("SENT_AGAIN")) and not 0 <= now - asked < HOUR_S:
            return _Round(whole=False)
        return None

    def _ended(self, asker: Asker, found: _Round) -> None:
        name, now = asker.name, self._clock()
        del self._rounds[name]
        self._asked[name] = now
        if found.whole:
            self._rows.ended(name, now)
        missing = self._rows.counts().get(name, {}).get("MISSING", 0)
        log.info("reconciled", extra={"destination": name, "count": found.instances, "missing": missing})
        count = self._rows.to_send_again(name, self._kept_since(), by_person=False)
        if count > asker.wanted.send_again:
            log.error(too_many(name, count, asker.wanted.send_again), extra={"destination": name})
        elif count:
            self._rows.send_again(name, self._kept_since(), now, count, by_person=False)
            log.warning(lost(name, count), extra={"destination": name})

    def _kept_since(self) -> float:
        """What was settled later has its original still: an hour is left for the inside to begin."""
        return self._clock() - self._kept_s + HOUR_S

    # --- what came back -------------------------------------------------------------------------------------------

    def _settle(self, report: _Report) -> None:
        errand = report.errand
        name, asker = errand.destination, self._askers[errand.destination]
        match report.answer:
            case Absent(absent):
                self._rows.asked(name, errand.delivered, absent, self._clock())
                errand.round.instances += len(errand.delivered.instances)
                asker.breaker.worked(errand.permit)
            case NotAnswered():
                errand.round.after = errand.before
                asker.breaker.failed(errand.permit, HOUR_S, "it does not let us search.")
                log.error(nobody_may_search(name), extra={"destination": name})
            case Unavailable(after_s, detail, sure):
                errand.round.after = errand.before
                asker.breaker.failed(errand.permit, after_s, detail, sure=sure)
                log.warning("reconciliation waits", extra={"destination": name, "detail": detail})
        asker.free = True


def lost(name: str, count: int) -> str:
    """Return the message that a destination lost instances, which are sent again."""
    return (
        f"The destination '{name}' named {count} instances as stored and does not have them: they are made again from "
        f"their originals and sent again. Ask its operator what happened there. 'appliance reconcile' lists them."
    )


def too_many(name: str, count: int, most: int) -> str:
    """Return the message that a destination lost more than is sent again without a person."""
    return (
        f"The destination '{name}' named {count} instances as stored and does not have them, more than "
        f"reconciliation.send_again ({most}): nothing is sent again by itself. Their originals are kept for "
        f"retention.originals_days. Ask its operator what happened there, then: appliance reconcile {name} --send-again"
    )


def nobody_may_search(name: str) -> str:
    """Return the message that a destination cannot be asked."""
    return (
        f"The destination '{name}' does not let us search (QIDO-RS), so nobody knows whether it has what it named as "
        f"stored. Images go on. Give our login the right to search, or switch it off: reconciliation: {{days: 0}}"
    )


def asker_to(destination: Destination, *, clock: Callable[[], float], chance: Callable[[], float]) -> Asker:
    """Return the asker of a configured destination, not yet started. ``clock``: monotonic seconds."""
    return Asker(destination.name, web.connect(destination), Breaker(clock, chance), destination.reconciliation)
