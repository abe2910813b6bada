"""Putting a backup back, or going on with what is there, after a store was lost or put back to an earlier state.

Pseudonyms that the key makes come back by themselves. What an older store cannot know are id lists, opt-outs and
erasures that came after it. How many those were the journal remembers (``lineage``), and until somebody says that they
are here again (``settle``), instances wait: those of patients whom the store does not know if id lists were lost,
all of them if refusals were lost.
"""

import fcntl
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.errors import CannotStart, RequestRefused
from appliance.mapping.backup import is_sound
from appliance.mapping.lineage import OWED_LISTS, OWED_REFUSALS, owed
from appliance.mapping.store import MappingStore, Standing
from appliance.mapping.store_file import hold


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to.

    lost_lists, lost_refusals  how many imports came after what was restored: to be done again, then ``settle``
    aside                      where the store that was there lies now; None if there was none
    """

    lost_lists: int
    lost_refusals: int
    aside: Path | None = None


def restore(path: Path, key: bytes, backup: Path, seen: Standing | None, now: float) -> Restored:
    """Put the unpacked store ``backup`` in the place of ``path``; the store that was there is kept beside it.

    seen  how far the journal saw the store; now: POSIX seconds
    Raises RequestRefused if the store that is there is newer, or is in use; CannotStart if the key is another's.
    """
    if not is_sound(backup):
        raise RequestRefused("The store in the backup is damaged; nothing was changed. Take another backup.")
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse_newer(path, key, backup, seen)
    with MappingStore(backup, key) as store:
        restored = _stamp(store, seen)
        store.db.execute("PRAGMA journal_mode=DELETE")  # one file, to be renamed whole
    descriptor = hold(path, fcntl.LOCK_EX)
    try:
        aside = _set_aside(path, now)
        backup.chmod(0o660)
        backup.rename(path)
        _sync(path.parent)
    finally:
        os.close(descriptor)
    return Restored(restored.lost_lists, restored.lost_refusals, aside)


def go_on(path: Path, key: bytes, seen: Standing | None) -> Restored:
    """Go on with the store that is there, or with an empty one: there is no newer backup."""
    with MappingStore(path, key, alone=True) as store:
        return _stamp(store, seen)


def settle(store: MappingStore) -> bool:
    """Everything that a restore lost was imported again, or is given up: nobody waits for it any more."""
    is_waited_for = bool(owed(store))
    with store.writing():
        store.put("owed", None)
    return is_waited_for


def _stamp(store: MappingStore, seen: Standing | None) -> Restored:
    """Make the store what the journal expects, and remember what it lost."""
    found = store.standing()
    if seen is None:
        return Restored(0, 0)
    lists, refusals = max(0, seen.lists - found.lists), max(0, seen.refusals - found.refusals)
    with store.writing():
        store.put("lineage", seen.lineage.encode("ascii"))
        for name, mine, known in (
            ("changes", found.changes, seen.changes),
            ("lists", found.lists, seen.lists),
            ("refusals", found.refusals, seen.refusals),
        ):
            store.put(name, b"%d" % max(mine, known))
        if refusals or owed(store) == OWED_REFUSALS:
            store.put("owed", OWED_REFUSALS)
        elif lists or owed(store):
            store.put("owed", OWED_LISTS)
        store.count_up("restored")
    return Restored(lists, refusals)


def refuse_newer(path: Path, key: bytes, backup: Path, seen: Standing | None) -> None:
    """Raise RequestRefused if the store that is there is newer than the backup, another site's, or in use."""
    if not path.exists():
        return
    try:
        with MappingStore(path, key, alone=True) as store:
            here, count = store.standing(), store.count()
    except CannotStart:
        return  # damaged, or made with another key: it is set aside, and nothing of it is lost
    with MappingStore(backup, key) as store:
        kept = store.standing()
    if here.lineage == kept.lineage and here.changes > kept.changes:
        raise RequestRefused(
            f"The mapping {path} is newer than the backup, which would lose what came since; nothing was changed. "
            "If the service refuses the mapping as older than what was forwarded, and there is no newer backup: "
            "'appliance mapping restore --as-is'."
        )
    if here.lineage != kept.lineage and count and (seen is None or seen.lineage == here.lineage):
        raise RequestRefused(
            f"The mapping {path} is in use at this site, and the backup is another one's; nothing was changed. "
            "If it is the right one all the same, move the mapping away first."
        )


def _set_aside(path: Path, now: float) -> Path | None:
    if not path.exists():
        return None
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = path.with_name(f"{path.name}.before-{moment}")
    for suffix in ("", "-wal", "-shm"):
        here = Path(f"{path}{suffix}")
        if here.exists():
            here.rename(f"{aside}{suffix}")
    return aside


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
