"""The tables of the mapping, and how an older one becomes today's. Version 3.

about      version, wrapped keys, counters
mapped     what stands for an original today. index_: keyed hash of what is looked up; sealed: the original;
           kind and pseudonym in clear, the outside knows them; listed: number of the id list that names the
           patient, 0 for none; unused: 1 while nothing was made under it; owner: the patient a UID was met with
former     what stood for an original before an id list changed it: images that left still carry it
patient    small numbers for patients' pseudonyms; study: their pseudonymous studies, so that what left is found
met        patients met in a study, both as keyed hashes; left_as: which pseudonymous studies came of that study
refused    patients who never leave (keyed hash only), and why
awaited    instances that wait for their patient's id list; came: those whose list has come
"""

import sqlite3
from typing import Final

VERSION: Final = 3

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mapped (
    index_ BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    sealed BLOB NOT NULL,
    listed INTEGER NOT NULL DEFAULT 0,
    unused INTEGER NOT NULL DEFAULT 0,
    owner INTEGER NOT NULL DEFAULT 0,
    UNIQUE (pseudonym, kind)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS former (
    pseudonym TEXT NOT NULL,
    kind TEXT NOT NULL,
    index_ BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (pseudonym, kind)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS former_of ON former(index_);
CREATE TABLE IF NOT EXISTS patient (number INTEGER PRIMARY KEY, pseudonym TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS study (
    patient INTEGER NOT NULL, study TEXT NOT NULL, PRIMARY KEY (patient, study)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS met (
    study BLOB NOT NULL, person BLOB NOT NULL, PRIMARY KEY (study, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS left_as (study BLOB NOT NULL, uid TEXT NOT NULL, PRIMARY KEY (study, uid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (index_ BLOB PRIMARY KEY, why TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS awaited (
    index_ BLOB NOT NULL, spool_id TEXT NOT NULL, PRIMARY KEY (index_, spool_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS came (spool_id TEXT PRIMARY KEY) WITHOUT ROWID;
"""

_FROM_1 = """
ALTER TABLE mapped ADD COLUMN listed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mapped ADD COLUMN unused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mapped ADD COLUMN owner INTEGER NOT NULL DEFAULT 0;
"""


def make_tables(db: sqlite3.Connection) -> int:
    """Make what is missing, bring an earlier version up to date, in one transaction; return the version.

    A version above ours is left as it is: the caller refuses it.
    """
    if _version(db) >= VERSION:
        return _version(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        found = _version(db)  # once more: another process may have been faster
        if found < VERSION:
            for statement in ((_FROM_1 if found == 1 else "") + SCHEMA).split(";\n"):
                db.execute(statement)
            db.execute("INSERT OR REPLACE INTO about VALUES ('version', ?)", (str(VERSION).encode("ascii"),))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return max(found, VERSION)


def _version(db: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 for an empty file."""
    if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone() is None:
        return 0
    row = db.execute("SELECT value FROM about WHERE name = 'version'").fetchone()
    return 0 if row is None else int(bytes(row[0]))
