"""Putting a backup back, on a fresh host or where things were lost, while no service runs.

What is newer stays: rows of a journal or outbox that has any, a mapping that is ahead, an audit that goes on from the
backup's. What is replaced is set aside beside it. Images are in no backup: rows that wait for one which is not here
become QUARANTINED ``original-missing`` when the services start, and say that it has to be sent again.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.config import Config
from appliance.errors import CannotStart, RequestRefused
from appliance.mapping.backup import is_sound, key_and_store, sweep
from appliance.mapping.keys import key_in, key_place
from appliance.mapping.lineage import SEEN, from_text
from appliance.mapping.restore import Restored as MappingRestored
from appliance.mapping.restore import refuse_newer
from appliance.mapping.restore import restore as put_mapping_back
from appliance.mapping.sealed import private, sync, unseal
from appliance.mapping.store import MappingStore, Standing
from appliance.services.alone import Lock
from appliance.services.backup import AUDIT_NAME, databases
from appliance.spool import copies
from appliance.spool.journal import Journal
from appliance.spool.layout import Inside

OWNERS = (
    *("inside/inbox", "inside/deidentify", "inside/purge-inside", "inside/purge"),
    *("outside/forward", "outside/purge-outside"),
)
_SCRATCH = "restore-"
_MOST_AUDIT = 1 << 30  # bytes of an audit that is compared


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to.

    put, kept   names of the databases put in place, and of those that had rows and stayed
    aside       where what was there lies now
    key         where the pseudonym key was put; None if it was there already
    texts       where configuration and rules of the backup lie, to compare
    """

    mapping: MappingRestored
    put: tuple[str, ...]
    kept: tuple[str, ...]
    aside: tuple[Path, ...]
    key: Path | None
    texts: Path


def restore(config: Config, file: Path, identity: str, now: float) -> Restored:
    """Put back what is in a backup.

    identity  private key: "AGE-SECRET-KEY-1…"; now: POSIX seconds
    Raises RequestRefused, with nothing changed, if services run, the file is no whole backup, the key is another's, or
    the mapping that is here is newer.
    """
    moment = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    store = config.mapping_store
    store.parent.mkdir(parents=True, exist_ok=True)
    with _nobody_at_work(config.state), _scratch(store.parent) as scratch:
        found = unseal(file, identity, scratch)
        key, unpacked = key_and_store(file, found)
        for name, path in found.items():
            if name.endswith(".db") and not is_sound(path):
                raise RequestRefused(f"{name} in {file} is damaged; nothing was changed. Take another backup.")
        place, aside = _key_to_put(config, key), []
        here = {each: found[each.name] for each in databases(config.state) if each.name in found}
        put = {database: copy for database, copy in here.items() if copies.is_empty(database)}
        seen = _seen(Inside(config.state / "inside").database, found.get("journal.db"))
        if place is None:
            refuse_newer(store, key, unpacked, seen)
        # The key first and the mapping last: cut off in between, no service starts, and this can be done again.
        if place is not None:
            aside += [*_set_aside(store, moment), *_set_aside(place, moment)]  # an empty one, and its key
            _put_key(place, key)
        for database, copy in put.items():
            aside += [path for path in [copies.put(copy, database, moment)] if path is not None]
        if AUDIT_NAME in found:
            aside += _put_audit(found[AUDIT_NAME], config.state / "audit" / "audit.jsonl", moment)
        mapping = put_mapping_back(store, key, unpacked, seen, now)
        texts = _put_texts(found, config.state / f"restored-{moment}")
    names = tuple(sorted(each.name for each in put))
    kept = tuple(sorted(each.name for each in here if each not in put))
    aside += [mapping.aside] if mapping.aside is not None else []
    return Restored(mapping, names, kept, tuple(aside), place, texts)


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder of one's own beside the store; what a killed restore left goes first."""
    sweep(folder, _SCRATCH)
    with tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as own:
        yield Path(own)


@contextmanager
def _nobody_at_work(state: Path) -> Iterator[None]:
    """Hold the locks of all who own something; raises RequestRefused if one of them runs."""
    with ExitStack() as held:
        for owner in OWNERS:
            lock = Lock(state / f"{owner}.lock")
            if not lock.take():
                raise RequestRefused(
                    f"The service '{owner.partition('/')[2]}' runs; nothing was changed. Stop all of them, then try "
                    "again: systemctl stop appliance.target"
                )
            held.callback(lock.release)
        yield


def _key_to_put(config: Config, key: bytes) -> Path | None:
    """Return where the backup's key has to be put; None if it is there. Raises RequestRefused if another is in use."""
    place = key_place(config.mapping)
    if place is None:
        raise RequestRefused(
            "The configuration does not say where the pseudonym key lies (mapping.key_file); nothing was changed."
        )
    if not place.exists():
        return place
    mine = key_in(place.read_bytes(), place)
    if mine == key:
        return None
    if _is_unused(config, mine):
        return place
    raise RequestRefused(
        f"The backup is of another pseudonym key than the one in use here ({place}); nothing was changed. With it "
        "every patient would become a stranger. Look for the right backup, or put the right key in place."
    )


def _is_unused(config: Config, key: bytes) -> bool:
    """Whether nobody has a pseudonym by the key that is here, nor anything came: an installation just made."""
    if not all(copies.is_empty(each) for each in databases(config.state) if each.name in ("journal.db", "outbox.db")):
        return False
    if not config.mapping_store.exists():
        return True
    try:
        with MappingStore(config.mapping_store, key, alone=True) as store:
            return store.count() == 0
    except CannotStart:
        return False


def _seen(here: Path, in_backup: Path | None) -> Standing | None:
    """Return how far the journal that will be in force saw the mapping."""
    database = in_backup if in_backup is not None and copies.is_empty(here) else here
    journal = Journal.open_readonly(database)
    try:
        return from_text(journal.settings.get(SEEN))
    finally:
        journal.close()


def _set_aside(path: Path, moment: str) -> list[Path]:
    aside = []
    for suffix in ("", "-wal", "-shm"):
        here = Path(f"{path}{suffix}")
        if here.exists():
            aside.append(here.rename(f"{path}.before-{moment}{suffix}"))
    return aside


def _put_key(place: Path, key: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with private(place) as file:
        file.write(key.hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync(place.parent)


def _put_audit(copy: Path, audit: Path, moment: str) -> list[Path]:
    """Put the backup's audit in place unless the one that is here goes on from it."""
    size = copy.stat().st_size
    if audit.is_file() and audit.stat().st_size >= size and size <= _MOST_AUDIT:
        with audit.open("rb") as mine:
            if mine.read(size) == copy.read_bytes():
                return []
    audit.parent.mkdir(parents=True, exist_ok=True)
    aside = _set_aside(audit, moment)
    part = audit.with_name(f"{audit.name}.part")
    part.unlink(missing_ok=True)
    with private(part) as target, copy.open("rb") as source:
        os.fchmod(target.fileno(), 0o660)
        shutil.copyfileobj(source, target, 1 << 20)
        target.flush()
        os.fsync(target.fileno())
    part.rename(audit)
    sync(audit.parent)
    return aside


def _put_texts(found: dict[str, Path], folder: Path) -> Path:
    """Lay configuration and rules of the backup down beside, for a person to compare."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for name, path in found.items():
        kind, _, rest = name.partition("/")
        if kind in ("config", "rules") and rest:
            shutil.copyfile(path, folder / f"{kind}-{rest}")
    return folder
