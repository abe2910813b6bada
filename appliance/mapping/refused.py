"""Patients who never leave: those who opted out, and those who were erased.

Kept as a keyed hash and nothing else, over every project: the person is refused, not one pseudonym.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from appliance.mapping.csv_list import Line, Problem
from appliance.mapping.place import Conflicts, Place
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import list_came
from appliance.reasons import Reason


@dataclass(slots=True)
class OptedOut:
    """What an opt-out list did, or would do. Line numbers and pseudonyms; neither names anybody.

    new, same  how many patients are new on the list, and how many were refused before
    gone       how many were taken off it (withdraw)
    known      (line, pseudonym) of those for whom pseudonyms were made: something of them may have left
    resumed    how many instances that waited for a list are looked at again, and discarded
    """

    new: int = 0
    same: int = 0
    gone: int = 0
    known: list[tuple[int, str]] = field(default_factory=list)
    resumed: int = 0


def opt_out(
    store: MappingStore, lines: Sequence[Line], place: Place, *, withdraw: bool = False, preview: bool = False
) -> OptedOut:
    """Put every patient of a list on the opt-out list, or take them off it, in one transaction.

    Who was erased stays so. Raises Conflicts, and changes nothing, if a line names a domain that there is not.
    """
    problems = [Problem(line.line, wrong) for line in lines if (wrong := place.wrong(line))]
    if problems:
        raise Conflicts(problems)
    done = OptedOut()
    with store.writing(keep=not preview):
        store.count_up("refusals")
        for line in lines:
            domain = place.domain_of(line)
            if withdraw:
                done.gone += _withdraw(store, domain, line.number)
                continue
            fresh = refuse(store, domain, line.number, Reason.OPTED_OUT)
            done.new += fresh
            done.same += not fresh
            for scope in place.scopes:
                index = store.index("patient", scope, domain, line.number)
                done.known += [(line.line, pseudonym) for pseudonym in pseudonyms_at(store, index)]
                done.resumed += list_came(store.db, index)
    return done


def refuse(store: MappingStore, domain: str, number: str, why: Reason) -> bool:
    """Refuse a person from now on, within a transaction; return whether that is new. An erasure outweighs an opt-out.

    It stays so when the reason is weaker than the one that is there.
    """
    index = store.index("person", domain, number)
    known = store.db.execute("SELECT why FROM refused WHERE index_ = ?", (index,)).fetchone()
    if known is None or why is Reason.FORGOTTEN:
        store.db.execute("INSERT OR REPLACE INTO refused VALUES (?, ?)", (index, why.value))
    return known is None


def is_forgotten(store: MappingStore, domain: str, number: str) -> bool:
    """Whether the person was erased."""
    index = store.index("person", domain, number)
    row = store.db.execute("SELECT why FROM refused WHERE index_ = ?", (index,)).fetchone()
    return row is not None and row[0] == Reason.FORGOTTEN.value


def pseudonyms_at(store: MappingStore, index: bytes) -> list[str]:
    """Return the pseudonyms that stand, or stood, for a patient: today's first."""
    rows = store.db.execute(
        "SELECT pseudonym FROM mapped WHERE index_ = :index UNION ALL SELECT pseudonym FROM former"
        " WHERE index_ = :index",
        {"index": index},
    )
    return [pseudonym for (pseudonym,) in rows]


def studies_of(store: MappingStore, pseudonym: str) -> list[str]:
    """Return the pseudonymous studies that were made under a patient's pseudonym."""
    rows = store.db.execute(
        "SELECT study FROM study JOIN patient ON patient.number = study.patient WHERE pseudonym = ? ORDER BY study",
        (pseudonym,),
    )
    return [study for (study,) in rows]


def _withdraw(store: MappingStore, domain: str, number: str) -> int:
    index = store.index("person", domain, number)
    return store.db.execute(
        "DELETE FROM refused WHERE index_ = ? AND why = ?", (index, Reason.OPTED_OUT.value)
    ).rowcount
