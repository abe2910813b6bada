"""How many entries a zip has, found without holding them: the standard library reads a whole directory into memory.

Source: PKWARE APPNOTE 6.3.9, sections 4.3.12 to 4.3.16.
"""

import struct
from typing import BinaryIO

from appliance.intake.refusals import NotTaken, Refusal

_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY_BYTES = 46  # the fixed part of a directory entry; name, extra field and comment follow
_LONGEST_COMMENT = 65535
_MOST_BYTES_AN_ENTRY = 1024  # on average; a directory of longer ones is no honest archive


def insist_on_few_entries(file: BinaryIO, most: int) -> None:
    """Raise NotTaken if the zip's directory has more than ``most`` entries, or is none; leave ``file`` at its start."""
    start, size = _directory(file)
    if size > most * _MOST_BYTES_AN_ENTRY:
        raise NotTaken(Refusal.ARCHIVE_LIMIT, f"It holds more than {most} files, or its directory is no honest one.")
    file.seek(start)
    count = left = 0
    left = size
    while left >= _ENTRY_BYTES:
        entry = file.read(_ENTRY_BYTES)
        if len(entry) < _ENTRY_BYTES or entry[:4] != b"PK\x01\x02":
            raise NotTaken(Refusal.ARCHIVE_BROKEN, "Its directory is damaged.")
        count += 1
        if count > most:
            raise NotTaken(Refusal.ARCHIVE_LIMIT, f"It holds more than {most} files.")
        follows = sum(struct.unpack_from("<3H", entry, 28))
        file.seek(follows, 1)
        left -= _ENTRY_BYTES + follows
    file.seek(0)


def _directory(file: BinaryIO) -> tuple[int, int]:
    """Return where the central directory starts and how many bytes it has."""
    end = file.seek(0, 2)
    tail_start = max(0, end - _END.size - _LONGEST_COMMENT)
    file.seek(tail_start)
    tail = file.read(_END.size + _LONGEST_COMMENT)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise NotTaken(Refusal.ARCHIVE_BROKEN, "It ends early: its directory, at the end, is missing.")
    position = tail_start + at
    size = int(_END.unpack_from(tail, at)[5])
    if size == 0xFFFFFFFF or _END.unpack_from(tail, at)[4] == 0xFFFF:
        found = _zip64(file, position)
        if found is not None:
            position, size = found
    if size > position:
        raise NotTaken(Refusal.ARCHIVE_BROKEN, "Its directory is damaged.")
    return position - size, size


def _zip64(file: BinaryIO, end: int) -> tuple[int, int] | None:
    """Return where the zip64 end record lies and the directory's bytes; None if there is no such record."""
    if end < _LOCATOR.size + _END64.size:
        return None
    file.seek(end - _LOCATOR.size)
    if file.read(4) != b"PK\x06\x07":
        return None
    position = end - _LOCATOR.size - _END64.size
    file.seek(position)
    record = file.read(_END64.size)
    if record[:4] != b"PK\x06\x06":
        return None
    return position, int(_END64.unpack(record)[8])
