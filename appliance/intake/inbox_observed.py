"""What the inbox tells whoever watches: facts with closed labels, so that intake need not know of metrics."""

from collections.abc import Callable
from dataclasses import dataclass


def _ignore(*_facts: object) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand in the folders of one source, added up.

    items        seen and not done yet; active: how many of them are being taken now
    lag_s        for how long the longest waiting one has been there, its quiet time included
    unreachable  folders that cannot be read, or in which nothing can be moved
    unmoved      files that were dealt with and could not be moved out of the way
    """

    items: int = 0
    active: int = 0
    lag_s: float = 0.0
    unreachable: int = 0
    unmoved: int = 0

    def with_(self, other: "Standing") -> "Standing":
        """Both together."""
        return Standing(
            self.items + other.items,
            self.active + other.active,
            max(self.lag_s, other.lag_s),
            self.unreachable + other.unreachable,
            self.unmoved + other.unmoved,
        )


@dataclass(frozen=True, slots=True)
class InboxObserved:
    """Callbacks, called in the clinics' threads: they must be quick and must not raise.

    taken(source, bytes)             a file is durable in the house
    refused(source, why)             a file was not taken; the value of a ``Refusal``
    item(source, status, seconds)    an item is done: ``success``, ``partial``, ``failed``, or ``error`` (it waits,
                                     since the disk or the share failed); seconds since it was taken up
    standing(source, Standing)       how things stand, told every so often
    strays(count)                    files directly in the inbox, in no clinic's folder: not taken
    root_unreachable(is_so)          the inbox itself cannot be read
    """

    taken: Callable[[str, int], None] = _ignore
    refused: Callable[[str, str], None] = _ignore
    item: Callable[[str, str, float], None] = _ignore
    standing: Callable[[str, Standing], None] = _ignore
    strays: Callable[[int], None] = _ignore
    root_unreachable: Callable[[bool], None] = _ignore
