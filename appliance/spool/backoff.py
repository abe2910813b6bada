"""How long to wait before trying again: longer each time, never longer than an hour, never all at the same moment."""

from typing import Final

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 3600.0  # also: nothing deferred beyond now + this is believed (a clock was wrong)


def backoff(failures: int, chance: float, *, shortest_s: float = SHORTEST_S, longest_s: float = LONGEST_S) -> float:
    """Return the seconds to wait after ``failures`` failures in a row: doubling, between half and all of the step.

    failures  1 after the first
    chance    from [0, 1), drawn by the caller: so that a thousand waiting ones do not come back together
    """
    doublings = min(max(failures - 1, 0), 60)  # 2.0 ** 1100 is an error, and the cap is reached long before
    step = min(shortest_s * 2.0**doublings, longest_s)
    return step * (0.5 + chance / 2)
