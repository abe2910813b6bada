"""Every delivery that a destination named as stored, numbered: what audit messages tell. Kept only where it is asked.

The trigger is part of the delivery's own commit, so a number stands for a delivery that is durable, and none is without
one. A row has its own facts: the instance may be forgotten, superseded or made again before it is told.
"""

from dataclasses import dataclass
from typing import Final

from appliance.spool.database import Database
from appliance.spool.settings import Settings, put

# Beside the rows, in the outbox's schema. A number never comes back (AUTOINCREMENT).
SCHEMA: Final = """
CREATE TABLE export (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    destination TEXT NOT NULL,
    study TEXT NOT NULL,
    sop_class TEXT NOT NULL,
    at REAL NOT NULL
);
CREATE TRIGGER export_insert AFTER UPDATE OF state ON delivery
WHEN NEW.state = 'STORED' AND OLD.state <> 'STORED' AND EXISTS (SELECT 1 FROM setting WHERE key = 'exports-kept')
BEGIN
    INSERT INTO export (destination, study, sop_class, at)
        SELECT NEW.destination, study, sop_class, NEW.at FROM instance WHERE seq = NEW.seq;
END;
"""
_KEPT: Final = "exports-kept"


@dataclass(frozen=True, slots=True)
class Export:
    """One delivery. Pseudonymous UIDs; ``at``: when it was named as stored, POSIX seconds."""

    number: int
    destination: str
    study: str
    sop_class: str
    at: float


class Exports:
    """The numbered deliveries of an outbox. Reading works on a read-only database as well."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._settings = Settings(database)

    def keep(self, *, is_asked: bool) -> None:
        """From now on number deliveries, or do not."""
        if bool(self._settings.get(_KEPT)) == is_asked:
            return
        with self._database.writing(durably=True) as connection:
            if is_asked:
                put(connection, _KEPT, "yes")
            else:
                connection.execute("DELETE FROM setting WHERE key = ?", (_KEPT,))

    def since(self, number: int, limit: int) -> list[Export]:
        """Return what was delivered after a number, in order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT number, destination, study, sop_class, at FROM export WHERE number > ? ORDER BY number LIMIT ?",
                (number, limit),
            ).fetchall()
        return [Export(*row) for row in rows]

    def newest(self) -> int:
        """Return the last number that was given, 0 before there is one."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'export'").fetchone()
        return 0 if row is None else int(row[0])

    def purge(self, before: float, limit: int) -> int:
        """Forget what was delivered before ``before``, of the ``limit`` oldest numbers; return how many."""
        with self._database.writing(durably=False) as connection:
            return connection.execute(
                "DELETE FROM export WHERE number < (SELECT min(number) FROM export) + ? AND at < ?", (limit, before)
            ).rowcount
