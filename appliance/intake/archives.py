"""What is inside a zip or a tar, streamed member by member; archives in archives too.

Nothing is ever unpacked under a name from the archive. Limits are counted on what really comes out, at every depth,
because an archive may say anything about itself.
"""

import gzip
import shutil
import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from appliance.config import Archives, GiB, MiB
from appliance.errors import SpoolFull
from appliance.intake import tar_stream
from appliance.intake.beneath import Parts
from appliance.intake.kinds import HEAD, Kind, kind_of
from appliance.intake.refusals import NotTaken, Refusal
from appliance.intake.scan import is_litter
from appliance.intake.zip_directory import insist_on_few_entries

RATIO_COUNTS_FROM = 256 * MiB  # below, a ratio says nothing: a black image shrinks a thousandfold
_CHUNK = 256 * 1024
_OPENED_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound on memory

Read = Callable[[int], bytes]


class Scratch:
    """Where a nested archive is laid down to be read from its end: nameless files that vanish with the process."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve = reserve_bytes

    def lay_down(self, read: Read) -> BinaryIO:
        """Return a file with all that ``read`` gives, at its beginning; raises SpoolFull below the reserve."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # Without a name (O_TMPFILE): a crash leaves nothing.
        file = cast(BinaryIO, tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - handed to the caller
        try:
            written = 0
            while data := read(_CHUNK):
                if written % (16 * MiB) < _CHUNK and shutil.disk_usage(self._folder).free < self._reserve:
                    raise SpoolFull("Less than the reserve is left for unpacking; the archive waits in the inbox.")
                file.write(data)
                written += len(data)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file


@dataclass(slots=True)
class Budget:
    """What may still come out of one archive, nested ones included."""

    limits: Archives
    packed: int  # bytes of the outermost archive
    unpacked: int = 0
    files: int = 0

    def one_more(self) -> None:
        """Count a member; NotTaken beyond the limit."""
        self.files += 1
        if self.files > self.limits.max_files:
            raise NotTaken(Refusal.ARCHIVE_LIMIT, f"It holds more than {self.limits.max_files} files.")

    def spend(self, size: int) -> None:
        """Count bytes that came out; NotTaken beyond the limits."""
        self.unpacked += size
        if self.unpacked > self.limits.max_gb * GiB:
            raise NotTaken(Refusal.ARCHIVE_LIMIT, f"It unpacks to more than {self.limits.max_gb:g} GB.")
        if self.unpacked > RATIO_COUNTS_FROM and self.unpacked > self.limits.max_ratio * self.packed:
            raise NotTaken(Refusal.ARCHIVE_LIMIT, f"It unpacks to more than {self.limits.max_ratio:g} times its size.")


class Member:
    """A file in an archive: its path and its bytes, read once and before the next member is asked for."""

    def __init__(self, path: Parts, read: Read) -> None:
        self.path = path
        self._read = read
        self._head = b""

    def head(self, size: int) -> bytes:
        """Return the first ``size`` bytes, fewer of a shorter file, without using them up."""
        while len(self._head) < size and (data := self._read(size - len(self._head))):
            self._head += data
        return self._head[:size]

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes, b"" at the end. NotTaken for damage or beyond a limit."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self._read(size)


@dataclass(frozen=True, slots=True)
class Litter:
    """A member that operating systems leave behind."""

    path: Parts


@dataclass(frozen=True, slots=True)
class Bad:
    """A member that is not taken, or a nested archive that could not be read to its end."""

    path: Parts
    why: Refusal
    detail: str = ""


Found = Member | Litter | Bad


def members(file: BinaryIO, kind: Kind, size: int, limits: Archives, scratch: Scratch) -> Iterator[Found]:
    """Yield what is in the archive, folders left out.

    size  bytes of the archive itself; file: seekable, at its beginning

    Raises NotTaken when the archive as a whole cannot be read on; what was yielded before stands.
    """
    yield from _Opener(Budget(limits, size), scratch).members(file, kind, (), depth=1)


class _Opener:
    def __init__(self, budget: Budget, scratch: Scratch) -> None:
        self._budget = budget
        self._scratch = scratch

    def members(self, file: BinaryIO, kind: Kind, above: Parts, depth: int) -> Iterator[Found]:
        match kind:
            case Kind.ZIP:
                yield from self._zip(file, above, depth)
            case Kind.TAR:
                yield from self._tar(self._guarded(file.read), above, depth)
            case _:
                with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
                    read = self._guarded(unpacked.read)
                    yield from self._tar(read, above, depth)
                    # To the end: only there does gzip compare its checksum.
                    while read(_CHUNK):
                        pass

    def _zip(self, file: BinaryIO, above: Parts, depth: int) -> Iterator[Found]:
        insist_on_few_entries(file, self._budget.limits.max_files)
        with _opened(file) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) + self._budget.unpacked > self._budget.limits.max_gb * GiB:
                raise NotTaken(Refusal.ARCHIVE_LIMIT, f"It unpacks to more than {self._budget.limits.max_gb:g} GB.")
            for entry in entries:
                self._budget.one_more()
                path, bad = _checked(above, entry.filename, _kind_of_entry(entry))
                if bad is None and entry.flag_bits & 1:
                    bad = Bad(path, Refusal.ARCHIVE_ENCRYPTED)
                if bad is None and entry.compress_type not in _OPENED_METHODS:
                    bad = Bad(path, Refusal.ARCHIVE_KIND)
                if bad is not None:
                    yield bad
                    continue
                try:
                    body = archive.open(entry)
                except _DAMAGE:
                    yield Bad(path, Refusal.ARCHIVE_BROKEN, "Its header contradicts the archive's directory.")
                    continue
                with body:
                    yield from self._member(path, self._guarded(body.read), depth)

    def _tar(self, read: Read, above: Parts, depth: int) -> Iterator[Found]:
        for entry in tar_stream.entries(read):
            self._budget.one_more()
            if entry.kind == "folder":
                continue
            path, bad = _checked(above, entry.name, entry.kind)
            if bad is not None:
                yield bad
                continue
            yield from self._member(path, entry.read, depth)

    def _member(self, path: Parts, read: Read, depth: int) -> Iterator[Found]:
        if any(is_litter(name) for name in path):
            yield Litter(path)
            return
        member = Member(path, read)
        try:
            kind = kind_of(member.head(HEAD))
            if kind is Kind.IMAGE:
                yield member
            elif depth >= self._budget.limits.max_depth:
                yield Bad(path, Refusal.ARCHIVE_LIMIT, "It is an archive in archives, deeper than allowed.")
            elif kind is Kind.ZIP:
                with self._scratch.lay_down(member.read) as file:
                    yield from self.members(file, kind, path, depth + 1)
            else:
                yield from self.members(cast(BinaryIO, member), kind, path, depth + 1)
        except NotTaken as error:
            if error.why is Refusal.ARCHIVE_LIMIT:
                raise  # the limits are the outermost archive's: nothing more of it
            yield Bad(path, error.why, error.detail)

    def _guarded(self, read: Read) -> Read:
        """``read``, counted against the budget, with every complaint of the decompressors as NotTaken."""

        def guarded(size: int) -> bytes:
            try:
                data = read(size)
            except _DAMAGE:
                raise NotTaken(Refusal.ARCHIVE_BROKEN, "Its bytes or a checksum are wrong.") from None
            self._budget.spend(len(data))
            return data

        return guarded


# What zipfile, gzip and zlib of Python 3.11 raise for damage. Encrypted and unknown methods are seen before.
_DAMAGE = (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError, struct.error, NotImplementedError, RuntimeError,
           UnicodeDecodeError, OverflowError, ValueError)  # fmt: skip


def _opened(file: BinaryIO) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except _DAMAGE:
        raise NotTaken(Refusal.ARCHIVE_BROKEN, "Its directory is damaged.") from None


def _kind_of_entry(entry: zipfile.ZipInfo) -> str:
    """What a Unix zip program says that the member was; other systems say nothing."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "link"
    return "file" if kind in (0, stat.S_IFREG) else "special"


def _checked(above: Parts, name: str, kind: str) -> tuple[Parts, Bad | None]:
    """Return the member's path, and why it is not taken if it is not."""
    # Zips made by older Windows programs part folders by a backslash.
    plain = name.replace("\\", "/")
    parts = tuple(part for part in plain.split("/") if part not in ("", "."))
    path = (*above, *parts) if parts else (*above, name)
    if plain.startswith("/") or ".." in parts or "\0" in name or (parts and parts[0].endswith(":")) or not parts:
        return path, Bad(path, Refusal.ESCAPES)
    match kind:
        case "file":
            return path, None
        case "link":
            return path, Bad(path, Refusal.LINK)
        case "sparse":
            return path, Bad(path, Refusal.ARCHIVE_KIND, "It is stored with holes (tar --sparse).")
        case _:
            return path, Bad(path, Refusal.SPECIAL)
