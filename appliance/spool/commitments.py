"""What peers asked to be committed to, in a database of its own: the only SQL on it.

A request is durable before it is answered with Success, and stays OPEN until the peer took the report or it was given
up. What is promised is not kept here: it is asked of the journal anew before each attempt, since an old Yes may have
become wrong. A damaged database is set aside and begun anew; whoever waits for a report then keeps its instances.
"""

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from appliance.dicom.commitment import Asked, Reference
from appliance.errors import ApplianceError
from appliance.spool.backoff import LONGEST_S
from appliance.spool.database import Database, DatabaseDamaged

VERSION = 1
MOST_OPEN = 10_000  # requests of a peer that wait; beyond, it is told to come later
MOST_INSTANCES = 50_000  # that are looked at together

# peer       the entry of the configuration that asked, see ``key``; source: its label
# called_ae  how the peer called us, and is called back
# asked      POSIX seconds; so are settled, due and ended
# instances  the references, packed; count: how many
# settled    when all that is promised was known first; 0: not yet
# failed     how many were not committed to, in the last report
_SCHEMA = """
CREATE TABLE request (
    number INTEGER PRIMARY KEY,
    peer TEXT NOT NULL,
    source TEXT NOT NULL,
    called_ae TEXT NOT NULL,
    transaction_uid TEXT NOT NULL,
    asked REAL NOT NULL,
    instances BLOB NOT NULL,
    count INTEGER NOT NULL,
    state TEXT NOT NULL,
    settled REAL NOT NULL DEFAULT 0,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    ended REAL NOT NULL DEFAULT 0,
    UNIQUE (peer, transaction_uid)
);
-- What is to be looked at next, and how many wait.
CREATE INDEX due ON request(peer, due) WHERE state = 'OPEN';
-- Counting, and forgetting what ended.
CREATE INDEX by_state ON request(state, source, ended);
"""


class CommitmentState(StrEnum):
    """What became of a request."""

    OPEN = "OPEN"
    REPORTED = "REPORTED"
    GIVEN_UP = "GIVEN_UP"


class InUse(ApplianceError):
    """The transaction was used by this peer before, for other instances."""


class TooMany(ApplianceError):
    """As many requests of this peer wait as are kept."""


class NotKept(ApplianceError):
    """The database does not take a request now."""


@dataclass(frozen=True, slots=True)
class Request:
    """An open request."""

    number: int
    source: str
    called_ae: str
    asked_at: float
    asked: Asked
    settled: float
    attempts: int


class Commitments:
    """The requests. Any thread may use it; raises SpoolFull, DatabaseDamaged and OSError as ``Database`` does."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, _SCHEMA, VERSION)

    @property
    def was_set_aside(self) -> Path | None:
        """Where a damaged predecessor went, if it was found when this was opened."""
        return self._database.set_aside_to

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def set_aside(self) -> None:
        """Put the damaged database aside and begin an empty one."""
        self._database.set_aside()

    def ask(self, peer: str, source: str, called_ae: str, asked: Asked, at: float) -> None:
        """Keep a request, durably. The same one again is open again; it need not be answered before.

        Raises InUse, TooMany, NotKept, SpoolFull and OSError, and then keeps nothing.
        """
        try:
            self._ask(peer, source, called_ae, asked, at)
        except (DatabaseDamaged, sqlite3.Error) as error:
            raise NotKept(f"The request was not kept ({type(error).__name__}).") from error

    def due(self, peer: str, now: float, limit: int) -> list[Request]:
        """Return open requests of ``peer`` that are to be looked at, the longest due first.

        At most ``limit``, and so many that they have about MOST_INSTANCES together. What is put off for longer than
        anything is was put off by a clock that was wrong, and is due.
        """
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, source, called_ae, asked, transaction_uid, instances, settled, attempts FROM request"
                " WHERE peer = ? AND state = 'OPEN' AND (due <= ? OR due > ?) ORDER BY due LIMIT ?",
                (peer, now, now + LONGEST_S, limit),
            ).fetchall()
        found: list[Request] = []
        instances = 0
        for number, source, called, at, transaction, packed, settled, attempts in rows:
            references = _unpacked(packed)
            found.append(Request(number, source, called, at, Asked(transaction, references), settled, attempts))
            instances += len(references)
            if instances >= MOST_INSTANCES:
                break
        return found

    def look_again(self, dues: Iterable[tuple[Request, float]]) -> None:
        """Let each wait until its moment. Not durable: looked at too early, nothing is lost."""
        with self._database.writing(durably=False) as connection:
            connection.executemany(
                "UPDATE request SET due = ? WHERE number = ? AND state = 'OPEN'",
                [(due, request.number) for request, due in dues],
            )

    def begun(self, requests: Iterable[Request], now: float) -> None:
        """Count an attempt to report these, before it; the first one settles them."""
        with self._database.writing(durably=True) as connection:
            connection.executemany(
                "UPDATE request SET attempts = attempts + 1,"
                " settled = CASE WHEN settled > 0 THEN settled ELSE ? END WHERE number = ? AND state = 'OPEN'",
                [(now, request.number) for request in requests],
            )

    def ended(self, request: Request, state: CommitmentState, at: float, *, failed: int = 0) -> None:
        """Settle a request for good, unless it was asked again meanwhile."""
        with self._database.writing(durably=True) as connection:
            connection.execute(
                "UPDATE request SET state = ?, ended = ?, failed = ? WHERE number = ? AND asked = ?",
                (state.value, at, failed, request.number, request.asked_at),
            )

    def give_up_others(self, peers: Collection[str], at: float) -> int:
        """Give up what is open of peers other than these; return how many. Nobody is configured to be told."""
        with self._database.writing(durably=True) as connection:
            done = connection.execute(
                "UPDATE request SET state = 'GIVEN_UP', ended = ? WHERE state = 'OPEN'"
                " AND peer NOT IN (SELECT value FROM json_each(?))",
                (at, json.dumps(list(peers))),
            )
            return done.rowcount

    def forget(self, before: float, limit: int = 1000) -> int:
        """Forget at most ``limit`` requests that ended before ``before``; return how many."""
        with self._database.writing(durably=False) as connection:
            done = connection.execute(
                "DELETE FROM request WHERE number IN"
                " (SELECT number FROM request WHERE state IN ('REPORTED', 'GIVEN_UP') AND ended < ? LIMIT ?)",
                (before, limit),
            )
            return done.rowcount

    def counts(self) -> dict[tuple[str, CommitmentState], int]:
        """Return how many requests of each source are in each state."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT source, state, count(*) FROM request GROUP BY state, source").fetchall()
        return {(source, CommitmentState(state)): n for source, state, n in rows}

    def _ask(self, peer: str, source: str, called_ae: str, asked: Asked, at: float) -> None:
        packed = _packed(asked.references)
        with self._database.writing(durably=True) as connection:
            known = connection.execute(
                "SELECT number, instances FROM request WHERE peer = ? AND transaction_uid = ?",
                (peer, asked.transaction),
            ).fetchone()
            if known is not None and known[1] != packed:
                raise InUse("The transaction is in use for other instances.")
            if known is not None:
                connection.execute(
                    "UPDATE request SET state = 'OPEN', called_ae = ?, asked = ?, due = ?, settled = 0, attempts = 0"
                    " WHERE number = ?",
                    (called_ae, at, at, known[0]),
                )
                return
            (waiting,) = connection.execute(
                "SELECT count(*) FROM request WHERE peer = ? AND state = 'OPEN'", (peer,)
            ).fetchone()
            if waiting >= MOST_OPEN:
                raise TooMany(f"{waiting} requests of this peer wait.")
            connection.execute(
                "INSERT INTO request (peer, source, called_ae, transaction_uid, asked, instances, count, state, due)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'OPEN', ?)",
                (peer, source, called_ae, asked.transaction, at, packed, len(asked.references), at),
            )


def _packed(references: Collection[Reference]) -> bytes:
    pairs = [(each.sop_class, each.sop_instance) for each in references]
    return zlib.compress(json.dumps(pairs).encode())


def _unpacked(packed: bytes) -> tuple[Reference, ...]:
    return tuple(Reference(*pair) for pair in json.loads(zlib.decompress(packed)))
