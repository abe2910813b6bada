"""What the status page is made of. It holds counts, configured names and pseudonymous study UIDs, and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from appliance.lifecycle import State
from appliance.spool.shape import Ages, Study
from appliance.spool.tally import Tally


@dataclass(frozen=True, slots=True)
class Rows:
    """What both sides' rows say.

    oldest        seconds for which the oldest has waited, by state
    ages          what waits, by state and age
    destinations  destination -> delivery state -> how many
    missing       destination -> how many it named as stored and does not have
    asked         destination -> when it was last asked for all that it named, POSIX seconds
    pauses        destination -> since when a person lets nothing go there, POSIX seconds
    studies       the newest first
    rules         digest of the rules that made the newest instance; "" before there is one
    """

    tally: Tally
    oldest: Mapping[State, float]
    ages: Mapping[State, Ages]
    destinations: Mapping[str, Mapping[str, int]]
    missing: Mapping[str, int]
    asked: Mapping[str, float]
    pauses: Mapping[str, float]
    studies: Sequence[Study]
    rules: str


@dataclass(frozen=True, slots=True)
class Machine:
    """What the services told, and the disk.

    free          side -> (free bytes, hours until only the reserve is left; None: it does not fill, as far as known)
    received      images an hour, of the last hour; None when too little is known
    forwarded     destination -> the same
    paused        destinations to which nothing is sent now
    backup        when the newest backup was made; verified: when all were looked at; None: never
    damaged       backups that are not what was written
    backs_up      whether backups are configured
    audit_waits   for how many seconds audit messages have waited for their receiver; None: there is none
    ends          what ends (a certificate or token, by configured name) -> when, POSIX seconds
    """

    free: Mapping[str, tuple[int, float | None]] = field(default_factory=dict)
    received: float | None = None
    forwarded: Mapping[str, float | None] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()
    backup: float | None = None
    verified: float | None = None
    damaged: int = 0
    backs_up: bool = False
    audit_waits: float | None = None
    ends: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender whose associations failed lately: its configured name or "unlisted", what happened, what to do."""

    source: str
    at: float
    works_again: bool
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The whole.

    now       POSIX seconds
    rows      None when they cannot be read
    problems  (what, what to do), as /health/ready tells them
    """

    site: str
    version: str
    now: float
    rows: Rows | None
    machine: Machine = field(default_factory=Machine)
    senders: Sequence[Sender] = ()
    problems: Sequence[tuple[str, str]] = ()
