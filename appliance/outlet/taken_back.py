"""What it means to take back: a destination is asked for one instance, and answers by one of these.

Only a look that works and finds nothing proves that an instance is gone; an answer to the deletion proves nothing.
"""

from dataclasses import dataclass
from typing import Protocol

from appliance.model import Recall
from appliance.outlet.destination import Unavailable


@dataclass(frozen=True, slots=True)
class Gone:
    """The destination was searched, and has no such instance."""


@dataclass(frozen=True, slots=True)
class Asked:
    """It accepted to delete the instance; its absence is not confirmed yet."""


@dataclass(frozen=True, slots=True)
class NotPossible:
    """It has the instance and will not delete it for us; a person has to. ``detail`` says why and what to do.

    It is "" when it was only looked for: as before.
    """

    detail: str


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """It accepted to delete the instance, and has it still, or lets nobody see whether it has."""

    detail: str


TakenBack = Gone | Asked | NotPossible | Unconfirmed | Unavailable


class TakesBack(Protocol):
    """One way to take instances back from a destination. Used by one thread at a time.

    take_back  looks for the instance, asks for its deletion if it is there, and says what came of it. May be done
               again. Never raises for what the destination or the way to it does wrong
    close      lets go of idle connections
    """

    def take_back(self, recall: Recall) -> TakenBack: ...

    def close(self) -> None: ...


BY_HAND = "Have it deleted there, by its UIDs: 'appliance recall --list' names them."
