"""A tar read forward, member by member, in bounded memory.

The standard library's reader holds whole extended headers in memory (as large as an attacker says) and steps back by a
byte between members, which makes a compressed stream start over. It still parses the header blocks for us.
Source: POSIX.1-2017 pax; GNU tar manual, "Basic Tar Format".
"""

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tarfile import TarInfo

from appliance.intake.kinds import TAR_BLOCK
from appliance.intake.refusals import NotTaken, Refusal

Read = Callable[[int], bytes]  # at most so many bytes; b"" at the end

LONGEST_HEADER = 1024 * 1024  # a long name or the pax records of one member
_CHUNK = 256 * 1024
_LONG_NAMES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.XGLTYPE)


@dataclass(slots=True)
class Entry:
    """A member; read its body before asking for the next one.

    kind   ``file``, ``folder``, ``link``, ``special``, or ``sparse`` (a file with holes, which is not opened here)
    """

    name: str
    kind: str
    size: int
    left: int
    _read: Read

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes of the body, b"" at its end; NotTaken if the archive ends before."""
        if not self.left:
            return b""
        data = self._read(min(size, self.left))
        if not data:
            raise NotTaken(Refusal.ARCHIVE_BROKEN, "It ends in the middle of a file.")
        self.left -= len(data)
        return data


def entries(read: Read) -> Iterator[Entry]:
    """Yield the members in order; NotTaken when the archive is damaged or lacks its end mark."""
    long_name, records = "", dict[str, str]()
    while True:
        info = _header(read)
        if info is None:
            return
        if info.type in _LONG_NAMES:
            text = _small(read, info.size).rstrip(b"\0").decode("utf-8", "surrogateescape")
            long_name = text if info.type == tarfile.GNUTYPE_LONGNAME else long_name
            continue
        if info.type in _PAX:
            body = _small(read, info.size)
            records = records if info.type == tarfile.XGLTYPE else _records(body)
            continue
        size = _size(info, records)
        entry = Entry(records.get("path") or long_name or info.name, _kind(info, records), size, size, read)
        yield entry
        _skip(read, entry.left + -size % TAR_BLOCK)
        long_name, records = "", {}


def _header(read: Read) -> TarInfo | None:
    block = _exactly(read, TAR_BLOCK)
    if not any(block):
        return None
    try:
        return TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        raise NotTaken(Refusal.ARCHIVE_BROKEN, "A header in it is damaged.") from None


def _size(info: TarInfo, records: dict[str, str]) -> int:
    """Bytes of the body; links, folders and devices have none, whatever their header says."""
    if not (info.isreg() or info.type not in tarfile.SUPPORTED_TYPES):
        return 0
    text = records.get("size", "")
    size = int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else info.size
    if size < 0:
        raise NotTaken(Refusal.ARCHIVE_BROKEN, "A header in it is damaged.")
    return size


def _kind(info: TarInfo, records: dict[str, str]) -> str:
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse.") for key in records):
        return "sparse"
    if info.isreg():
        return "file"
    if info.isdir():
        return "folder"
    return "link" if info.issym() or info.islnk() else "special"


def _records(body: bytes) -> dict[str, str]:
    """Parse ``<length> <key>=<value>\\n`` records."""
    found = {}
    at = 0
    while at < len(body) and body[at]:
        blank = body.find(b" ", at, at + 21)
        digits = body[at:blank] if blank > 0 else b""
        end = at + int(digits) if digits.isdigit() else 0
        if end <= blank or end > len(body):
            raise NotTaken(Refusal.ARCHIVE_BROKEN, "An extended header in it is damaged.")
        key, _, value = body[blank + 1 : end - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at = end
    return found


def _small(read: Read, size: int) -> bytes:
    if not 0 <= size <= LONGEST_HEADER:
        raise NotTaken(Refusal.ARCHIVE_LIMIT, "An extended header in it is larger than 1 MiB.")
    body = _exactly(read, size)
    _skip(read, -size % TAR_BLOCK)
    return body


def _exactly(read: Read, size: int) -> bytes:
    parts = []
    while size:
        data = read(size)
        if not data:
            raise NotTaken(Refusal.ARCHIVE_BROKEN, "It ends without its end mark.")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _skip(read: Read, size: int) -> None:
    while size:
        data = read(min(size, _CHUNK))
        if not data:
            raise NotTaken(Refusal.ARCHIVE_BROKEN, "It ends in the middle of a file.")
        size -= len(data)
