"""What the rows say was received and left, in the words of PS3.15: a message a study, not one an instance.

Instances of a study that have the same sender and came within ``gather_s`` are told together (PS3.15 A.5.3.7 counts
them by SOP Class). Patients are withheld; studies go by their new UID. A received instance waits for that for an hour,
and is then told without: it was received, whatever becomes of it.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from appliance.delivery import Destination
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.arrivals import Mark, Received
from appliance.spool.exports import Export
from appliance.spool.overview import Overview
from appliance.watch.syslog.message import (
    DESTINATION,
    DESTINATION_MEDIA,
    SOURCE,
    URI_MEDIA,
    Code,
    Message,
    Origin,
    Participant,
    Study,
    exported,
    transferred,
)

ROWS: Final = 2000  # that are looked at in a step
MOST: Final = 100  # messages of a step
UNDECIDED_S: Final = 3600.0  # so long a study's new UID is waited for

Place = TypeVar("Place")


class Page(NamedTuple, Generic[Place]):
    """Messages, and up to where they tell. ``is_full``: there may be more that could be told now."""

    messages: list[Message]
    place: Place
    is_full: bool


class Rows:
    """The rows of both sides.

    destinations  those of the configuration, by name
    gather_s      seconds that a received instance waits for others of its study
    """

    def __init__(
        self, overview: Overview, origin: Origin, destinations: Iterable[Destination], *, gather_s: float
    ) -> None:
        self._overview = overview
        self._origin = origin
        self._targets = {each.name: _target(each) for each in destinations}
        self._gather_s = gather_s

    def newest(self) -> tuple[Mark, tuple[str, int]]:
        """Return the last mark and (generation, number): what is there now is not told. Raises Unreadable."""
        return self._overview.newest()

    def received(self, mark: Mark, now: float) -> Page[Mark] | None:
        """Return what was received after ``mark``; None: this journal is another one. Raises Unreadable."""
        rows = self._overview.received_since(mark, ROWS)
        if rows is None:
            return None
        groups: dict[Hashable, list[Received]] = {}
        for row in rows:
            if not self._is_due(row, now):
                break  # in order: what comes after it is told after it
            key = row.study, row.source, row.calling_ae, row.called_ae, row.peer, _is_duplicate(row)
            if key not in groups and len(groups) == MOST:
                break
            groups.setdefault(key, []).append(row)
            mark = row.mark
        is_full = len(groups) == MOST or (len(rows) == ROWS and rows[-1].mark == mark)
        return Page([self._received(each) for each in groups.values()], mark, is_full)

    def exported(self, followed: tuple[str, int]) -> Page[tuple[str, int]] | None:
        """Return what left after (generation, number); None: this outbox is another one. Raises Unreadable."""
        generation, rows = self._overview.exported_since(followed, ROWS)
        if rows is None:
            return None
        groups: dict[Hashable, list[Export]] = {}
        number = followed[1] if generation == followed[0] else 0
        for row in rows:
            key = row.destination, row.study
            if key not in groups and len(groups) == MOST:
                break
            groups.setdefault(key, []).append(row)
            number = row.number
        is_full = len(rows) == ROWS or len(groups) == MOST
        return Page([self._exported(each) for each in groups.values()], (generation, number), is_full)

    def _is_due(self, row: Received, now: float) -> bool:
        wait_s = UNDECIDED_S if row.state is State.RECEIVED and not row.study else self._gather_s
        return not 0 <= now - row.at < wait_s  # a moment to come: the clock was set

    def _received(self, rows: list[Received]) -> Message:
        first = rows[0]
        if first.calling_ae:
            sender = Participant(
                first.source, is_requestor=True, roles=[SOURCE], ae_title=first.calling_ae, node=first.peer
            )
            receiver = self._service("appliance-receive", DESTINATION, ae_title=first.called_ae)
        else:
            sender = Participant(first.source, is_requestor=True, roles=[SOURCE])  # its folder may be called anything
            receiver = self._service("appliance-inbox", DESTINATION)
        study = Study(first.study, _classes(row.sop_class for row in rows), is_anonymized=False)
        at = max(row.at for row in rows)
        return transferred(self._origin, at, sender, receiver, study, is_new=not _is_duplicate(first))

    def _exported(self, rows: list[Export]) -> Message:
        first = rows[0]
        study = Study(first.study, _classes(row.sop_class for row in rows), is_anonymized=True)
        target = self._targets.get(first.destination) or _leads_to(first.destination, "")  # removed meanwhile
        at = max(row.at for row in rows)
        return exported(self._origin, at, self._service("appliance-forward", SOURCE), target, study)

    def _service(self, unit: str, role: Code, *, ae_title: str = "") -> Participant:
        """One of ours, as the system's log names it; the one that sends is the one that began."""
        return Participant(unit, is_requestor=role is SOURCE, roles=[role], ae_title=ae_title, node=self._origin.node)


def _target(destination: Destination) -> Participant:
    """Whom images leave to."""
    folder = "" if destination.folder is None else destination.folder.absolute().as_uri()
    return _leads_to(destination.name, destination.url or folder)


def _leads_to(name: str, uri: str) -> Participant:
    """A destination by its URI, as PS3.17 WW.3 shows it."""
    return Participant(
        uri or name,
        is_requestor=False,
        roles=[DESTINATION, DESTINATION_MEDIA],
        name=name,
        node=urlsplit(uri).hostname or "",
        media=URI_MEDIA,
    )


def _classes(found: Iterable[str]) -> Mapping[str, int]:
    return Counter(found)


def _is_duplicate(row: Received) -> bool:
    return row.state is State.DISCARDED and row.reason == Reason.DUPLICATE.value
