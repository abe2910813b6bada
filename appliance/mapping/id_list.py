"""Importing an id list: whole or not at all, and nothing that left is changed unless somebody says so.

A patient who has a pseudonym already keeps it: images carry it. The list then counts as naming him, and the line is
told. With ``change`` the list's id counts from now on, and the former pseudonym still leads back to the patient.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from appliance.deid.outcome import Minted
from appliance.mapping.csv_list import Line, Problem
from appliance.mapping.place import Conflicts, Place
from appliance.mapping.refused import is_forgotten
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import list_came

_MADE_HERE = re.compile(r"[A-Z2-7]{16}")  # what a pseudonym of the key ends with


@dataclass(slots=True)
class Imported:
    """What an import did, or would do. Line numbers and pseudonyms; neither names anybody.

    new, same    how many patients are new, and how many were known with this very id
    kept         (line, pseudonym): keeps it, the list's id is not used
    changed      (line, former pseudonym): has the list's id from now on
    resumed      how many instances went on
    forgotten    lines of patients who were erased: they are not taken
    no_issuer    how many lines name an issuer that does not count
    number       of this list in the store
    """

    new: int = 0
    same: int = 0
    kept: list[tuple[int, str]] = field(default_factory=list)
    changed: list[tuple[int, str]] = field(default_factory=list)
    forgotten: list[int] = field(default_factory=list)
    resumed: int = 0
    no_issuer: int = 0
    number: int = 0


def import_list(
    store: MappingStore,
    lines: Sequence[Line],
    place: Place,
    made: Callable[[str, str, str], str],
    *,
    change: bool,
    preview: bool,
) -> Imported:
    """Take a list into the store in one transaction; return what that did.

    made     scope, domain, number -> the pseudonym that the key makes
    change   patients who have another pseudonym get the list's id from now on
    preview  nothing is kept

    Raises Conflicts, and changes nothing, if one line cannot be taken.
    """
    problems = _contradictions(lines, place)
    done = Imported()
    with store.writing(keep=not preview):
        done.number = store.count_up("lists")
        for line in lines if not problems else ():
            scope, domain = place.scope_of(line), place.domain_of(line)
            done.no_issuer += bool(line.issuer) and line.issuer not in place.issuers
            listed = Minted("patient", domain, line.number, line.id, scope)
            reserved = _is_made_here(line.id, place.site) and line.id != made(scope, domain, line.number)
            what = "the trial id looks like a pseudonym that the key makes" if reserved else ""
            what = what or _take(store, listed, line.line, done, change=change)
            if what:
                problems.append(Problem(line.line, what))
        if problems:
            raise Conflicts(problems)
    return done


def _contradictions(lines: Sequence[Line], place: Place) -> list[Problem]:
    """Return where a list contradicts itself, or names what there is not."""
    problems = []
    ids: dict[tuple[str, str, str], tuple[int, str]] = {}
    holders: dict[str, tuple[int, tuple[str, str, str]]] = {}
    for line in lines:
        wrong = place.wrong(line)
        if wrong:
            problems.append(Problem(line.line, wrong))
            continue
        patient = (place.scope_of(line), place.domain_of(line), line.number)
        first, known = ids.setdefault(patient, (line.line, line.id))
        if known != line.id:
            problems.append(Problem(line.line, f"the MRN has another trial id in line {first}"))
            continue
        first, holder = holders.setdefault(line.id, (line.line, patient))
        if holder != patient:
            problems.append(Problem(line.line, f"the trial id is another patient's in line {first}"))
    return problems


def _take(store: MappingStore, listed: Minted, line: int, done: Imported, *, change: bool) -> str:
    """Take one line; return why it cannot be, "" if it was."""
    index = store.index("patient", listed.scope, listed.domain, listed.original)
    if _is_anothers(store, index, listed.pseudonym):
        return "the trial id is the pseudonym of another patient"
    if is_forgotten(store, listed.domain, listed.original):
        done.forgotten.append(line)
        return ""
    row = store.db.execute("SELECT pseudonym, unused, sealed FROM mapped WHERE index_ = ?", (index,)).fetchone()
    if row is None:
        _insert(store, index, listed, done.number)
        done.new += 1
    elif row[0] == listed.pseudonym:
        _name(store, index, done.number)
        done.same += 1
    elif change:
        _change(store, index, listed.pseudonym, row, done.number)
        done.changed.append((line, row[0]))
    else:
        _name(store, index, done.number)
        done.kept.append((line, row[0]))
    done.resumed += list_came(store.db, index)
    return ""


def _is_anothers(store: MappingStore, index: bytes, pseudonym: str) -> bool:
    rows = store.db.execute(
        "SELECT index_ FROM mapped WHERE pseudonym = :it AND kind = 'patient'"
        " UNION ALL SELECT index_ FROM former WHERE pseudonym = :it AND kind = 'patient'",
        {"it": pseudonym},
    )
    return any(holder != index for (holder,) in rows)


def _insert(store: MappingStore, index: bytes, listed: Minted, number: int) -> None:
    store.db.execute(
        "INSERT INTO mapped (index_, kind, pseudonym, sealed, listed, unused) VALUES (?, ?, ?, ?, ?, 1)",
        (index, listed.kind, listed.pseudonym, store.seal(index, listed), number),
    )


def _name(store: MappingStore, index: bytes, number: int) -> None:
    """A list names the patient; what stands for him stays."""
    store.db.execute("UPDATE mapped SET listed = ? WHERE index_ = ? AND listed = 0", (number, index))


def _change(store: MappingStore, index: bytes, pseudonym: str, row: tuple[str, int, bytes], number: int) -> None:
    before, unused, sealed = row
    store.db.execute("DELETE FROM former WHERE pseudonym = ? AND kind = 'patient'", (pseudonym,))
    if not unused:  # what left still carries it
        store.db.execute("INSERT INTO former VALUES (?, 'patient', ?, ?)", (before, index, sealed))
    store.db.execute(
        "UPDATE mapped SET pseudonym = ?, listed = ?, unused = 1 WHERE index_ = ?", (pseudonym, number, index)
    )


def _is_made_here(pseudonym: str, site: str) -> bool:
    prefix = f"{site}-"
    return pseudonym.startswith(prefix) and _MADE_HERE.fullmatch(pseudonym.removeprefix(prefix)) is not None
