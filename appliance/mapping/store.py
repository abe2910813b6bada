"""The mapping: original <-> pseudonym, in SQLite, encrypted, and committed before a result is seen outside.

Looked up by a keyed hash of the original, so that the store, its index or a backup tell nothing without the key. Two
constraints make a collision impossible to overlook: one original has one pseudonym, one pseudonym has one original.
"""

import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.deid.outcome import Minted
from appliance.errors import CannotStart
from appliance.mapping.cipher import Cipher, Tampered, derived, new_data_key

VERSION = 1
_BUSY_MS = 30_000

# kind, pseudonym: in clear, the outside knows them. index_: keyed hash of what is looked up. sealed: the original.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mapped (
    index_ BLOB PRIMARY KEY,
    kind TEXT NOT NULL,
    pseudonym TEXT NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (pseudonym, kind)
) WITHOUT ROWID;
"""


class MappingStore:
    """The store in one file. One process writes at a time; several may read.

    Opening makes a missing store and raises CannotStart when ``key`` is not the one it was made with.
    """

    def __init__(self, path: Path, key: bytes, *, chance: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._path = path
        self._key = key
        self._index_key = derived(key, "index")
        _make_shared(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_MS / 1000)
            self._prepare()
            self.check_key()
            self._cipher = Cipher(self._data_key(chance), chance)
        except sqlite3.DatabaseError as error:
            raise CannotStart(
                f"The mapping {path} cannot be used ({error.sqlite_errorname}). Nothing was de-identified; images "
                "wait in the spool. Restore it: 'appliance mapping restore'."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def check_key(self) -> None:
        """Raise CannotStart unless the key is the one that the store was made with."""
        known = self._about("key-check")
        if known is None or not hmac.compare_digest(known, derived(self._key, "check")):
            raise CannotStart(
                f"The pseudonym key is not the one that the mapping {self._path} was made with. Nothing was "
                "de-identified; images wait in the spool. Put back the right key file: with another key every "
                "patient would become a stranger."
            )

    def commit(self, minted: Iterable[Minted]) -> list[Minted]:
        """Make the pseudonyms durable; return those that collide, which are not kept and must not be used.

        Idempotent. On return everything else is on disk (synchronous=FULL). A collision is a pseudonym that already
        stands for another original, or an original that already has another pseudonym.
        """
        collisions = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for each in minted:
                if not self._kept(each):
                    collisions.append(each)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return collisions

    def pseudonym_of(self, kind: str, domain: str, original: str, scope: str = "") -> str | None:
        """Return the pseudonym that stands for an original; None if there is none yet."""
        index = self._index(kind, scope, domain, original)
        row = self._db.execute("SELECT pseudonym FROM mapped WHERE index_ = ?", (index,)).fetchone()
        return None if row is None else str(row[0])

    def original_of(self, pseudonym: str) -> Minted | None:
        """Return what a pseudonym stands for; None if it is not ours. Re-identification: the caller audits it."""
        row = self._db.execute(
            "SELECT index_, kind, sealed FROM mapped WHERE pseudonym = ? ORDER BY kind", (pseudonym,)
        ).fetchone()
        if row is None:
            return None
        index, kind, sealed = row
        try:
            scope, domain, original = json.loads(self._cipher.open(sealed, index))
        except Tampered:
            raise CannotStart(
                f"An entry of the mapping {self._path} was altered or damaged. Restore it: 'appliance mapping restore'."
            ) from None
        return Minted(kind, domain, original, pseudonym, scope)

    def count(self) -> int:
        """Return how many pseudonyms there are."""
        return int(self._db.execute("SELECT count(*) FROM mapped").fetchone()[0])

    def _kept(self, minted: Minted) -> bool:
        """Insert one; False if it collides."""
        index = self._index(minted.kind, minted.scope, minted.domain, minted.original)
        row = self._db.execute("SELECT pseudonym FROM mapped WHERE index_ = ?", (index,)).fetchone()
        if row is not None:
            return bool(row[0] == minted.pseudonym)
        content = json.dumps([minted.scope, minted.domain, minted.original]).encode("utf-8")
        done = self._db.execute(
            "INSERT INTO mapped (index_, kind, pseudonym, sealed) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (index, minted.kind, minted.pseudonym, self._cipher.seal(content, index)),
        )
        return done.rowcount == 1

    def _index(self, *parts: str) -> bytes:
        # As JSON: ("a", "bc") and ("ab", "c") must not meet.
        return hmac.digest(self._index_key, json.dumps(parts).encode("utf-8"), sha256)

    def _prepare(self) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO about VALUES ('version', ?)", (str(VERSION).encode("ascii"),))
        if self._about("version") != str(VERSION).encode("ascii"):
            raise CannotStart(
                f"The mapping {self._path} was made by a newer program. Nothing was de-identified; images wait in the "
                "spool. Install that version again."
            )
        self._db.execute("INSERT OR IGNORE INTO about VALUES ('key-check', ?)", (derived(self._key, "check"),))

    def _data_key(self, chance: Callable[[int], bytes]) -> bytes:
        """Return the data key, wrapped in the store by the derived key; made for a new store."""
        wrapping = Cipher(derived(self._key, "wrap"), chance)
        wrapped = wrapping.seal(new_data_key(chance), b"data-key")
        self._db.execute("INSERT OR IGNORE INTO about VALUES ('data-key', ?)", (wrapped,))
        kept = self._about("data-key")
        try:
            return wrapping.open(kept or b"", b"data-key")
        except Tampered:
            raise CannotStart(
                f"The data key inside the mapping {self._path} was altered or damaged. Nothing was de-identified; "
                "images wait in the spool. Restore it: 'appliance mapping restore'."
            ) from None

    def _about(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])


def _make_shared(path: Path) -> None:
    """Make folder (2770) and empty file (0660) before SQLite does: its -wal and -shm take the modes over.

    A second user of the group could not write otherwise.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o2770)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o660)
    except FileExistsError:
        return
    try:
        os.fchmod(handle, 0o660)  # whatever the umask says
    finally:
        os.close(handle)
