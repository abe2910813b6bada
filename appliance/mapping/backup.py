"""Backups of the mapping with its key, encrypted to the hospital's public keys (``sealed``).

A backup holds ``README.txt``, ``pseudonym.key`` (hexadecimal) and ``mapping.db``. It is made while services go on, by
SQLite's own means.
"""

import fcntl
import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from appliance.errors import RequestRefused
from appliance.mapping.sealed import Member, seal, unseal
from appliance.mapping.store import MappingStore

log = logging.getLogger(__name__)

KEY_NAME, STORE_NAME = "pseudonym.key", "mapping.db"
_SCRATCH = "backup-"  # a folder beside the store

_README = """The mapping of one appliance (mapping.db, values encrypted) and its pseudonym key (pseudonym.key).
Together they tell who is behind every pseudonym. To put them back: appliance mapping restore FILE --identity KEY
"""


def backup(store: MappingStore, key: bytes, recipients: Sequence[str], target: Path) -> str:
    """Write a verified backup to ``target``; return the SHA-256 (hex) of the file.

    recipients  public keys of the hospital: "age1…"
    What a backup left that was killed, a copy of the store, goes first.
    Raises RequestRefused if one is no public key, if ``target`` exists or its folder does not, if the store is not
    sound, or if another backup is being made.
    """
    with scratch(store.path.parent) as folder:
        return seal([Member("README.txt", _README.encode()), *members(store, key, folder)], recipients, target)


def members(store: MappingStore, key: bytes, folder: Path) -> list[Member]:
    """Return the key, and a sound copy of the store as it is now, made in ``folder``: its values stay encrypted."""
    copy = folder / STORE_NAME
    target = sqlite3.connect(copy)
    try:
        store.db.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
    finally:
        target.close()
    if not is_sound(copy):
        raise RequestRefused(
            f"The mapping {store.path} is damaged, so no backup was made. Restore the newest good one: "
            "'appliance mapping restore'."
        )
    return [Member(KEY_NAME, key.hex().encode("ascii") + b"\n"), Member(STORE_NAME, copy)]


def unpack(file: Path, identity: str, folder: Path) -> tuple[bytes, Path]:
    """Return key and store of a backup, the store as a file in ``folder``.

    identity  private key: "AGE-SECRET-KEY-1…"
    Raises RequestRefused if it is none, not the right one, or the file is no whole backup.
    """
    return key_and_store(file, unseal(file, identity, folder))


def key_and_store(file: Path, unsealed: dict[str, Path]) -> tuple[bytes, Path]:
    """Return them of what was in ``file``; raises RequestRefused if they are not there."""
    key, store = unsealed.get(KEY_NAME), unsealed.get(STORE_NAME)
    if key is not None and store is not None:
        with suppress(ValueError):
            return bytes.fromhex(key.read_text(encoding="ascii")), store
    raise RequestRefused(f"{file} is no backup of a mapping; nothing was restored.")


def is_sound(store: Path) -> bool:
    """Whether SQLite finds nothing wrong with a store's file."""
    with suppress(sqlite3.DatabaseError):
        db = sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            return bool(db.execute("PRAGMA integrity_check(1)").fetchone() == ("ok",))
        finally:
            db.close()
    return False


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder of one's own beside the store, for the time of a backup. Raises RequestRefused while another is made."""
    with _alone(folder), tempfile.TemporaryDirectory(dir=folder, prefix=_SCRATCH) as own:
        yield Path(own)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let no other backup be made meanwhile, and remove what killed ones left: no copy may outlive an erasure."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RequestRefused(
                "Another backup is being made; nothing was written. Wait until it has ended."
            ) from None
        sweep(folder, _SCRATCH)
        yield
    finally:
        os.close(lock)


def sweep(folder: Path, prefix: str) -> None:
    """Remove the folders of this prefix that a killed command left: copies of the mapping, and of its key."""
    for left in folder.glob(f"{prefix}*"):
        try:
            shutil.rmtree(left)
        except OSError:  # another user's: no reason for having no backup
            log.warning("a copy of the mapping that a killed command left: remove it", extra={"file": str(left)})
