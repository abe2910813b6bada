"""The mapping: original <-> pseudonym, in SQLite, encrypted, and committed before a result is seen outside.

Looked up by a keyed hash of the original, so that the store, its index or a backup tell nothing without the key. Two
constraints make a collision impossible to overlook: one original has one pseudonym, one pseudonym has one original.

The store counts its changes and has a name of its own (``Standing``), so that one that was put back to an earlier
state, or replaced, is noticed.
"""

import fcntl
import hmac
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.deid.outcome import Minted
from appliance.errors import CannotStart
from appliance.mapping.cipher import Cipher, Tampered, derived, new_data_key
from appliance.mapping.schema import VERSION, make_tables
from appliance.mapping.store_file import connect, hold, make_shared


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a store is.

    lineage   name of the store, given when it was made; a restored one keeps it
    changes   how often it was changed
    lists     how many id lists it took
    refusals  how many opt-out lists and erasures it took
    """

    lineage: str
    changes: int
    lists: int
    refusals: int


@dataclass(frozen=True, slots=True)
class Met:
    """A patient met in a study: keyed hashes of the person and of the original Study Instance UID.

    left_as  the Study Instance UID that the result has; "" if there is none
    """

    study: bytes
    person: bytes
    left_as: str = ""


class MappingStore:
    """The store in one file. One process writes at a time; several may read.

    Opening makes a missing store and raises CannotStart when ``key`` is not the one it was made with. While it is open
    it cannot be restored from a backup; ``alone``: nobody else has it open.
    """

    def __init__(
        self, path: Path, key: bytes, *, alone: bool = False, chance: Callable[[int], bytes] = secrets.token_bytes
    ) -> None:
        self.path = path
        self._key = key
        self._chance = chance
        self._index_key = index_key(key)
        make_shared(path)
        self._lock = hold(path, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        try:
            self.db = connect(path)
            self._prepare()
            self.check_key()
            self._epoch, self._ciphers = self._read_ciphers()
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise CannotStart(
                f"The mapping {path} cannot be used ({error.sqlite_errorname}). Nothing was de-identified; images "
                f"wait in the spool. {_remedy(error)}"
            ) from error
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self.db.close()
        os.close(self._lock)

    def check_key(self) -> None:
        """Raise CannotStart unless the key is the one that the store was made with."""
        known = self.about("key-check")
        if known is None or not hmac.compare_digest(known, derived(self._key, "check")):
            raise CannotStart(
                f"The pseudonym key is not the one that the mapping {self.path} was made with. Nothing was "
                "de-identified; images wait in the spool. Put back the right key file: with another key every "
                "patient would become a stranger."
            )

    # --- committing -----------------------------------------------------------------------------------------------

    def commit(
        self, minted: Iterable[Minted], studies: Iterable[tuple[str, str]] = (), met: Iterable[Met] = ()
    ) -> list[Minted]:
        """Make the pseudonyms durable; return those that collide, which are not kept and must not be used.

        studies  (pseudonym of the patient, pseudonymous Study Instance UID): so that what left is found again
        met      who was met in which study (``mapping.met``)

        Idempotent. On return everything else is on disk (synchronous=FULL). A collision is a pseudonym that already
        stands for another original, an original that already has another pseudonym, or a patient who is refused.
        """
        with self.writing():
            collisions = [each for each in minted if not self._kept(each)]
            for patient, study in studies:
                self.db.execute(
                    "INSERT INTO study VALUES (?, ?) ON CONFLICT DO NOTHING", (self._patient_number(patient), study)
                )
            for each in met:
                self.db.execute("INSERT INTO met VALUES (?, ?) ON CONFLICT DO NOTHING", (each.study, each.person))
                if each.left_as:
                    self.db.execute(
                        "INSERT INTO left_as VALUES (?, ?) ON CONFLICT DO NOTHING", (each.study, each.left_as)
                    )
        return collisions

    @contextmanager
    def writing(self, *, keep: bool = True) -> Iterator[sqlite3.Connection]:
        """One transaction, counted as one change if it changed anything; rolled back on any exception.

        keep  False: rolled back at the end as well, for a preview
        """
        self.db.execute("BEGIN IMMEDIATE")
        try:
            self._follow_rotation()
            before = self.db.total_changes
            yield self.db
            if keep and self.db.total_changes != before:
                self.count_up("changes")
            self.db.execute("COMMIT" if keep else "ROLLBACK")
        except BaseException:
            if self.db.in_transaction:  # a full disk makes SQLite roll back by itself
                self.db.execute("ROLLBACK")
            raise

    def _kept(self, minted: Minted) -> bool:
        """Insert one; False if it collides."""
        index = self.index(minted.kind, minted.scope, minted.domain, minted.original)
        if minted.kind == "patient" and minted.owner == minted.pseudonym and self._is_refused(minted):
            return False
        row = self.db.execute("SELECT pseudonym, unused FROM mapped WHERE index_ = ?", (index,)).fetchone()
        if row is not None:
            if row[1]:
                self.db.execute("UPDATE mapped SET unused = 0 WHERE index_ = ?", (index,))
            return bool(row[0] == minted.pseudonym)
        if self.was_used(minted.kind, minted.pseudonym):
            return False
        owner = self._patient_number(minted.owner) if minted.owner else 0
        done = self.db.execute(
            "INSERT INTO mapped (index_, kind, pseudonym, sealed, owner) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (index, minted.kind, minted.pseudonym, self.seal(index, minted), owner),
        )
        return done.rowcount == 1

    def was_used(self, kind: str, pseudonym: str) -> bool:
        """Whether this stood for somebody before an id list changed it: images that left still carry it."""
        found = self.db.execute("SELECT 1 FROM former WHERE pseudonym = ? AND kind = ?", (pseudonym, kind)).fetchone()
        return found is not None

    def _is_refused(self, minted: Minted) -> bool:
        person = self.index("person", minted.domain, minted.original)
        return self.db.execute("SELECT 1 FROM refused WHERE index_ = ?", (person,)).fetchone() is not None

    def has_moved_on(self, minted: Minted) -> bool:
        """Whether the store learned something of this original after ``minted`` was computed: it is to be done again.

        It has another pseudonym, by an id list for one, or the patient is refused for good.
        """
        today = self.pseudonym_of(minted.kind, minted.domain, minted.original, minted.scope)
        return today not in (None, minted.pseudonym) or (minted.kind == "patient" and self._is_refused(minted))

    def _patient_number(self, pseudonym: str) -> int:
        row = self.db.execute("SELECT number FROM patient WHERE pseudonym = ?", (pseudonym,)).fetchone()
        if row is not None:
            return int(row[0])
        return int(self.db.execute("INSERT INTO patient (pseudonym) VALUES (?)", (pseudonym,)).lastrowid or 0)

    # --- looking --------------------------------------------------------------------------------------------------

    def pseudonym_of(self, kind: str, domain: str, original: str, scope: str = "") -> str | None:
        """Return the pseudonym that stands for an original; None if there is none yet."""
        index = self.index(kind, scope, domain, original)
        row = self.db.execute("SELECT pseudonym FROM mapped WHERE index_ = ?", (index,)).fetchone()
        return None if row is None else str(row[0])

    def original_of(self, pseudonym: str) -> Minted | None:
        """Return what a pseudonym stands, or stood, for; None if it is not ours. The caller audits it."""
        row = self.db.execute(
            "SELECT index_, kind, sealed FROM mapped WHERE pseudonym = :it"
            " UNION ALL SELECT index_, kind, sealed FROM former WHERE pseudonym = :it ORDER BY kind",
            {"it": pseudonym},
        ).fetchone()
        return None if row is None else self.unsealed(row[0], row[1], pseudonym, row[2])

    def count(self) -> int:
        """Return how many pseudonyms there are."""
        return int(self.db.execute("SELECT count(*) FROM mapped").fetchone()[0])

    def standing(self) -> Standing:
        """Return how far the store is."""
        lineage = (self.about("lineage") or b"").decode("ascii")
        return Standing(lineage, self.number("changes"), self.number("lists"), self.number("refusals"))

    # --- for the other modules of this package --------------------------------------------------------------------

    def index(self, *parts: str) -> bytes:
        """Return the keyed hash by which (kind, scope, domain, original) is looked up."""
        return index_of(self._index_key, *parts)

    def seal(self, index: bytes, minted: Minted) -> bytes:
        """Return the original sealed for the row of ``index``."""
        content = json.dumps([minted.scope, minted.domain, minted.original]).encode("utf-8")
        return self.sealed(index, content)

    def sealed(self, index: bytes, content: bytes) -> bytes:
        """Return bytes sealed for the row of ``index`` by today's data key."""
        return self.cipher.seal(content, index)

    @property
    def cipher(self) -> Cipher:
        """Today's data key."""
        return self._ciphers[0]

    def unsealed(self, index: bytes, kind: str, pseudonym: str, sealed: bytes) -> Minted:
        """Return what a row holds; raises CannotStart for one that was altered."""
        scope, domain, original = json.loads(self.opened(index, sealed))
        return Minted(kind, domain, original, pseudonym, scope)

    def opened(self, index: bytes, sealed: bytes) -> bytes:
        """Return sealed bytes opened: by today's data key, or by the one that is being replaced."""
        for cipher in self._ciphers:
            try:
                return cipher.open(sealed, index)
            except Tampered:
                continue
        epoch, ciphers = self._read_ciphers()
        if epoch != self._epoch:  # the data key was rotated meanwhile
            self._epoch, self._ciphers = epoch, ciphers
            return self.opened(index, sealed)
        raise CannotStart(
            f"An entry of the mapping {self.path} was altered or damaged. Restore it from its newest backup."
        )

    def about(self, name: str) -> bytes | None:
        """Return a value of the store itself."""
        row = self.db.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, name: str, value: bytes | None) -> None:
        """Remember a value of the store itself, or forget it; within ``writing``."""
        if value is None:
            self.db.execute("DELETE FROM about WHERE name = ?", (name,))
        else:
            self.db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def number(self, name: str) -> int:
        """Return a counter; 0 before it was counted."""
        return int(self.about(name) or b"0")

    def count_up(self, name: str) -> int:
        """Count and return the new number; within ``writing``."""
        number = self.number(name) + 1
        self.put(name, b"%d" % number)
        return number

    def wrapping(self) -> Cipher:
        """Return what the data key is wrapped with: derived from the pseudonym key."""
        return Cipher(derived(self._key, "wrap"), self._chance)

    def new_wrapped_key(self) -> bytes:
        """Return a new data key, wrapped."""
        return self.wrapping().seal(new_data_key(self._chance), b"data-key")

    def _prepare(self) -> None:
        if make_tables(self.db) > VERSION:
            raise CannotStart(
                f"The mapping {self.path} was made by a newer program. Nothing was de-identified; images wait in the "
                "spool. Install that version again."
            )
        for name, value in (
            ("key-check", derived(self._key, "check")),
            ("lineage", self._chance(16).hex().encode("ascii")),
        ):
            if self.about(name) is None:
                self.db.execute("INSERT OR IGNORE INTO about VALUES (?, ?)", (name, value))
        if self.about("data-key") is None:
            self.db.execute("INSERT OR IGNORE INTO about VALUES ('data-key', ?)", (self.new_wrapped_key(),))

    def _follow_rotation(self) -> None:
        """Take the new data key if another process rotated it: nothing may be sealed with one that is about to go."""
        if self.number("epoch") != self._epoch:
            self._epoch, self._ciphers = self._read_ciphers()

    def _read_ciphers(self) -> tuple[int, tuple[Cipher, ...]]:
        """Return the epoch and the ciphers: by today's data key, and by the one before it while that is replaced."""
        wrapping = self.wrapping()
        wrapped = [self.about("data-key"), self.about("data-key-before")]
        try:
            keys = [wrapping.open(each, b"data-key") for each in wrapped if each is not None]
        except Tampered:
            raise CannotStart(
                f"The data key inside the mapping {self.path} was altered or damaged. Nothing was de-identified; "
                "images wait in the spool. Restore it from its newest backup."
            ) from None
        return self.number("epoch"), tuple(Cipher(key, self._chance) for key in keys)


def index_key(key: bytes) -> bytes:
    """Return the key of the index, derived from the pseudonym key: it is the same for ever."""
    return derived(key, "index")


def index_of(key: bytes, *parts: str) -> bytes:
    """Return the keyed hash of ``parts``. As JSON: ("a", "bc") and ("ab", "c") must not meet."""
    return hmac.digest(key, json.dumps(parts).encode("utf-8"), sha256)


def _remedy(error: sqlite3.DatabaseError) -> str:
    """What to do: a backup is older than the store, so it is put back for a damaged one and for nothing less."""
    if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return "Restore it from its newest backup."
    return (
        "Do not restore it: it is not known to be damaged. Look whether its disk is full, mounted read-only or "
        "failing, and who owns the folder; then start again."
    )
