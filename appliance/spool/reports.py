"""Reports of what de-identifying did, instance by instance, in a database of their own: the only SQL on it.

They are there to be read; beside that, they tell how far each instance was when the journal is lost. They are committed
before the outside gets its row, but not synchronously, so that they cost no fsync; a power cut may take those of the
last seconds. A damaged database is set aside and begun anew; what cannot be written is told by ReportsNotKept, which
ends nothing.
"""

import json
import sqlite3
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from appliance.errors import ApplianceError
from appliance.spool.database import Database, DatabaseDamaged
from appliance.spool.reports_schema import SCHEMA, VERSION

_COLUMNS = "id, round, at, reason, place, out, study, sop_instance, accepted, rules_digest, body"


class ReportsNotKept(ApplianceError):
    """Reports cannot be written, or read, now. No image waits for them."""


@dataclass(frozen=True, slots=True)
class Body:
    """An account, packed; ``hash`` of what was packed."""

    hash: bytes
    packed: bytes = field(repr=False)


@lru_cache(maxsize=256)
def packed(account: str) -> Body:
    """Return an account as it is kept. The slices of a series have the same one, so it is packed once."""
    content = account.encode("utf-8")
    return Body(sha256(content).digest()[:16], zlib.compress(content))


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one round of one instance; see ``reports_schema``.

    accepted  codes of the reasons that an operator accepted for these bytes
    body      the account, of what was de-identified
    """

    id: str
    round: int
    at: float
    reason: str = ""
    place: str = ""
    out: str = ""
    study: str = ""
    sop_instance: str = ""
    accepted: tuple[str, ...] = ()
    rules_digest: str = ""
    body: Body | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A report that was kept, with the number of its account; 0 for none."""

    entry: Entry
    body: int


class Reports:
    """The reports of the inside. Opened at need, by the services and by whoever only looks."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._database: Database | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def keep(self, entries: Collection[Entry]) -> None:
        """Keep reports in one commit, in the place of those of the same rounds. Raises ReportsNotKept."""
        with self._told():
            try:
                self._keep(entries)
            except DatabaseDamaged:
                self._opened().set_aside()
                self._keep(entries)

    def purge(self, before: float, limit: int) -> int:
        """Forget at most ``limit`` reports made before ``before`` (POSIX seconds), and accounts that nobody has.

        Return how many. Raises ReportsNotKept.
        """
        with self._told(), self._opened().writing(durably=False) as connection:
            rows = connection.execute(
                "DELETE FROM report WHERE at < ? AND seq IN (SELECT seq FROM report ORDER BY seq LIMIT ?)"
                " RETURNING body",
                (before, limit),
            ).fetchall()
            connection.executemany(
                "DELETE FROM body WHERE number = ? AND NOT EXISTS"
                " (SELECT 1 FROM report WHERE body = number AND body > 0)",
                sorted(set(rows)),
            )
        return len(rows)

    def last(self, ids: Collection[str]) -> dict[str, Entry]:
        """Return, of those instances that have any, the report of their last round. Raises ReportsNotKept."""
        asked = json.dumps(list(ids))
        found = self._found("id IN (SELECT value FROM json_each(?)) ORDER BY round", asked)
        return {kept.entry.id: kept.entry for kept in found}

    def of(self, spool_id: str) -> list[Kept]:
        """Return what is kept of each round of an instance, the first one first. Raises ReportsNotKept."""
        return list(self._found("id = ? ORDER BY round", spool_id))

    def of_sop_instance(self, uid: str) -> list[Kept]:
        """Return what is kept under this pseudonymous SOP Instance UID. Raises ReportsNotKept."""
        return list(self._found("sop_instance = ? AND sop_instance <> '' ORDER BY seq", uid))

    def of_study(self, uid: str) -> list[Kept]:
        """Return what is kept under this pseudonymous Study Instance UID, in order. Raises ReportsNotKept."""
        return list(self._found("study = ? AND study <> '' ORDER BY seq", uid))

    def accounts(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """Return the accounts of these numbers. Raises ReportsNotKept."""
        with self._told(), self._opened().reading() as connection:
            rows = connection.execute(
                "SELECT number, packed FROM body WHERE number IN (SELECT value FROM json_each(?))",
                (json.dumps(sorted(set(numbers))),),
            ).fetchall()
        return {number: json.loads(zlib.decompress(body)) for number, body in rows}

    def _keep(self, entries: Collection[Entry]) -> None:
        with self._opened().writing(durably=False) as connection:
            for entry in entries:
                body = 0 if entry.body is None else _number(connection, entry.body)
                connection.execute(
                    f"INSERT OR REPLACE INTO report ({_COLUMNS})"  # noqa: S608 - our columns
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        *(entry.id, entry.round, entry.at, entry.reason, entry.place, entry.out, entry.study),
                        *(entry.sop_instance, " ".join(sorted(entry.accepted)), entry.rules_digest, body),
                    ),
                )

    def _found(self, where: str, value: str) -> Iterator[Kept]:
        with self._told(), self._opened().reading() as connection:
            rows = connection.execute(
                f"SELECT {_COLUMNS} FROM report WHERE {where}",  # noqa: S608 - our words
                (value,),
            ).fetchall()
        for *facts, accepted, digest, body in rows:
            spool_id, number, at, reason, place, out, study, sop_instance = facts
            told = (reason, place, out, study, sop_instance, tuple(accepted.split()), digest)
            yield Kept(Entry(spool_id, number, at, *told), body)

    def _opened(self) -> Database:
        if self._database is None:
            self._database = Database(self._path, SCHEMA, VERSION, read_only=self._read_only)
        return self._database

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (ApplianceError, OSError, sqlite3.Error, zlib.error, ValueError) as error:
            if isinstance(error, ReportsNotKept):
                raise
            raise ReportsNotKept(
                f"The reports in {self._path} cannot be used ({type(error).__name__}). No image waits for that, and "
                "none is touched. Look at the disk and at the owner of the file; it may be moved away, and is begun "
                "anew."
            ) from error


def _number(connection: sqlite3.Connection, body: Body) -> int:
    known = connection.execute("SELECT number FROM body WHERE hash = ?", (body.hash,)).fetchone()
    if known is not None:
        return int(known[0])
    return int(
        connection.execute("INSERT INTO body (hash, packed) VALUES (?, ?)", (body.hash, body.packed)).lastrowid or 0
    )
