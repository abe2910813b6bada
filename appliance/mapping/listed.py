"""Pseudonyms as the id lists say, and by the key for whom they do not name: same key, same lists, same pseudonym.

A worker's view of the store: it looks up and never writes, so that what it makes is a function of key, lists and
original. The offset of the dates stays the key's: a list that comes later moves no date.
"""

import errno
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from appliance.config import Missing
from appliance.deid.pseudonyms import DayRange, KeyedPseudonyms, PatientPseudonym
from appliance.mapping.lineage import OWED_LISTS, OWED_REFUSALS
from appliance.mapping.store import Met, index_key, index_of
from appliance.mapping.store_file import BUSY_S
from appliance.reasons import Reason


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of one patient.

    pseudonym  today's; None if nothing was made for the patient and no list names him
    listed     whether an id list names the patient
    refused    why nothing of the patient may leave; None if it may
    owed       what the store lost when it was restored: b"", OWED_LISTS or OWED_REFUSALS
    """

    pseudonym: str | None
    listed: bool
    refused: Reason | None
    owed: bytes


class Book:
    """The store for whoever only looks up. It opens at the first question, in the process that asks."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._index_key = index_key(key)
        self._db: sqlite3.Connection | None = None

    def known(self, scope: str, domain: str, number: str) -> Known:
        """Return what is known of a patient, in one consistent view. OSError when the store cannot be read now."""
        try:
            row = (
                self._opened()
                .execute(
                    "SELECT (SELECT value FROM about WHERE name = 'owed'),"
                    " (SELECT why FROM refused WHERE index_ = :person), pseudonym, listed"
                    " FROM (SELECT 1) LEFT JOIN mapped ON index_ = :patient",
                    {
                        "person": index_of(self._index_key, "person", domain, number),
                        "patient": index_of(self._index_key, "patient", scope, domain, number),
                    },
                )
                .fetchone()
            )
        except sqlite3.Error as error:
            self.close()
            # As an error of the machine, which it is: the instance waits and is tried again.
            raise OSError(errno.EIO, "the mapping cannot be read") from error
        owed, why, pseudonym, listed = row
        return Known(pseudonym, bool(listed), None if why is None else Reason(why), bytes(owed or b""))

    def others(self, met: Met) -> int:
        """Return how many other patients the site met in the study. OSError when the store cannot be read now."""
        try:
            row = self._opened().execute(
                "SELECT count(*) FROM met WHERE study = ? AND person <> ?", (met.study, met.person)
            )
            return int(row.fetchone()[0])
        except sqlite3.Error as error:
            self.close()
            raise OSError(errno.EIO, "the mapping cannot be read") from error

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        if self._db is not None:
            self._db.close()
        self._db = None

    def _opened(self) -> sqlite3.Connection:
        if self._db is None:
            # mode=rw: in WAL mode a reader takes part in the shared memory, which query_only does not hinder.
            where = f"{self._path.absolute().as_uri()}?mode=rw"
            self._db = sqlite3.connect(where, uri=True, timeout=BUSY_S, isolation_level=None)
            self._db.execute("PRAGMA trusted_schema=OFF")
            self._db.execute("PRAGMA query_only=ON")
        return self._db


@dataclass(frozen=True, slots=True)
class ListedPseudonyms:
    """Implements ``deid.pseudonyms.Pseudonyms``: the lists first, the key for everybody else."""

    keyed: KeyedPseudonyms
    book: Book = field(repr=False)
    missing: Missing = "mint"

    @property
    def scope(self) -> str:
        """See ``Pseudonyms.scope``."""
        return self.keyed.scope

    @property
    def issuers(self) -> tuple[str, ...]:
        """See ``Pseudonyms.issuers``."""
        return self.keyed.issuers

    def uid(self, original: str) -> str:
        """See ``Pseudonyms.uid``: always the key's."""
        return self.keyed.uid(original)

    def patient(self, domain: str, patient_id: str, shift: DayRange) -> PatientPseudonym:
        """See ``Pseudonyms.patient``: the list's id, the key's offset."""
        made = self.keyed.patient(domain, patient_id, shift)
        known = self.book.known(self.scope, domain, patient_id)
        return made if known.pseudonym is None else PatientPseudonym(known.pseudonym, made.offset_days)

    def objection(self, domain: str, patient_id: str) -> Reason | None:
        """See ``Pseudonyms.objection``: refused for good, lost by a restore, or on no list where one is needed."""
        known = self.book.known(self.scope, domain, patient_id)
        if known.refused is not None:
            return known.refused
        if known.owed == OWED_REFUSALS or (known.owed == OWED_LISTS and known.pseudonym is None):
            return Reason.NO_IDENTITY_YET
        if known.listed or self.missing == "mint":
            return None
        return Reason.NO_IDENTITY_YET if self.missing == "hold" else Reason.UNLISTED_PATIENT

    def is_listed(self, domain: str, patient_id: str) -> bool:
        """See ``Pseudonyms.is_listed``."""
        return self.book.known(self.scope, domain, patient_id).listed

    def text(self, purpose: str, original: str) -> str:
        """See ``Pseudonyms.text``: always the key's."""
        return self.keyed.text(purpose, original)
