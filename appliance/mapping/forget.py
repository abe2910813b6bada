"""Erasing a patient: what led back to him goes, and a keyed hash stays, so that he is refused from then on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from appliance.mapping.met import forget_in, studies_with
from appliance.mapping.refused import pseudonyms_at, refuse
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import list_came
from appliance.reasons import Reason


@dataclass(frozen=True, slots=True)
class Person:
    """A patient with everything that stands, or stood, for him in any project. Identifying: never to be logged."""

    domain: str = field(repr=False)
    number: str = field(repr=False)
    pseudonyms: tuple[str, ...] = ()


def person_behind(store: MappingStore, pseudonym: str, scopes: Iterable[str]) -> Person | None:
    """Return the patient for whom a pseudonym stands, or stood; None if it is nobody's, or a UID."""
    found = store.original_of(pseudonym)
    if found is None or found.kind != "patient":
        return None
    indexes = _indexes(store, found.domain, found.original, {*scopes, found.scope})
    pseudonyms = [each for index in indexes for each in pseudonyms_at(store, index)]
    return Person(found.domain, found.original, tuple(dict.fromkeys(pseudonyms)))


def refuse_for_good(store: MappingStore, person: Person, scopes: Iterable[str]) -> None:
    """From now on nothing of this patient leaves; what waits for his id list is looked at again, and goes."""
    with store.writing() as db:
        if refuse(store, person.domain, person.number, Reason.FORGOTTEN):
            store.count_up("refusals")
        for index in _indexes(store, person.domain, person.number, scopes):
            list_came(db, index)


def erase(store: MappingStore, person: Person, scopes: Iterable[str]) -> int:
    """Remove every entry of this patient, his studies' and images' UIDs too; return how many. May be done again.

    Its cost grows with the store: it is looked through once.
    """
    marks = ", ".join("?" * len(person.pseudonyms))
    numbers = store.db.execute(
        f"SELECT number FROM patient WHERE pseudonym IN ({marks})",  # noqa: S608 - question marks
        person.pseudonyms,
    ).fetchall()
    indexes = [(index,) for index in _indexes(store, person.domain, person.number, scopes)]
    # Outside the transaction: nobody waits while a large store is looked through.
    for number in numbers:
        indexes += store.db.execute("SELECT index_ FROM mapped WHERE owner = ?", number).fetchall()
    known = store.index("person", person.domain, person.number)
    studies = studies_with(store, known)
    with store.writing() as db:
        count = 0
        forget_in(store, known, studies)
        for index in indexes:
            count += db.execute("DELETE FROM mapped WHERE index_ = ?", index).rowcount
            count += db.execute("DELETE FROM former WHERE index_ = ?", index).rowcount
        for number in numbers:
            db.execute("DELETE FROM study WHERE patient = ?", number)
            db.execute("DELETE FROM patient WHERE number = ?", number)
    # What was deleted is overwritten in the file (secure_delete); the log still has it until it is begun anew.
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def _indexes(store: MappingStore, domain: str, number: str, scopes: Iterable[str]) -> Sequence[bytes]:
    return [store.index("patient", scope, domain, number) for scope in sorted(scopes)]
