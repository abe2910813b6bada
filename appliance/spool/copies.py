"""Copies of a side's databases, made while services go on, and put in place while none runs."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from appliance.spool.database import DATABASE_MODE
from appliance.spool.files import fsync_folder, make_folder

NAMES = {"inside": ("journal.db", "reports.db", "commitments.db"), "outside": ("outbox.db",)}
_OF_INSTANCES = {"instance", "report", "request"}  # tables with a row for each
_BESIDE = ("", "-wal", "-shm")


def copy(database: Path, target: Path) -> bool:
    """Write the database as it is now to ``target``, one file; return whether there is one, and it is sound."""
    if not database.is_file():
        return False
    with (
        closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True, timeout=30.0)) as source,
        closing(sqlite3.connect(target)) as into,
    ):
        source.execute("PRAGMA trusted_schema=OFF")
        source.backup(into)
        into.execute("PRAGMA journal_mode=DELETE")
    return is_sound(target)


def is_sound(database: Path) -> bool:
    """Whether SQLite finds nothing wrong with the file."""
    with suppress(sqlite3.DatabaseError), closing(_reading(database)) as db:
        return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    return False


def is_empty(database: Path) -> bool:
    """Whether there is no database, or nothing of an instance in it; a damaged one is not called empty."""
    if not database.is_file():
        return True
    try:
        with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro", uri=True)) as db:
            there = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            return all(
                db.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None  # noqa: S608 - our names
                for table in _OF_INSTANCES & there
            )
    except sqlite3.DatabaseError:
        return False


def put(copied: Path, database: Path, moment: str) -> Path | None:
    """Put a copy in the place of ``database``, while nobody uses it; return where the one that was there lies now."""
    make_folder(database.parent)
    aside = database.with_name(f"{database.name}.before-{moment}") if database.exists() else None
    part = database.with_name(f"{database.name}.part")
    with copied.open("rb") as source, part.open("wb") as target:
        os.fchmod(target.fileno(), DATABASE_MODE)
        while chunk := source.read(1 << 20):
            target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    for suffix in _BESIDE:
        here = Path(f"{database}{suffix}")
        if here.exists() and aside is not None:
            here.rename(f"{aside}{suffix}")
    part.rename(database)
    fsync_folder(database.parent)
    return aside


def _reading(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
