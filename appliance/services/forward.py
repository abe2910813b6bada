"""READY -> FORWARDED or REJECTED: delivers what is ready, to every destination, until each has named it.

Carriers make the requests; this loop alone claims and writes outcomes. Nothing is acknowledged that a destination did
not name, and a crash between its answer and our row means only that it is stored again under the same UID.
"""

import logging
import queue
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from appliance import config
from appliance.errors import SpoolFull
from appliance.model import Parcel
from appliance.outlet import folder, stow
from appliance.outlet.batch_size import BatchSize
from appliance.outlet.breaker import Breaker, BreakerState
from appliance.outlet.destination import Destination, FileLost, FileSpoilt, Later, RefusedForGood, Stored
from appliance.reasons import Reason
from appliance.services.carrier import Delivered
from appliance.services.lane import FRESH, Lane
from appliance.services.outside_operator import OutsideOperator
from appliance.services.recalling import Recalling
from appliance.services.reconciling import Reconciling
from appliance.spool.backoff import backoff
from appliance.spool.outbox import Outbox

log = logging.getLogger(__name__)

TAKE_S = 0.05  # how long a step waits for a delivery to come back
REPAIR_S = 0.01  # of each turn of the loop, for what a crash left undone
TOGETHER = 16  # deliveries whose outcomes one step writes, at most
DRAIN_S = 20.0  # SIGTERM: running requests may end for this long
FIRST_RETRY_S = 30.0
LONGEST_RETRY_S = 3600.0

MiB = 1024 * 1024


class Observer(Protocol):
    """What the service tells its metrics. ``destination`` is a configured name: a closed set."""

    def stored(self, destination: str, source: str, size: int) -> None: ...

    def delivered(self, destination: str, seconds: float) -> None: ...

    def refused(self, destination: str, reason: Reason) -> None: ...

    def later(self, destination: str, count: int) -> None: ...

    def breaker(self, destination: str, is_open: bool) -> None: ...

    def paused(self, destination: str, by_person: bool) -> None: ...


class Forward:
    """The service of the outside.

    lanes    one for each configured destination
    clock    seconds since the epoch: what rows hold
    chance   0 <= x < 1, drawn anew each time
    """

    name = "forward"

    def __init__(
        self,
        outbox: Outbox,
        lanes: Sequence[Lane],
        done: "queue.SimpleQueue[Delivered]",
        *,
        operator: OutsideOperator,
        recalling: Recalling,
        reconciling: Reconciling,
        observer: Observer,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float],
        drain_s: float = DRAIN_S,
    ) -> None:
        self._outbox = outbox
        self._lanes = {lane.name: lane for lane in lanes}
        self._done = done
        self._operator = operator
        self._recalling = recalling
        self._reconciling = reconciling
        self._looked_for_removed = False
        self._observer = observer
        self._clock = clock
        self._monotonic = monotonic
        self._chance = chance
        self._drain_s = drain_s
        self._unwritten: deque[Delivered] = deque()  # judged, and not yet in the rows

    def start(self) -> None:
        """Start the connections; they open their first socket with the first delivery. The repair runs beside them."""
        for lane in self._lanes.values():
            lane.start()
        self._recalling.start()
        self._reconciling.start()

    def step(self) -> bool:
        """Carry out requests, write what came back, hand out more."""
        repair = self._operator.repair
        repair.run_for(REPAIR_S)
        if not repair.is_sound:
            return False  # the outbox is being looked at after an unclean stop: nothing is claimed from it yet
        asked = self._operator.step()
        if asked or not self._looked_for_removed:
            self._reconsider()
        recalled = self._recalling.step({lane.name: lane.in_hand for lane in self._lanes.values()})
        reconciled = self._reconciling.step()
        given = sum(lane.hand_out(self._outbox, self._clock()) for lane in self._lanes.values())
        came = self._take(TAKE_S if any(lane.is_busy for lane in self._lanes.values()) else 0)
        self._tell()
        return bool(asked or recalled or reconciled or given or came)

    def _reconsider(self) -> None:
        """After a person's request: what was claimed may not go any more, and recalls may have nobody to ask."""
        pauses = self._outbox.pauses.all()
        for lane in self._lanes.values():
            lane.paused = lane.name in pauses
            self._observer.paused(lane.name, lane.paused)
            lane.reconsider(self._outbox)
        self._recalling.give_up_removed()
        self._looked_for_removed = True

    def stop(self) -> None:
        """Let running requests end within the drain and write what they say; the rest is abandoned and stays READY."""
        deadline = self._monotonic() + self._drain_s
        for lane in self._lanes.values():
            lane.stop()
        abandoned = sum(lane.join(deadline, self._monotonic) for lane in self._lanes.values())
        try:
            self._recalling.stop(deadline - self._monotonic())
            self._reconciling.stop(deadline - self._monotonic())
            while self._take(0):
                pass
        except SpoolFull:
            abandoned += len(self._unwritten)
        if abandoned:
            log.warning("requests abandoned; their instances are stored again", extra={"count": abandoned})
        self._outbox.custody.end()
        self._outbox.close()

    # --- what came back -------------------------------------------------------------------------------------------

    def _take(self, wait_s: float) -> int:
        try:
            while len(self._unwritten) < TOGETHER:
                wait_s = 0 if self._unwritten else wait_s
                delivered = self._done.get(timeout=wait_s) if wait_s else self._done.get_nowait()
                lane = self._lanes[delivered.delivery.destination]
                self._unwritten.append(replace(delivered, receipt=lane.believed(delivered.receipt)))
        except queue.Empty:
            pass
        came = len(self._unwritten)
        while self._unwritten:
            # Let go of only when written: on a full disk the step fails, and the next one writes it again.
            self._settle(self._unwritten[0])
            self._lanes[self._unwritten[0].delivery.destination].came_back(self._unwritten.popleft())
        return came

    def _settle(self, delivered: Delivered) -> None:
        delivery, receipt = delivered.delivery, delivered.receipt
        name = delivery.destination
        stored: list[Parcel] = []
        for parcel in delivery.parcels:
            match receipt.verdicts.get(parcel.out):
                case Stored(warning):
                    stored.append(parcel)
                    if warning:
                        log.info("stored with warning", extra={"spool_id": parcel.out, "code": f"{warning:04X}"})
                case RefusedForGood(reason, detail):
                    self._outbox.refused(parcel, name, reason, detail)
                    self._observer.refused(name, reason)
                    log.warning(
                        "refused",
                        extra={"spool_id": parcel.out, "destination": name, "reason": reason.value, "detail": detail},
                    )
                case Later(after_s, detail):
                    self._postpone(parcel, name, after_s, detail)
                case FileLost():
                    self._outbox.file_lost(parcel.out)
                    log.warning("ready file lost; made again from its original", extra={"spool_id": parcel.out})
                case FileSpoilt():
                    self._outbox.file_spoilt(parcel.out)
                    log.error(
                        "ready file spoilt by the disk; made again from its original", extra={"spool_id": parcel.out}
                    )
                case None:
                    pass  # not judged: the row stays as it is and is due as soon as the destination is
        if stored:
            self._outbox.stored(stored, name, self._clock())
            for parcel in stored:
                self._observer.stored(name, parcel.source, parcel.size)
                log.info("forwarded", extra={"spool_id": parcel.out, "destination": name})
        self._observer.delivered(name, delivered.seconds)

    def _postpone(self, parcel: Parcel, name: str, after_s: float | None, detail: str) -> None:
        wait = self._back_off(parcel.attempts) if after_s is None else min(after_s, LONGEST_RETRY_S)
        self._outbox.later([parcel], name, self._clock() + wait, detail)
        self._observer.later(name, 1)
        log.info(
            "postponed", extra={"spool_id": parcel.out, "destination": name, "detail": detail, "after_s": round(wait)}
        )

    def _back_off(self, attempts: int) -> float:
        """At once after the first try, which it made with others; then it is alone, and waits ever longer."""
        if attempts <= FRESH:
            return 0.0
        return backoff(attempts - FRESH, self._chance(), shortest_s=FIRST_RETRY_S, longest_s=LONGEST_RETRY_S)

    # --- telling --------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        for lane in self._lanes.values():
            state = lane.breaker.state
            if state is lane.told:
                continue
            opened = state is BreakerState.OPEN and lane.told is not BreakerState.HALF_OPEN
            worked_again = state is BreakerState.CLOSED and lane.told is not None
            lane.told = state
            self._observer.breaker(lane.name, state is not BreakerState.CLOSED)
            if opened:
                waiting = self._outbox.destinations().get(lane.name, {}).get("WAITING", 0)
                log.warning(paused(lane.name, lane.breaker.why, waiting), extra={"destination": lane.name})
            elif worked_again:
                log.info("forwarding goes on", extra={"destination": lane.name})


def paused(name: str, why: str, waiting: int) -> str:
    """Return the message that tells hospital IT that a destination's breaker opened."""
    return (
        f"Forwarding to '{name}' is paused: {why} {waiting} instances wait in the spool; none is lost and "
        f"receiving goes on. It is tried again by itself; 'appliance doctor' looks at it now."
    )


def connections(destination: config.Destination) -> Sequence[Destination]:
    """Return the connections of a destination; raises CannotStart when there can be none."""
    return folder.connect(destination) if destination.folder is not None else stow.connect(destination)


def lane_to(
    destination: config.Destination,
    done: "queue.SimpleQueue[Delivered]",
    *,
    clock: Callable[[], float] = time.monotonic,
    chance: Callable[[], float],
) -> Lane:
    """Return the lane of a configured destination, not yet started."""
    return Lane(
        destination.name,
        connections(destination),
        done,
        Breaker(clock, chance),
        BatchSize(most_instances=destination.batch_instances, most_bytes=destination.batch_mb * MiB),
        keeps=destination.existing == "kept",
        proves=destination.folder is None,
    )


__all__ = ["Forward", "Observer", "lane_to", "paused"]
