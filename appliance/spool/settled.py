"""An instance that no destination waits for any more: what its file does, and what the journal is told."""

from dataclasses import dataclass
from typing import Final

from appliance.lifecycle import State

LOST: Final = "LOST"  # no state of the lifecycle: its ready file is gone, so the inside does it again


@dataclass(frozen=True, slots=True)
class Ended:
    """An outside name that no destination waits for any more: its file leaves ready."""

    out: str
    state: State
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Settled:
    """One outside name that was settled.

    number  grows by one with each that an outbox settles, never used twice in one generation
    state   FORWARDED, REJECTED or LOST
    reason  code, "" unless REJECTED
    at      POSIX seconds
    """

    number: int
    out: str
    state: str
    reason: str
    detail: str
    at: float

    @property
    def lost(self) -> bool:
        """Whether the inside must do it again, in the same round."""
        return self.state == LOST


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the journal knows of an instance whose outside row was lost: enough to tell that it was delivered.

    state  FORWARDED or REJECTED; reason and detail of a REJECTED one
    """

    out: str
    round: int
    state: State
    sop_class: str
    sop_instance: str
    study: str
    source: str
    project: str
    rules_digest: str
    at: float
    reason: str
    detail: str
