"""The switch before a destination: when it cannot take anything, one switch is thrown and no row is touched.

CLOSED -- trouble --> OPEN -- time over --> HALF_OPEN -- the probe worked --> CLOSED
                       ^                        |
                       +------ it did not ------+        (twice as long, up to the cap)
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from appliance.spool.backoff import backoff

FIRST_S = 1.0
LONGEST_S = 300.0  # a repaired destination is noticed within five minutes
LONGEST_ASKED_S = 3600.0  # a Retry-After beyond an hour is not believed
TOLERATED = 3  # unsure troubles in a row before the switch is thrown


class BreakerState(StrEnum):
    """How the way to a destination stands."""

    CLOSED = "closed"  # deliveries flow
    OPEN = "open"  # nothing is tried
    HALF_OPEN = "half_open"  # one delivery is tried, the others wait for it


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to make one delivery, given back by ``worked``, ``failed`` or ``unused``.

    probe  it is the one delivery that decides; keep it small
    """

    era: int
    probe: bool


class Breaker:
    """The breaker of one destination. Threads may share it.

    clock   seconds, monotonic
    chance  0 <= x < 1, drawn anew each time: appliances that failed together must not come back together
    """

    def __init__(self, clock: Callable[[], float], chance: Callable[[], float]) -> None:
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._state = BreakerState.CLOSED
        self._era = 0  # what was begun in an earlier era decides nothing in this one
        self._until = 0.0
        self._troubles = 0  # unsure, in a row
        self._openings = 0  # in a row
        self._why = ""

    @property
    def state(self) -> BreakerState:
        """As of now; an OPEN breaker whose time is over stays OPEN until somebody asks for a permit."""
        return self._state

    @property
    def why(self) -> str:
        """What opened it, "" when CLOSED."""
        return self._why

    @property
    def waits_s(self) -> float:
        """Seconds until a permit is worth asking for; 0 when it is now."""
        with self._lock:
            return max(0.0, self._until - self._clock()) if self._state is BreakerState.OPEN else 0.0

    def permit(self) -> Permit | None:
        """Return leave for one delivery, None while there is none."""
        with self._lock:
            match self._state:
                case BreakerState.CLOSED:
                    return Permit(self._era, probe=False)
                case BreakerState.OPEN if self._clock() >= self._until:
                    self._enter(BreakerState.HALF_OPEN)
                    return Permit(self._era, probe=True)
                case _:
                    return None

    def worked(self, permit: Permit) -> None:
        """The destination answered as a destination does, whatever it said about the instances."""
        with self._lock:
            if permit.era != self._era:
                return
            self._troubles = self._openings = 0
            self._why = ""
            if permit.probe:
                self._enter(BreakerState.CLOSED)

    def failed(self, permit: Permit, after_s: float | None, why: str, *, sure: bool = True) -> None:
        """The destination could not take anything; ``after_s`` is what it asked for."""
        with self._lock:
            if permit.era != self._era:
                return
            self._troubles += 1
            if not (sure or permit.probe) and self._troubles < TOLERATED:
                return
            self._why = why
            self._until = self._clock() + self._pause(after_s)
            self._openings += 1
            self._enter(BreakerState.OPEN)

    def unused(self, permit: Permit) -> None:
        """There was nothing to deliver: the next who asks may probe."""
        with self._lock:
            if permit.era == self._era and permit.probe:
                self._enter(BreakerState.OPEN)

    def reset(self) -> None:
        """An operator says that it works again: try at once."""
        with self._lock:
            self._until = self._clock()
            self._openings = 0

    def _pause(self, after_s: float | None) -> float:
        """Return the seconds to wait: what was asked for and a little by chance, else doubling with jitter."""
        if after_s is not None:
            return max(min(after_s, LONGEST_ASKED_S), 0.0) + FIRST_S * self._chance()
        return backoff(self._openings + 1, self._chance(), shortest_s=FIRST_S, longest_s=LONGEST_S)

    def _enter(self, state: BreakerState) -> None:
        self._state = state
        self._era += 1
