"""The facts that travel through the house: who sent an instance, and what it is. No behaviour beyond themselves."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.lifecycle import RecallState, State

UNLISTED = "unlisted"  # the source of whoever is not configured: raw AE titles and folder names go nowhere else
ONLY_PROJECT = "main"  # the project of a site that configures none

_SOURCE = re.compile(r"[A-Za-z0-9_]{1,16}")
_ID = re.compile(r"[0-9]{8}T[0-9]{9}Z-[A-Za-z0-9_]{1,16}-[a-z0-9]{6,12}")
_OUT = re.compile(r"[a-z2-7]{26,52}")


def is_source(text: str) -> bool:
    """Whether ``text`` may stand in an id, a path or a metric label."""
    return _SOURCE.fullmatch(text) is not None


def is_spool_id(text: str) -> bool:
    """Whether ``text`` has the form of an id that ``spool_id`` makes."""
    return _ID.fullmatch(text) is not None


def is_out_name(text: str) -> bool:
    """Whether ``text`` has the form of an outside name: lower-case base32, opaque."""
    return _OUT.fullmatch(text) is not None


def spool_id(received: datetime, source: str, nonce: str) -> str:
    """Return ``20261120T181522123Z-CT1-k7f3q9``: sorts by arrival (UTC, milliseconds) and names the source."""
    if received.tzinfo is None:
        raise ValueError("a moment without a time zone")
    if not is_source(source):
        raise ValueError("a source must be [A-Za-z0-9_]{1,16}")
    moment = received.astimezone(UTC)
    return f"{moment:%Y%m%dT%H%M%S}{moment.microsecond // 1000:03d}Z-{source}-{nonce}"


@dataclass(frozen=True, slots=True)
class Provenance:
    """How an instance came. Only ``source`` and ``project`` are safe in paths and labels; the rest is raw text.

    source      configured name of the peer or clinic, else ``unlisted``
    project     decided at the door; ``main`` without projects
    calling_ae  as sent, at most 16 characters, stripped; "" from the inbox
    called_ae   as sent; "" from the inbox
    peer        IP address of the sender; "" from the inbox
    clinic      raw name of the inbox sub-folder: an identity domain of its own; "" from the network
    item        number of the inbox item; 0 from the network
    """

    source: str
    project: str = ONLY_PROJECT
    calling_ae: str = ""
    called_ae: str = ""
    peer: str = ""
    clinic: str = ""
    item: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An original that is durable in ``received``, about to get its row.

    id               see ``spool_id``
    received         aware UTC
    sop_class        as announced (C-STORE) or read from the file; "" if unknown
    sop_instance     original SOP Instance UID, likewise
    transfer_syntax  UID of the negotiated or stated transfer syntax
    size             bytes of the file
    """

    id: str
    received: datetime
    provenance: Provenance
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    size: int


@dataclass(frozen=True, slots=True)
class Instance:
    """An original in the house: one file and one row, as the consumer of its state sees it.

    round      1 for the first way through; each release or replay begins another
    attempts   how often de-identifying was begun in this round, this time included
    accepted   codes of the reasons that an operator accepted for these bytes
    out        outside name of this round; "" until it passed
    rules_digest  of the rules it passed under; "" until then
    """

    id: str
    round: int
    state: State
    provenance: Provenance
    received: datetime
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    size: int
    attempts: int = 0
    accepted: frozenset[str] = frozenset()
    reason: str = ""
    detail: str = ""
    out: str = ""
    digest: str = ""
    rules_digest: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """A de-identified instance as it goes outside: pseudonymous facts only.

    out              see ``is_out_name``; keyed hash of id and round
    sop_instance     pseudonymous SOP Instance UID; so are study and series
    digest           SHA-256 (hex) of the data set of the de-identified file
    size             bytes of the file
    source           closed label, never raw text
    destinations     names; the deliveries to make
    gated            release: manual: nothing leaves until an operator opens the source
    not_before       POSIX seconds: nothing leaves earlier
    supersedes       outside name of the round before, "" in the first
    """

    out: str
    round: int
    sop_class: str
    sop_instance: str
    study: str
    series: str
    transfer_syntax: str
    digest: str
    size: int
    source: str
    project: str
    rules_digest: str
    destinations: tuple[str, ...]
    gated: bool = False
    not_before: float = 0.0
    supersedes: str = ""


@dataclass(frozen=True, slots=True)
class Parcel:
    """One READY instance for one destination: a file to deliver.

    seq      order of arrival outside; versions of one UID are delivered in this order
    file     the de-identified file
    attempts how often this delivery was begun, this time included
    """

    seq: int
    out: str
    sop_class: str
    sop_instance: str
    study: str
    series: str
    transfer_syntax: str
    digest: str
    size: int
    file: Path
    attempts: int
    source: str = UNLISTED  # closed label of who sent the original


@dataclass(frozen=True, slots=True)
class Recall:
    """An instance to be taken back from a destination. Pseudonymous facts only.

    series    "" where the outbox was lost and it is not known any more
    out       outside name of its latest version there
    state     REQUESTED: to be looked for and deleted; DELETED: asked for already, to be confirmed, and asked for again
              while it is there; IMPOSSIBLE: only to be looked for
    attempts  how often the destination answered in this state, without another coming of it
    """

    sop_instance: str
    destination: str
    out: str
    study: str
    series: str
    state: RecallState
    attempts: int = 0
