"""Who waits for an id list, by patient, so that an arriving list finds exactly those and nobody searches a backlog.

Order: an instance is noted here before it becomes HELD, and forgotten here after it was released.
"""

import sqlite3
from collections.abc import Sequence

from appliance.mapping.store import MappingStore


def wait_for_list(store: MappingStore, spool_id: str, scope: str, domain: str, number: str) -> None:
    """Note durably that an instance waits for the list that names its patient. May be done twice.

    If the list has come in the meantime, or the patient is refused for good, it is resumed at once.
    """
    index = store.index("patient", scope, domain, number)
    person = store.index("person", domain, number)
    with store.writing() as db:
        (is_known,) = db.execute(
            "SELECT EXISTS (SELECT 1 FROM mapped WHERE index_ = ? AND listed > 0)"
            " OR EXISTS (SELECT 1 FROM refused WHERE index_ = ?)",
            (index, person),
        ).fetchone()
        if is_known:
            db.execute("INSERT OR IGNORE INTO came VALUES (?)", (spool_id,))
        else:
            db.execute("INSERT OR IGNORE INTO awaited VALUES (?, ?)", (index, spool_id))


def list_came(db: sqlite3.Connection, index: bytes) -> int:
    """Resume what waits for this patient, within a transaction; return how many."""
    db.execute(
        "INSERT OR IGNORE INTO came SELECT spool_id FROM awaited WHERE index_ = ?",
        (index,),
    )
    return db.execute("DELETE FROM awaited WHERE index_ = ?", (index,)).rowcount


def to_resume(store: MappingStore, limit: int) -> list[str]:
    """Return at most ``limit`` instances whose list has come. Its cost does not depend on how many wait."""
    return [spool_id for (spool_id,) in store.db.execute("SELECT spool_id FROM came LIMIT ?", (limit,))]


def resumed(store: MappingStore, ids: Sequence[str]) -> None:
    """Forget instances that were resumed."""
    with store.writing() as db:
        db.executemany("DELETE FROM came WHERE spool_id = ?", [(spool_id,) for spool_id in ids])
