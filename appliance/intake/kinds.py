"""What a file is, by its first bytes; names are never asked."""

import zlib
from enum import Enum, auto
from tarfile import HeaderError, TarInfo

from appliance.intake.refusals import NotTaken, Refusal

HEAD = 1024  # bytes that a decision takes
TAR_BLOCK = 512


class Kind(Enum):
    """What can be done with a file."""

    IMAGE = auto()  # or so it seems: the sniffer decides
    ZIP = auto()
    TAR = auto()
    TAR_GZ = auto()


_OTHER_ARCHIVES = (
    (b"7z\xbc\xaf\x27\x1c", "It is a 7z archive."),
    (b"Rar!\x1a\x07", "It is a rar archive."),
    (b"BZh", "It is compressed with bzip2."),
    (b"\xfd7zXZ\x00", "It is compressed with xz."),
    (b"\x28\xb5\x2f\xfd", "It is compressed with zstd."),
)


def kind_of(head: bytes) -> Kind:
    """Return what the first HEAD bytes (fewer of a shorter file) announce.

    Raises NotTaken for nothing at all and for archives that are not opened here.
    """
    if not head:
        raise NotTaken(Refusal.EMPTY)
    if head[128:132] == b"DICM":
        return Kind.IMAGE
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08PK\x03\x04")):
        return Kind.ZIP
    if is_tar(head):
        return Kind.TAR
    if head.startswith(b"\x1f\x8b\x08"):
        if is_tar(_unzipped(head)):
            return Kind.TAR_GZ
        raise NotTaken(Refusal.ARCHIVE_KIND, "It is compressed with gzip, but holds no tar.")
    for magic, words in _OTHER_ARCHIVES:
        if head.startswith(magic):
            raise NotTaken(Refusal.ARCHIVE_KIND, words)
    return Kind.IMAGE


def is_tar(head: bytes) -> bool:
    """Whether the first block is a tar header: its checksum is right. Source: POSIX.1-2017, pax, ustar."""
    if len(head) < TAR_BLOCK or not any(head[:100]):
        return False
    try:
        TarInfo.frombuf(head[:TAR_BLOCK], "utf-8", "surrogateescape")
    except (HeaderError, ValueError):
        return False
    return True


def _unzipped(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, TAR_BLOCK)
    except zlib.error:
        return b""
