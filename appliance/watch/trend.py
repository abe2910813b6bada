"""How the counts and the disk went lately: rates, and when the disk would be full. In memory, so it begins anew."""

import statistics
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

EVERY_S = 60.0
KEPT = 361  # samples: six hours
HOUR_S = 3600.0
LEAST_S = 1800.0  # a forecast needs so much of the past


@dataclass(frozen=True, slots=True)
class Sample:
    """What was at a moment (POSIX seconds).

    counted  name -> a count that only grows, until its service loses its file
    free     side -> free bytes
    """

    at: float
    counted: Mapping[str, float]
    free: Mapping[str, int]


class Trend:
    """Samples of the last hours. Any thread may ask.

    look   returns what is at a moment
    clock  POSIX seconds
    """

    def __init__(self, look: Callable[[float], Sample], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def step(self) -> bool:
        """Take a sample when it is time; a chore of the watch service."""
        now = self._clock()
        if self._samples and 0 <= now - self._samples[-1].at < EVERY_S:
            return False
        sample = self._look(now)
        with self._lock:
            if self._samples and now < self._samples[-1].at:  # the clock was set back: what was before says nothing
                self._samples.clear()
            self._samples.append(sample)
        return False

    def per_hour(self, name: str) -> float | None:
        """Return by how much a count grows in an hour, of the last hour; None before there are two samples."""
        with self._lock:
            samples = [each for each in self._samples if self._samples[-1].at - each.at <= HOUR_S]
        if len(samples) < 2:
            return None
        first, last = samples[0], samples[-1]
        grown = last.counted.get(name, 0.0) - first.counted.get(name, 0.0)
        return max(0.0, grown) / (last.at - first.at) * HOUR_S

    def hours_left(self, side: str, reserve_bytes: int) -> float | None:
        """Return in how many hours a side has only its reserve left, at the rate of the last hours.

        None when it does not fill, or when too little of the past is known.
        """
        with self._lock:
            points = [(each.at, each.free[side]) for each in self._samples if side in each.free]
        if len(points) < 2 or points[-1][0] - points[0][0] < LEAST_S:
            return None
        slope, _ = statistics.linear_regression([at for at, _ in points], [free for _, free in points])
        return None if slope >= 0 else max(0.0, points[-1][1] - reserve_bytes) / -slope / HOUR_S
