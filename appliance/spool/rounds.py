"""Which round an instance had come to, written into a journal that was lost and made again from the files.

The file tells no round. Its report does: with it the instance goes by the outside name that the outbox knows it by, and
what was delivered is not delivered once more under another.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from appliance.spool.database import Database
from appliance.spool.reports import Entry

Last = Callable[[Collection[str]], Mapping[str, Entry]]  # ids -> the report of the last round, of those that have one


def no_reports(_ids: Collection[str]) -> dict[str, Entry]:
    """Know no report."""
    return {}


@dataclass(frozen=True, slots=True)
class ComeTo:
    """How far an instance was before the journal was lost.

    accepted    codes of the reasons that an operator accepted for these bytes
    not_before  POSIX seconds; 0 for at once
    """

    id: str
    round: int
    accepted: frozenset[str]
    not_before: float = 0.0


def come_to(entry: Entry) -> ComeTo:
    """Return what a report tells."""
    return ComeTo(entry.id, entry.round, frozenset(entry.accepted))


def take_up(database: Database, found: Iterable[ComeTo], at: float) -> None:
    """Let RECEIVED instances go on in the round that they had come to.

    Not durably: what a power cut takes is found again when they are claimed again.
    """
    with database.writing(durably=False) as connection:
        write(connection, found, at)


def write(connection: sqlite3.Connection, found: Iterable[ComeTo], at: float) -> None:
    """Write the rounds of RECEIVED or QUARANTINED instances, within a transaction; a later round is left as it is."""
    for each in found:
        if connection.execute(
            "UPDATE instance SET round = ?, accepted = ?, attempts = 0, not_before = ?"
            " WHERE id = ? AND round <= ? AND state IN ('RECEIVED', 'QUARANTINED')",
            (each.round, " ".join(sorted(each.accepted)), each.not_before, each.id, each.round),
        ).rowcount:
            connection.execute(
                "INSERT INTO move (id, round, at, event, state, reason, detail, out, by)"
                " SELECT id, round, ?, 'lost-journal', state, reason, '', '', '' FROM instance WHERE id = ?",
                (at, each.id),
            )
