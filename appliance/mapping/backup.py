"""Backups of the mapping with its key, encrypted to the hospital's public key.

A backup is an age file (age-encryption.org/v1) that holds a tar of ``README.txt``, ``pseudonym.key`` (hexadecimal) and
``mapping.db``. Any age program opens it with the hospital's private key: ``age -d -i KEY FILE | tar x``. That private
key is nowhere on this machine.

It is made while services go on, by SQLite's own means, and read again before it counts: beside the hospital's key it is
encrypted to one that lives for this moment only, in memory.
"""

import fcntl
import io
import logging
import os
import shutil
import sqlite3
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import pyrage  # type: ignore[import-untyped]  # pyrage 1.4 has no py.typed; its stubs are a package of their own

from appliance.errors import RequestRefused
from appliance.mapping.store import MappingStore

log = logging.getLogger(__name__)

KEY_NAME, STORE_NAME = "pseudonym.key", "mapping.db"
_SCRATCH = "backup-"  # a folder beside the store
MOST_BYTES = 1 << 40  # of a store in a backup

_README = """The mapping of one appliance (mapping.db, values encrypted) and its pseudonym key (pseudonym.key).
Together they tell who is behind every pseudonym. To put them back: appliance mapping restore FILE --identity KEY
"""


def backup(store: MappingStore, key: bytes, recipient: str, target: Path) -> str:
    """Write a verified backup to ``target``; return the SHA-256 (hex) of the file.

    recipient  public key of the hospital: "age1…"
    What a backup left that was killed, a copy of the store, goes first.
    Raises RequestRefused if that is no public key, if ``target`` exists or its folder does not, if the store is not
    sound, or if another backup is being made.
    """
    try:
        hospital = pyrage.x25519.Recipient.from_str(recipient.strip())
    except pyrage.RecipientError:
        raise RequestRefused(
            "This is no public key for a backup; nothing was written. It begins age1 and is made with: age-keygen"
        ) from None
    if target.exists():
        raise RequestRefused(f"{target} is there already; nothing was written. Name another file.")
    if not target.parent.is_dir():
        raise RequestRefused(f"The folder {target.parent} is not there; nothing was written. Make it, or mount it.")
    once = pyrage.x25519.Identity.generate()
    part = target.with_name(target.name + ".part")
    with _copied(store) as copy:
        digest = _digest(copy)
        part.unlink(missing_ok=True)  # of a backup that was killed: no other is being made
        try:
            with _private(part) as file:
                with _piped(lambda pipe: _pack(pipe, key, copy)) as packed:
                    pyrage.encrypt_io(packed, file, [hospital, once.to_public()])
                file.flush()
                os.fsync(file.fileno())
            with tempfile.TemporaryDirectory(dir=copy.parent) as folder:
                again_key, again = unpack(part, str(once), Path(folder))
                if again_key != key or _digest(again) != digest:
                    raise RequestRefused(f"The backup could not be read again as it was written to {target.parent}.")
            part.rename(target)
        finally:
            part.unlink(missing_ok=True)
    _sync(target.parent)
    return _digest(target)


def unpack(file: Path, identity: str, folder: Path) -> tuple[bytes, Path]:
    """Return key and store of a backup, the store as a file in ``folder``.

    identity  private key: "AGE-SECRET-KEY-1…"
    Raises RequestRefused if it is none, not the right one, or the file is no whole backup.
    """
    try:
        known = pyrage.x25519.Identity.from_str(identity.strip())
    except pyrage.IdentityError:
        raise RequestRefused(
            "This is no private key of a backup; nothing was restored. It begins AGE-SECRET-KEY-1."
        ) from None
    store = folder / STORE_NAME
    keys: list[bytes] = []
    try:
        with (
            file.open("rb") as sealed,
            _piped(lambda pipe: pyrage.decrypt_io(sealed, pipe, [known])) as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            for member in tar:
                body = tar.extractfile(member) if member.isreg() and member.size <= MOST_BYTES else None
                if body is not None and member.name == KEY_NAME:
                    keys.append(bytes.fromhex(body.read(4096).decode("ascii")))
                elif body is not None and member.name == STORE_NAME:
                    with _private(store) as target:
                        shutil.copyfileobj(body, target, 1 << 20)
    except (pyrage.DecryptError, tarfile.TarError, ValueError, EOFError):
        raise RequestRefused(
            f"{file} cannot be opened with this private key, or is no whole backup; nothing was restored."
        ) from None
    if not keys or not store.exists():
        raise RequestRefused(f"{file} is no backup of a mapping; nothing was restored.")
    return keys[0], store


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
def _copied(store: MappingStore) -> Iterator[Path]:
    """A sound copy of the store as it is now, beside it: values are encrypted in it as in the store."""
    with _alone(store.path.parent), tempfile.TemporaryDirectory(dir=store.path.parent, prefix=_SCRATCH) as folder:
        copy = Path(folder) / STORE_NAME
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
        yield copy


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
        for left in folder.glob(f"{_SCRATCH}*"):
            try:
                shutil.rmtree(left)
            except OSError:  # another user's: no reason for having no backup
                log.warning("a copy of the mapping that a killed backup left: remove it", extra={"file": str(left)})
        yield
    finally:
        os.close(lock)


def _pack(pipe: BinaryIO, key: bytes, copy: Path) -> None:
    with tarfile.open(fileobj=pipe, mode="w|") as tar:
        for name, body in (("README.txt", _README.encode()), (KEY_NAME, key.hex().encode("ascii") + b"\n")):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(body), 0o600
            tar.addfile(member, io.BytesIO(body))
        member = tarfile.TarInfo(STORE_NAME)
        member.size, member.mode = copy.stat().st_size, 0o600
        with copy.open("rb") as file:
            tar.addfile(member, file)


@contextmanager
def _piped(write: Callable[[BinaryIO], object]) -> Iterator[BinaryIO]:
    """What ``write`` writes, as something to read: neither key nor store touches the disk in clear on the way."""
    out, into = os.pipe()
    raised: list[BaseException] = []

    def run() -> None:
        try:
            with os.fdopen(into, "wb") as pipe:
                write(pipe)
        except (OSError, ValueError, pyrage.DecryptError, tarfile.TarError) as error:
            raised.append(error)

    thread = threading.Thread(target=run, name="backup")
    thread.start()
    with os.fdopen(out, "rb") as reader:
        try:
            yield reader
        finally:
            while reader.read(1 << 20):  # whoever reads may stop before the end; the other side must not wait for ever
                pass
            thread.join()
    if raised:
        raise raised[0]


def _private(path: Path) -> BinaryIO:
    """Make a file that only its owner may read; FileExistsError if it is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _digest(file: Path) -> str:
    digest = sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
