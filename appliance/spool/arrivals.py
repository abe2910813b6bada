"""The journal's rows in order of insertion, for whoever tells what was received. Only reads."""

from dataclasses import dataclass
from typing import Final

from appliance.lifecycle import State
from appliance.spool.database import Database

# How a row is known again: its seq, and its id. A journal that was rebuilt has other ids under the same numbers.
Mark = tuple[int, str]
FRONT: Final[Mark] = (0, "")


@dataclass(frozen=True, slots=True)
class Received:
    """One row, as far as it may be told. ``study``: the new Study Instance UID, "" while there is none.

    at      when it was received, POSIX seconds
    reason  why it was withheld, "" if it was not
    """

    mark: Mark
    state: State
    source: str
    calling_ae: str
    called_ae: str
    peer: str
    at: float
    sop_class: str
    study: str
    reason: str


def is_there(journal: Database, mark: Mark) -> bool:
    """Whether the journal is the one that was followed up to ``mark``; the row itself may be purged by now."""
    seq, spool_id = mark
    if seq == 0:
        return True
    with journal.reading() as connection:
        row = connection.execute("SELECT id FROM instance WHERE seq = ?", (seq,)).fetchone()
        (newest,) = connection.execute("SELECT max(seq) FROM instance").fetchone()
    return row[0] == spool_id if row is not None else newest is None or newest > seq


def received_since(journal: Database, mark: Mark, limit: int) -> list[Received]:
    """Return the rows after ``mark``, in order."""
    with journal.reading() as connection:
        rows = connection.execute(
            "SELECT seq, id, state, source, calling_ae, called_ae, peer, received, sop_class, new_study, reason"
            " FROM instance WHERE seq > ? ORDER BY seq LIMIT ?",
            (mark[0], limit),
        ).fetchall()
    return [Received((seq, spool_id), State(state), *rest) for seq, spool_id, state, *rest in rows]


def newest(journal: Database) -> Mark:
    """Return the mark of the last row."""
    with journal.reading() as connection:
        row = connection.execute("SELECT seq, id FROM instance ORDER BY seq DESC LIMIT 1").fetchone()
    return FRONT if row is None else (int(row[0]), str(row[1]))
