"""Until when something that failed is left alone, and whether it is failing at all."""

from appliance.spool.backoff import backoff

SHORTEST_S = 2.0
LONGEST_S = 60.0


class Retries:
    """Failures in a row of one thing. Seconds are monotonic; the caller brings them."""

    def __init__(self) -> None:
        self._failures = 0
        self._until = float("-inf")

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    def failed(self, now: float) -> None:
        """It failed: leave it alone for a while, longer each time."""
        self._failures += 1
        # Chance 1: a single process asks, so there is no crowd to keep apart.
        self._until = now + backoff(self._failures, 1.0, shortest_s=SHORTEST_S, longest_s=LONGEST_S)

    def worked(self) -> None:
        """It worked: the next failure is a first one."""
        self._failures, self._until = 0, float("-inf")

    def waits(self, now: float) -> bool:
        """Whether it is too early to try again."""
        return now < self._until
