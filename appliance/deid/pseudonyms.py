"""New names for old: made from a secret key, so that every machine that holds the key makes the same.

A pseudonym is a keyed hash (HMAC-SHA256), never a plain one: whoever has a list of all patient numbers or all UIDs
cannot find out which is which without the key. Each kind of pseudonym hashes under a label of its own, and the parts
of what is hashed are joined so that no two different lists of parts give the same bytes.
"""

import base64
import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from appliance.reasons import Reason

UUID_ROOT = "2.25."  # PS3.5 B.2: UIDs derived from 128 bits need no registration
KEY_BYTES = 32  # of a key that is made
LEAST_KEY_BYTES = 16  # of a key that is accepted

_PATIENT_LETTERS = 16  # base32: 80 bits, a collision among 10 million patients is a chance of 4e-11
_OUT_LETTERS = 32  # base32: 160 bits


@dataclass(frozen=True, slots=True)
class DayRange:
    """Between which whole days a patient's dates may be moved; 0 is never drawn.

    lowest   included, negative is into the past
    highest  included
    """

    lowest: int = -3652
    highest: int = -31

    def __post_init__(self) -> None:
        if self.lowest > self.highest:
            raise ValueError("the lowest shift is above the highest.")
        if self.lowest == self.highest == 0:
            raise ValueError("a shift of 0 days leaves every date as it was.")
        if max(abs(self.lowest), abs(self.highest)) > 36524:
            raise ValueError("a shift of more than a century makes dates that systems refuse.")

    @property
    def choices(self) -> int:
        """How many offsets there are to draw from: 0 is none of them."""
        return self.highest - self.lowest + (0 if self.lowest <= 0 <= self.highest else 1)

    def choose(self, number: int) -> int:
        """Return the offset that ``number`` (any whole number from 0) picks; never 0."""
        days = self.lowest + number % self.choices
        return days + 1 if self.lowest <= 0 <= days else days


@dataclass(frozen=True, slots=True)
class PatientPseudonym:
    """What stands for a patient.

    id           new Patient ID: ``<site>-<base32>``
    offset_days  whole days by which every date of the patient moves; never 0
    """

    id: str
    offset_days: int


class Pseudonyms(Protocol):
    """Where the engine gets new names from. The same question always gets the same answer."""

    @property
    def scope(self) -> str:
        """Name of the project whose pseudonyms these are; "" for the site's own."""
        ...

    @property
    def issuers(self) -> tuple[str, ...]:
        """Issuers of Patient IDs that are told apart: the same number of two of them is two patients."""
        ...

    def uid(self, original: str) -> str:
        """Return the UID that stands for ``original``, whoever's it is: references must meet."""
        ...

    def patient(self, domain: str, patient_id: str, shift: DayRange) -> PatientPseudonym:
        """Return what stands for the patient with this (stripped) number in this identity domain."""
        ...

    def objection(self, domain: str, patient_id: str) -> Reason | None:
        """Return why nothing of this patient may leave (now); None if it may."""
        ...

    def is_listed(self, domain: str, patient_id: str) -> bool:
        """Whether an id list names this patient."""
        ...

    def text(self, purpose: str, original: str) -> str:
        """Return 16 letters and digits that stand for ``original`` under ``purpose``."""
        ...


@dataclass(frozen=True, slots=True)
class KeyedPseudonyms:
    """Pseudonyms that need nothing but the key.

    key      at least 16 bytes, secret, for ever
    site     prefix of patient pseudonyms
    scope    the project with pseudonyms of its own, whose key this is; "" for the site's
    issuers  Issuer of Patient ID values that count
    """

    key: bytes
    site: str
    scope: str = ""
    issuers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.key) < LEAST_KEY_BYTES:
            raise ValueError(f"a pseudonym key has at least {LEAST_KEY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"KeyedPseudonyms(key=***, site={self.site!r})"

    def uid(self, original: str) -> str:
        """See ``Pseudonyms.uid``: ``2.25.`` and 128 bits."""
        return UUID_ROOT + str(int.from_bytes(keyed(self.key, "uid", original)[:16], "big"))

    def patient(self, domain: str, patient_id: str, shift: DayRange) -> PatientPseudonym:
        """See ``Pseudonyms.patient``."""
        letters = _base32(keyed(self.key, "patient", domain, patient_id), _PATIENT_LETTERS)
        draw = int.from_bytes(keyed(self.key, "offset", domain, patient_id)[:16], "big")
        return PatientPseudonym(f"{self.site}-{letters}", shift.choose(draw))

    def objection(self, domain: str, patient_id: str) -> Reason | None:
        """See ``Pseudonyms.objection``: a key knows nobody, and objects to nobody."""
        del domain, patient_id
        return None

    def is_listed(self, domain: str, patient_id: str) -> bool:
        """See ``Pseudonyms.is_listed``: a key has no list."""
        del domain, patient_id
        return False

    def text(self, purpose: str, original: str) -> str:
        """See ``Pseudonyms.text``."""
        return _base32(keyed(self.key, "text", purpose, original), _PATIENT_LETTERS)


def keyed(key: bytes, label: str, *parts: str) -> bytes:
    """Return 32 bytes that only the key's holder can compute; different labels or parts, unrelated bytes."""
    message = b""
    for part in (label, *parts):
        encoded = part.encode("utf-8", "surrogatepass")
        message += len(encoded).to_bytes(4, "big") + encoded  # its length in front: ("ab", "c") and ("a", "bc") differ
    return hmac.digest(key, message, sha256)


def project_key(key: bytes, project: str) -> bytes:
    """Return the key of a project with pseudonyms of its own: unlinkable to the site's and to other projects'."""
    return keyed(key, "project", project)


def out_name(key: bytes, spool_id: str, round_: int) -> str:
    """Return the outside name of one round of one instance: repeatable, opaque, see ``model.is_out_name``."""
    return _base32(keyed(key, "out", spool_id, str(round_)), _OUT_LETTERS).lower()


def _base32(digest: bytes, letters: int) -> str:
    return base64.b32encode(digest[: -(-letters * 5 // 8)]).decode("ascii")[:letters]  # five bits a letter
