"""Rotating the store's data key: every entry is sealed anew, in steps, while services go on.

The pseudonym key is for ever and stays. While a rotation runs, both data keys lie in the store (wrapped), and what is
new is sealed with the new one; one that was interrupted is taken up where it was.
"""

from appliance.mapping.cipher import Tampered
from appliance.mapping.store import MappingStore

BATCH = 2000  # entries in a transaction


def rotate(store: MappingStore) -> int:
    """Seal every entry with a new data key and let go of the one before; return how many were sealed anew."""
    with store.writing():
        if store.about("data-key-before") is None:
            store.put("data-key-before", store.about("data-key"))
            store.put("data-key", store.new_wrapped_key())
            store.count_up("epoch")
    count = _sealed_anew(store, "mapped", "index_") + _sealed_anew(store, "former", "pseudonym")
    with store.writing():
        store.put("data-key-before", None)
        store.count_up("epoch")
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return count


def _sealed_anew(store: MappingStore, table: str, key: str) -> int:
    count = 0
    after: bytes | str = b"" if key == "index_" else ""
    while True:
        with store.writing() as db:
            rows = db.execute(
                f"SELECT {key}, index_, sealed FROM {table} WHERE {key} > ? ORDER BY {key} LIMIT ?",  # noqa: S608 - ours
                (after, BATCH),
            ).fetchall()
            old = [(index, sealed) for _, index, sealed in rows if not _is_new(store, index, sealed)]
            db.executemany(
                f"UPDATE {table} SET sealed = ? WHERE index_ = ? AND sealed = ?",  # noqa: S608 - ours
                [(store.sealed(index, store.opened(index, sealed)), index, sealed) for index, sealed in old],
            )
        count += len(old)
        if len(rows) < BATCH:
            return count
        after = rows[-1][0]


def _is_new(store: MappingStore, index: bytes, sealed: bytes) -> bool:
    try:
        store.cipher.open(sealed, index)
    except Tampered:
        return False
    return True
