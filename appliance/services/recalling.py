"""Taking back what left: asks each destination to delete, and confirms that it did, until every recall is settled.

Part of the forward service. The loop alone claims and writes rows; a crash between an answer and its row means only
that the destination is asked again.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from appliance import config
from appliance.lifecycle import RecallState
from appliance.model import Recall
from appliance.outlet import recall as web
from appliance.outlet.breaker import Breaker, Permit
from appliance.outlet.destination import Unavailable
from appliance.outlet.folder_recall import FolderRecall
from appliance.outlet.taken_back import Asked, Gone, NotPossible, TakenBack, TakesBack, Unconfirmed
from appliance.services.errands import Errands, Reports
from appliance.spool.backoff import backoff
from appliance.spool.outbox import Outbox
from appliance.spool.recalls import Moved

log = logging.getLogger(__name__)

TOGETHER = 50  # recalls that a thread has in hand at once
PATIENCE = 10  # looks for what is still there after its deletion was accepted, before a person has to look
LONGEST_LOOK_S = 60.0  # between two of them
DAY_S = 86_400.0  # between two looks for what a person has to delete
REMOVED = (
    "It is no longer configured, so nobody was asked. Have it deleted there, by its UIDs: 'appliance recall --list' "
    "names them."
)


@dataclass(frozen=True, slots=True)
class _Errand:
    destination: str
    recalls: tuple[Recall, ...]
    permit: Permit


@dataclass(frozen=True, slots=True)
class _Report:
    """What came of an errand: as many outcomes as recalls, or fewer if the destination is the trouble."""

    errand: _Errand
    outcomes: tuple[TakenBack, ...]
    trouble: Unavailable | None


class Courier(Errands[_Errand, _Report]):
    """One destination's thread for recalls."""

    def __init__(self, name: str, way: TakesBack, breaker: Breaker) -> None:
        super().__init__(name, "recall", breaker)
        self._way = way

    def close(self) -> None:
        self._way.close()

    def work(self, errand: _Errand) -> _Report:
        outcomes: list[TakenBack] = []
        try:
            for recall in errand.recalls:
                outcome = self._way.take_back(recall)
                if isinstance(outcome, Unavailable):
                    return _Report(errand, tuple(outcomes), outcome)
                outcomes.append(outcome)
        except Exception as error:  # the edge of a service loop (house-style C2): nothing may end it
            log.exception("recall failed unexpectedly", extra={"destination": errand.destination})
            trouble = Unavailable(None, f"an unexpected {type(error).__name__} of the appliance.")
            return _Report(errand, tuple(outcomes), trouble)
        return _Report(errand, tuple(outcomes), None)


class Recalling:
    """The recalls of every configured destination. Used by the forward service's thread alone.

    clock   POSIX seconds
    chance  0 <= x < 1, drawn anew each time
    """

    def __init__(
        self, outbox: Outbox, couriers: Sequence[Courier], *, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self._outbox = outbox
        self._couriers = {courier.name: courier for courier in couriers}
        self._reports = Reports(self._settle)
        self._clock = clock
        self._chance = chance

    def start(self) -> None:
        """Start the threads; they open their first connection with the first errand."""
        for courier in self._couriers.values():
            courier.start(self._reports.came)

    def step(self, in_hand: Mapping[str, Collection[str]]) -> bool:
        """Write what came back, hand out what is due; return whether there was anything.

        in_hand  destination -> outside names on their way there: recalls of their instances wait for them
        """
        came = self._reports.take()
        given = False
        for courier in self._couriers.values():
            given = self._hand_out(courier, in_hand.get(courier.name, ())) or given
        return came or given

    def give_up_removed(self) -> None:
        """Let a person take back what is open at destinations that are no longer configured."""
        self._outbox.recalls.give_up(self._couriers, REMOVED, self._clock())

    def stop(self, seconds: float) -> None:
        """Let running errands end within so many seconds and write what came; the rest is asked for again."""
        for courier in self._couriers.values():
            courier.stop()
        for courier in self._couriers.values():
            courier.join(seconds)
        self._reports.take()

    def _hand_out(self, courier: Courier, busy: Collection[str]) -> bool:
        if not courier.free or not self._outbox.recalls.unsettled(courier.name):
            return False
        permit = courier.breaker.permit()
        if permit is None:
            return False
        limit = 1 if permit.probe else TOGETHER
        recalls = self._outbox.recalls.claim(courier.name, limit, self._clock(), busy)
        if not recalls:
            courier.breaker.unused(permit)
            return False
        courier.send(_Errand(courier.name, tuple(recalls), permit))
        return True

    # --- what came back -------------------------------------------------------------------------------------------

    def _settle(self, report: _Report) -> None:
        name, now = report.errand.destination, self._clock()
        judged = zip(report.errand.recalls, report.outcomes, strict=False)
        moves = [move for recall, outcome in judged if (move := self._move(recall, outcome, now)) is not None]
        if moves:
            self._outbox.recalls.moved(moves, now)
        for move in moves:
            log.info("recall", extra={"spool_id": move.recall.out, "destination": name, "state": move.state.value})
        courier = self._couriers[name]
        courier.free = True
        if report.trouble is None:
            courier.breaker.worked(report.errand.permit)
        else:
            trouble = report.trouble
            courier.breaker.failed(report.errand.permit, trouble.after_s, trouble.detail, sure=trouble.sure)
            log.warning("recalls wait", extra={"destination": name, "detail": trouble.detail})

    def _move(self, recall: Recall, outcome: TakenBack, now: float) -> Moved | None:
        match outcome:
            case Gone():
                return Moved(recall, RecallState.ABSENT)
            case Asked():
                return Moved(recall, RecallState.DELETED, now)
            case Unconfirmed(detail) if recall.attempts < PATIENCE:
                wait = backoff(recall.attempts + 1, self._chance(), longest_s=LONGEST_LOOK_S)
                return Moved(recall, RecallState.DELETED, now + wait, detail)
            case Unconfirmed(detail) | NotPossible(detail):
                return Moved(recall, RecallState.IMPOSSIBLE, now + DAY_S, detail)
        return None  # the destination is the trouble: asked again when it is back


def way_back(destination: config.Destination) -> TakesBack:
    """Return the way to take instances back from a configured destination."""
    return FolderRecall(destination.folder) if destination.folder is not None else web.connect(destination)


def courier_to(destination: config.Destination, *, clock: Callable[[], float], chance: Callable[[], float]) -> Courier:
    """Return the courier of a configured destination, not yet started. ``clock``: monotonic seconds."""
    return Courier(destination.name, way_back(destination), Breaker(clock, chance))
