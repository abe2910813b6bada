"""A folder that others write to, touched without ever following a link.

A clinic may swap a folder for a link between our looking and our opening. So every step down is opened for itself
(``O_NOFOLLOW``), relative to the folder above it, and only regular files with one name are read.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from appliance.errors import Unsafe
from appliance.intake.refusals import NotTaken, Refusal

Parts = tuple[str, ...]  # a path below the root, one name a part

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# NONBLOCK: a FIFO that slips in after the look must not stop us for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Beneath:
    """What may be done below ``root``; every path is given as parts, none of which may be ``.``, ``..`` or hold ``/``.

    Raises OSError as the system says, and Unsafe for a part that is no plain name.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @contextmanager
    def folder(self, parts: Parts = (), *, make: bool = False) -> Iterator[int]:
        """Yield a descriptor of the folder; ``make`` creates what is missing, with the mode and group of its parent."""
        descriptor = os.open(self.root, _FOLDER)
        try:
            for part in parts:
                below = _step(descriptor, part, make=make)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def open(self, parts: Parts) -> BinaryIO:
        """Open a regular file with one name for reading; raises NotTaken for anything else that lies there."""
        with self.folder(parts[:-1]) as folder:
            name = _plain(parts[-1])
            # The look before the opening: merely opening a device can have effects (a tape rewinds).
            _insist_on_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
            descriptor = os.open(name, _FILE, dir_fd=folder)
        try:
            _insist_on_regular(os.fstat(descriptor))
            return cast(BinaryIO, os.fdopen(descriptor, "rb"))
        except BaseException:
            os.close(descriptor)
            raise

    def state(self, parts: Parts) -> os.stat_result:
        """Return what the system says of what lies there now, not followed."""
        with self.folder(parts[:-1]) as folder:
            return os.stat(_plain(parts[-1]), dir_fd=folder, follow_symlinks=False)

    def move(self, parts: Parts, target: Parts) -> Parts:
        """Move a file to ``target``, making folders as needed; return where it is now.

        A name that is taken gets a suffix before its extension; nothing is ever overwritten.
        """
        with self.folder(parts[:-1]) as source, self.folder(target[:-1], make=True) as folder:
            name = _free_name(folder, _plain(target[-1]))
            os.rename(_plain(parts[-1]), name, src_dir_fd=source, dst_dir_fd=folder)
        return (*target[:-1], name)

    def remove(self, parts: Parts) -> None:
        """Remove a file; it may be gone already."""
        with suppress(FileNotFoundError), self.folder(parts[:-1]) as folder:
            os.unlink(_plain(parts[-1]), dir_fd=folder)

    def remove_folder(self, parts: Parts) -> bool:
        """Remove a folder if it is empty; return whether it is gone."""
        try:
            with self.folder(parts[:-1]) as folder:
                os.rmdir(_plain(parts[-1]), dir_fd=folder)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def put(self, parts: Parts, body: bytes) -> None:
        """Write a small file so that a reader sees the old one or the new one, never half of one."""
        with self.folder(parts[:-1], make=True) as folder:
            name = _plain(parts[-1])
            making = f".{name[:80]}.making"
            with suppress(FileNotFoundError):
                os.unlink(making, dir_fd=folder)
            descriptor = os.open(making, _NEW, 0o600, dir_fd=folder)
            with os.fdopen(descriptor, "wb") as file:
                _inherit(descriptor, folder, mask=0o666)
                file.write(body)
                file.flush()
                os.fsync(descriptor)
            os.rename(making, name, src_dir_fd=folder, dst_dir_fd=folder)

    def append(self, parts: Parts) -> BinaryIO:
        """Open a file of ours for appending, unbuffered; made if missing. NotTaken if something else lies there."""
        with self.folder(parts[:-1], make=True) as folder:
            name = _plain(parts[-1])
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            _insist_on_regular(os.fstat(descriptor))
            return cast(BinaryIO, os.fdopen(descriptor, "ab", buffering=0))
        except BaseException:
            os.close(descriptor)
            raise

    def read(self, parts: Parts, limit: int) -> bytes | None:
        """Return the bytes of a small file of ours; None if it is gone, too large, or another thing of that name."""
        try:
            with self.open(parts) as file:
                body = file.read(limit + 1)
        except (FileNotFoundError, IsADirectoryError, NotTaken):
            return None
        return body if len(body) <= limit else None

    def names(self, parts: Parts = ()) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""
        try:
            with self.folder(parts) as folder:
                return sorted(os.listdir(folder))  # noqa: PTH208 - a descriptor, no path
        except FileNotFoundError:
            return []

    def writable(self, parts: Parts) -> bool:
        """Whether files can be moved out of this folder by us."""
        with self.folder(parts) as folder:
            return os.access(".", os.W_OK | os.X_OK, dir_fd=folder, effective_ids=True)


def _plain(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Unsafe("A name that is no plain file name was given; nothing was touched.")
    return name


def _step(above: int, part: str, *, make: bool) -> int:
    name = _plain(part)
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        # Nearly the mode that it is to have, setgid too by its parent: a unit with RestrictSUIDSGID=yes may not set it.
        os.mkdir(name, os.fstat(above).st_mode & 0o770, dir_fd=above)
    below = os.open(name, _FOLDER, dir_fd=above)
    try:
        _inherit(below, above, mask=0o7777)
    except BaseException:
        os.close(below)
        raise
    return below


def _inherit(child: int, parent: int, *, mask: int) -> None:
    """Give ``child`` its parent's group, where we may, and the parent's mode, as far as ``mask`` lets."""
    state = os.fstat(parent)
    with suppress(PermissionError):
        if os.fstat(child).st_gid != state.st_gid:
            os.fchown(child, -1, state.st_gid)
    wanted = stat.S_IMODE(state.st_mode) & mask
    if stat.S_IMODE(os.fstat(child).st_mode) != wanted:
        with suppress(PermissionError):  # a share may not know modes
            os.fchmod(child, wanted)


def _insist_on_regular(state: os.stat_result) -> None:
    if stat.S_ISLNK(state.st_mode):
        raise NotTaken(Refusal.LINK)
    if not stat.S_ISREG(state.st_mode):
        raise NotTaken(Refusal.SPECIAL)
    if state.st_nlink != 1:
        raise NotTaken(Refusal.HARD_LINK)


def _free_name(folder: int, name: str) -> str:
    """Return ``name``, or ``name (2)`` and so on before the extension, whichever is free."""
    candidate, number = name, 1
    while _exists(folder, candidate):
        number += 1
        stem, dot, extension = name.rpartition(".")
        ending = f" ({number}){dot}{extension}" if stem and len(extension) <= 8 else f" ({number})"
        kept = stem if stem and len(extension) <= 8 else name
        candidate = trimmed(kept, 255 - len(os.fsencode(ending))) + ending
    return candidate


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def trimmed(name: str, size: int) -> str:
    """Return as much of ``name`` as fits in ``size`` bytes on disk, no character cut in half."""
    while len(os.fsencode(name)) > size:
        name = name[:-1]
    return name
