"""Fetching an instance back to see whether a destination has these very bytes. Source: PS3.18 Section 10.4 (WADO-RS).

Of what is compared only the digest of the Data Set is kept; the File Meta Information is the server's to rewrite.
"""

import hashlib
import re
import struct
from collections.abc import Iterable, Iterator

# "*": as it is stored, without transcoding; PS3.18 Section 8.7.3.5.2
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
CHUNK = 256 * 1024
LONGEST_HEAD = 1024 * 1024  # bytes before the Data Set: part headers and File Meta Information

_BOUNDARY = re.compile(r'boundary="?([^";,]{1,100})"?', re.IGNORECASE)
_GROUP_LENGTH = b"DICM\x02\x00\x00\x00UL\x04\x00"  # PS3.10 Section 7.1: prefix, then (0002,0000)


def digest_of(content_type: str, chunks: Iterable[bytes]) -> str | None:
    """Return the SHA-256 of the Data Set of the first part, None when the answer is no such multipart."""
    named = _BOUNDARY.search(content_type)
    if named is None:
        return None
    digest = hashlib.sha256()
    try:
        for piece in _data_set(_part(iter(chunks), b"--" + named[1].encode("latin-1"))):
            digest.update(piece)
    except ValueError:
        return None
    return digest.hexdigest()


def first_part(content_type: str, body: bytes) -> bytes | None:
    """Return the first part of a whole answer, None when it is no such multipart."""
    named = _BOUNDARY.search(content_type)
    if named is None:
        return None
    try:
        return b"".join(_part(iter([body]), b"--" + named[1].encode("latin-1")))
    except ValueError:
        return None


def _part(chunks: Iterator[bytes], delimiter: bytes) -> Iterator[bytes]:
    """Yield the first part's body in pieces; ValueError when it does not begin or end as a part does."""
    held = b""
    while b"\r\n\r\n" not in held:
        held += next(chunks, b"") or _ended()
        if len(held) > LONGEST_HEAD:
            raise ValueError("endless part headers")
    head, _, held = held.partition(b"\r\n\r\n")
    if delimiter not in head:
        raise ValueError("no part")
    end = b"\r\n" + delimiter
    while (at := held.find(end)) < 0:
        # The delimiter may lie across two chunks: what could be its beginning is held back.
        safe = max(0, len(held) - len(end) + 1)
        if safe:
            yield held[:safe]
        held = held[safe:] + (next(chunks, b"") or _ended())
    yield held[:at]


def _data_set(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what follows the File Meta Information; ValueError when there is none."""
    head = b""
    while len(head) < 144 or len(head) < _offset(head):
        head += next(pieces, b"") or _ended()
        if len(head) > LONGEST_HEAD + (1 << 20):
            raise ValueError("endless File Meta Information")
    yield head[_offset(head) :]
    yield from pieces


def _offset(head: bytes) -> int:
    if head[128:140] != _GROUP_LENGTH:
        raise ValueError("no File Meta Information")
    length = int(struct.unpack_from("<I", head, 140)[0])
    if length > LONGEST_HEAD:
        raise ValueError("endless File Meta Information")
    return 144 + length


def _ended() -> bytes:
    raise ValueError("ended early")
