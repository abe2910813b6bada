"""The store's file: how it is made, opened and held, so that nobody replaces it under somebody else's hands."""

import fcntl
import os
import sqlite3
from pathlib import Path
from typing import Final

from appliance.errors import RequestRefused

BUSY_S: Final = 30.0  # how long a writer waits for another process's transaction
CACHE_KB: Final = 64 * 1024  # pages kept by a connection: the upper levels of a large index
LOCK: Final = "mapping.lock"


def connect(path: Path) -> sqlite3.Connection:
    """Open the file to write: WAL, every commit on disk, what is deleted overwritten."""
    db = sqlite3.connect(path, isolation_level=None, timeout=BUSY_S)
    pragmas = ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF", "secure_delete=ON")
    for pragma in (*pragmas, f"cache_size=-{CACHE_KB}"):
        db.execute(f"PRAGMA {pragma}")
    return db


def hold(path: Path, how: int) -> int:
    """Return a descriptor that holds the store's lock (shared: in use; exclusive: being replaced).

    Raises RequestRefused while somebody else holds it the other way.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path.parent / LOCK, flags, 0o660)
    if os.fstat(descriptor).st_uid == os.geteuid():
        os.fchmod(descriptor, 0o660)  # whatever the umask says: an administrator may be the first to restore
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RequestRefused(
            f"The mapping {path} is in use, or being restored; nothing was changed. Stop the de-identify service and "
            "every other command that uses it, then try again: systemctl stop appliance-deidentify"
        ) from None
    return descriptor


def make_shared(path: Path) -> None:
    """Make folder (2770) and empty file (0660) before SQLite does: its -wal and -shm take the modes over.

    A second user of the group could not write otherwise.
    """
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o2770)
    for file in (path, path.parent / LOCK):
        try:
            handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o660)
        except FileExistsError:
            continue
        try:
            os.fchmod(handle, 0o660)  # whatever the umask says
        finally:
            os.close(handle)
