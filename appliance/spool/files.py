"""Files that survive a power cut: written, synced, renamed, and the folder synced too. Nothing half-made stays behind.

Every durable step of the spool goes through ``fsync_file``, ``fsync_folder``, ``rename`` or ``unlink`` of this module.
Names that come from outside never reach it: callers pass paths made by ``layout``. Only regular files with one link
are opened.
"""

import errno
import fcntl
import itertools
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from appliance.errors import SpoolFull, Unsafe

FOLDER_MODE = 0o2770  # setgid: what is made inside belongs to the group that the services of this side share
FILE_MODE = 0o640  # another service of the same side reads it; only its writer writes
CHUNK = 1024 * 1024  # bytes copied at a time
_PART = ".part"  # hidden until it is whole
_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def full_is_told(path: Path) -> Iterator[None]:
    """Turn a write refused for want of space or quota into SpoolFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise SpoolFull(
                f"The file system of {path.parent} is full. What was being written is not kept; the sender may send it"
                " again. Free space there or lower spool.reserve_gb."
            ) from error
        raise


def free_bytes(path: Path) -> int:
    """Return how many bytes the file system of ``path`` has for us; 0 also when it has no inode left."""
    found = os.statvfs(path)
    if found.f_files and not found.f_favail:
        return 0
    return found.f_bavail * found.f_frsize


def fsync_file(fd: int) -> None:
    """Make the bytes of an open file durable."""
    os.fsync(fd)


def fsync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable: without it a name may be gone after a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def rename(source: Path, target: Path) -> None:
    """Rename; not durable before ``fsync_folder``."""
    source.rename(target)


def unlink(path: Path) -> bool:
    """Remove the name if it is there; return whether it was."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def rename_durably(source: Path, target: Path) -> None:
    """Rename within a file system so that it survives a power cut: both folders are synced, the new name first."""
    rename(source, target)
    fsync_folder(target.parent)
    if source.parent != target.parent:
        fsync_folder(source.parent)


def put_durably(body: BinaryIO, target: Path) -> int:
    """Write ``body`` to ``target`` so that it survives a power cut; return the bytes written.

    On return the bytes *and the name* are on disk; what ``target`` was before is replaced as a whole. On any exception
    ``target`` is as it was and nothing is left beside it.

    Raises SpoolFull when there is no space; OSError otherwise.
    """
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_PART}")
    with full_is_told(target):
        fd = _create(part)
        try:
            with os.fdopen(fd, "wb") as file:
                shutil.copyfileobj(body, file, CHUNK)
                file.flush()
                fsync_file(file.fileno())
                size = file.tell()
            rename(part, target)
        except BaseException:
            unlink(part)
            raise
        fsync_folder(target.parent)
    return size


def nameless(folder: Path) -> BinaryIO:
    """Return a new file of the file system of ``folder`` that no name leads to: it is gone when its process is.

    For what is worked on and kept by nobody. Raises OSError, as its writes do, when the disk is full.
    """
    return tempfile.TemporaryFile(dir=folder)  # closed by whoever asked for it


def is_part(path: Path) -> bool:
    """Whether ``path`` is what ``put_durably`` leaves when it is killed."""
    return path.name.startswith(".") and path.suffix == _PART


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file with one link for reading; links, FIFOs and devices are not followed.

    Raises Unsafe for anything else; FileNotFoundError and other OSErrors as they come.
    """
    try:
        # Not blocking: a FIFO without a writer would hold us for ever, before its kind is known.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link; a socket or device without a driver
            raise Unsafe(
                f"{path.parent} holds a link or special file where an image should be; not followed."
            ) from error
        raise
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(fd)
        raise Unsafe(f"{path.parent} holds a link or special file where an image should be; not followed.")
    return os.fdopen(fd, "rb")


def is_regular(path: Path) -> bool:
    """Whether a regular file with one link is at ``path``, not followed; False also when nothing is there."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def make_folder(folder: Path, *, sync: bool = True) -> None:
    """Make ``folder`` (and its parents) with the mode that both users of a side need; leave an existing one as it is.

    sync  make the name durable too; False if the caller does, once for many
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    with suppress(FileExistsError):  # another service was faster
        folder.mkdir(mode=0o770)
        share(folder)
        if sync:
            fsync_folder(folder.parent)


def share(folder: Path | int) -> None:
    """Give a folder just made (or a descriptor of it) FOLDER_MODE, if the umask or its parent did not let it have it.

    Under a setgid parent it has it from the start, and must: a unit with RestrictSUIDSGID=yes may set no such bit.
    """
    if stat.S_IMODE(os.stat(folder).st_mode) != FOLDER_MODE:  # noqa: PTH116 - a descriptor too
        os.chmod(folder, FOLDER_MODE)  # noqa: PTH101


def _create(path: Path) -> int:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    os.fchmod(fd, FILE_MODE)  # the umask may have taken the group's right to read
    return fd


class LockedFolder:
    """A folder ``<role>-<nonce>`` of this process alone, locked while it lives, removed with what is in it when closed.

    On opening, the folders beside it that nobody holds locked (their process died) are swept: what is in them was
    answered to nobody.
    """

    def __init__(self, root: Path, role: str) -> None:
        make_folder(root)
        self.folder, self._lock = _locked(root, role)
        sweep(root)

    def close(self) -> None:
        """Remove the folder with everything in it and let go of the lock. May be called twice."""
        if self._lock < 0:
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
        self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def sweep(root: Path) -> int:
    """Remove the folders in ``root`` that no process holds locked; return how many were removed."""
    swept = 0
    for folder in sorted(root.iterdir()):
        lock = _try_lock(folder)
        if lock is None:
            continue
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
        swept += 1
    return swept


def _locked(root: Path, role: str) -> tuple[Path, int]:
    while True:
        folder = root / f"{role}-{secrets.token_hex(6)}"
        folder.mkdir(mode=0o770)
        lock = _try_lock(folder)
        # A sweeper may have come between mkdir and lock: then the name is gone, or it holds the lock and removes it.
        if lock is not None:
            share(lock)  # not by name: it may be gone
            if folder.is_dir():
                return folder, lock
            os.close(lock)


def _try_lock(folder: Path) -> int | None:
    """Return a descriptor that holds the lock, or None: held by another, or no folder."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


class Receiving(LockedFolder):
    """Where one process writes what is not yet received. Drafts may be begun and kept from many threads.

    target_of      spool id -> path of the received file, on the same file system, its folder existing
    reserve_bytes  below this much free space no draft is begun
    """

    def __init__(self, folder_root: Path, role: str, reserve_bytes: int, target_of: Callable[[str], Path]) -> None:
        super().__init__(folder_root, role)
        self._reserve = reserve_bytes
        self._target_of = target_of
        self._numbers = itertools.count(1)

    @property
    def has_room(self) -> bool:
        """Whether the file system has more than the reserve free."""
        return free_bytes(self.folder) > self._reserve

    def draft(self) -> "Draft":
        """Begin a file. Raises SpoolFull when less than the reserve is free, so that the sender may retry."""
        if not self.has_room:
            raise SpoolFull(
                f"Less than spool.reserve_gb is free on the file system of {self.folder.parent.parent}. Senders are"
                " told to retry later; nothing that was acknowledged is lost. Free space, or lower the reserve."
            )
        path = self.folder / f"{next(self._numbers)}.part"
        with full_is_told(path):
            return Draft(path, _create(path), self._target_of)


class Draft:
    """A file being received. Ends by ``keep`` or ``drop``; as a context manager it drops what was not kept.

    file  unbuffered, for writing; ``fd`` is its descriptor. ``size`` counts what went through ``write``.
    """

    def __init__(self, path: Path, fd: int, target_of: Callable[[str], Path]) -> None:
        self.path = path
        self.file = os.fdopen(fd, "wb", buffering=0)
        self.size = 0
        self._target_of = target_of

    @property
    def fd(self) -> int:
        """The descriptor, for system calls."""
        return self.file.fileno()

    def write(self, body: bytes | bytearray | memoryview) -> None:
        """Write all of ``body``. Raises SpoolFull when there is no space."""
        with full_is_told(self.path):
            rest = memoryview(body)
            while rest:
                written = self.file.write(rest)
                self.size += written
                rest = rest[written:]

    def keep(self, spool_id: str) -> Path:
        """Make it the received file of ``spool_id``; on return bytes and name are on disk.

        On any exception the draft is gone and no received file is left. Raises SpoolFull when there is no space,
        FileExistsError when that id has a file already.
        """
        target = self._target_of(spool_id)
        try:
            with full_is_told(self.path):
                fsync_file(self.fd)
                self.file.close()
                if target.exists():  # rename would replace it without a word
                    raise FileExistsError(errno.EEXIST, "the id has a file already", str(target))
                rename(self.path, target)
        except BaseException:
            self.drop()
            raise
        try:
            fsync_folder(target.parent)
        except BaseException:
            unlink(target)  # no Success will be answered, so it must not come back as a file without a row
            raise
        return target

    def drop(self) -> None:
        """Remove it. May be called twice, and after ``keep`` does nothing."""
        self.file.close()
        unlink(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.drop()
