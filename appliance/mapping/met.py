"""Which patients were met in which study: two Patient IDs in one study are one mistake, or two patients in one.

Kept as keyed hashes of the original Study Instance UID and of the person, so that neither an id list nor rules that
name a study anew hide it, and so that the tables tell nobody anything without the key.
"""

from collections.abc import Iterable

from appliance.mapping.store import MappingStore, Met, index_of


def met_of(key: bytes, study: str, domain: str, number: str) -> Met:
    """Return the patient (domain, stripped number) in a study; ``key`` is the index's (``store.index_key``)."""
    return Met(index_of(key, "study", study), index_of(key, "person", domain, number))


def note(store: MappingStore, met: Met) -> None:
    """Note durably who was met; costs a commit only if it is new."""
    known = store.db.execute("SELECT 1 FROM met WHERE study = ? AND person = ?", (met.study, met.person)).fetchone()
    if known is None:
        store.commit((), met=(met,))


def others(store: MappingStore, met: Met) -> int:
    """Return how many other patients were met in the study."""
    row = store.db.execute("SELECT count(*) FROM met WHERE study = ? AND person <> ?", (met.study, met.person))
    return int(row.fetchone()[0])


def names_of(store: MappingStore, study: bytes) -> list[str]:
    """Return the Study Instance UIDs that results of this study have: several if rules or projects differed."""
    return [uid for (uid,) in store.db.execute("SELECT uid FROM left_as WHERE study = ? ORDER BY uid", (study,))]


def studies_with(store: MappingStore, person: bytes) -> list[bytes]:
    """Return the studies that a person was met in. Its cost grows with the store: it is looked through."""
    return [study for (study,) in store.db.execute("SELECT study FROM met WHERE person = ?", (person,))]


def forget_in(store: MappingStore, person: bytes, studies: Iterable[bytes]) -> None:
    """Forget that a person was met in these studies, and studies that nobody is left in; within ``writing``."""
    for study in studies:
        store.db.execute("DELETE FROM met WHERE study = ? AND person = ?", (study, person))
        store.db.execute(
            "DELETE FROM left_as WHERE study = ? AND NOT EXISTS (SELECT 1 FROM met WHERE study = ?)", (study, study)
        )
