"""A backup of everything but images: who is who, what came and went, what was decided, and how it was configured.

    README.txt                            what this is, and how it is put back
    pseudonym.key, mapping.db             who is behind every pseudonym (``mapping.backup``)
    journal.db, reports.db, outbox.db     what came, what was done to it, where it went
    commitments.db                        which modalities wait to be told
    audit/audit.jsonl                     who decided what
    config/…, rules/…                     the configuration and the rules in force; no password, no token

Made while services go on. The mapping is copied last, so that it is never older than what the journal saw of it.
"""

import fcntl
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.keeping import Backup
from appliance.mapping import backup as mapping_backup
from appliance.mapping.keys import load_key
from appliance.mapping.sealed import Member, seal
from appliance.mapping.store import MappingStore
from appliance.services import backups_kept
from appliance.spool import copies
from appliance.spool.files import free_bytes

log = logging.getLogger(__name__)

AUDIT_NAME = "audit/audit.jsonl"
MiB = 1024 * 1024

_README = """Everything of one appliance but its images: see docs/backup.md. Made {site}, {version}.
To put it back on a fresh host: ansible-playbook site.yml -e appliance_backup=FILE -e appliance_identity=KEYFILE,
or, with the services stopped: appliance backup restore FILE --identity KEYFILE
"""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made and read back; ``removed`` are older ones that need not be kept any more."""

    file: Path
    bytes: int
    sha256: str
    removed: tuple[Path, ...]


def wanted_of(config: Config) -> Backup:
    """Return how this site is backed up; raises RequestRefused if its configuration does not say."""
    if config.backup is None:
        raise RequestRefused(
            "The configuration says no word of backups, so none was made or looked at. Name folder and recipients "
            "under backup: 'appliance config example' shows how."
        )
    return config.backup


def make(config: Config, now: float, version: str) -> Made:
    """Make a backup, then remove what need not be kept.

    now  POSIX seconds, which name it
    Raises RequestRefused, with nothing written, if it cannot be made; CannotStart without the right key; OSError.
    """
    wanted = wanted_of(config)
    if not wanted.folder.is_dir():
        raise RequestRefused(f"The folder {wanted.folder} is not there; nothing was written. Make it, or mount it.")
    target = backups_kept.named(wanted.folder, config.site, now)
    key = load_key(config.mapping, make=False)
    store_path = config.mapping_store
    if not store_path.is_file():
        raise RequestRefused(f"There is no mapping at {store_path} yet, so there is nothing to back up.")
    with MappingStore(store_path, key) as store, mapping_backup.scratch(store_path.parent) as folder:
        _demand_room(config, store_path.parent)
        members = [
            Member("README.txt", _README.format(site=config.site, version=version).encode()),
            *_databases(config, folder),
            *_texts(config),
            *mapping_backup.members(store, key, folder),
        ]
        sha256 = seal(members, wanted.recipients, target)
    backups_kept.remember_digest(target, sha256)
    removed = backups_kept.too_many(backups_kept.kept(wanted.folder, config.site), wanted)
    for each in removed:
        backups_kept.remove(each)
    log.info("backup made", extra={"bytes": target.stat().st_size, "files": len(members), "count": len(removed)})
    return Made(target, target.stat().st_size, sha256, tuple(each.file for each in removed))


def databases(state: Path) -> Iterator[Path]:
    """Yield where the databases of both sides lie, whether they are there or not."""
    for side, names in copies.NAMES.items():
        yield from (state / side / name for name in names)


def _databases(config: Config, folder: Path) -> Iterator[Member]:
    for database in databases(config.state):
        target = folder / database.name
        if copies.copy(database, target):
            yield Member(database.name, target)
        elif database.is_file():
            # Rows are made from files again; what nobody else has is the mapping, which must not wait for that.
            log.error("a database is damaged and not in the backup", extra={"file": str(database)})


def _texts(config: Config) -> Iterator[Member]:
    audit = config.state / "audit" / "audit.jsonl"
    if audit.is_file():
        with audit.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)  # whole lines only
            yield Member(AUDIT_NAME, file.read())
    yield Member(f"config/{_plain(config.file)}", config.file.read_bytes())
    rules = {"": config.rules, **{f"{name}-": each.rules for name, each in config.projects.items()}}
    for of, path in rules.items():
        if path is not None:
            yield Member(f"rules/{of}{_plain(path)}", path.read_bytes())


def _demand_room(config: Config, folder: Path) -> None:
    """Raise RequestRefused if the copies would take the room that receiving needs."""
    needed = sum(each.stat().st_size for each in (*databases(config.state), config.mapping_store) if each.is_file())
    free = free_bytes(folder)
    if free < needed + config.spool.reserve_bytes:
        raise RequestRefused(
            f"Copies of the databases take {needed // MiB} MiB, and only {free // MiB} MiB are free beside {folder}, "
            "of which spool.reserve_gb is kept for receiving; no backup was made, and images go on. Make room there."
        )


def _plain(path: Path) -> str:
    """The name of a file as a backup may hold it."""
    name = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in path.name)
    return f"_{name}"[-100:] if name.startswith(".") else name[-100:]


__all__ = ["Made", "databases", "make", "wanted_of"]
