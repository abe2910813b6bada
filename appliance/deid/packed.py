"""Bytes inside bytes: what gzip, zlib, base64 or hex digits hide, wherever in a value they begin. Bounded."""

import base64
import re
import zlib
from collections.abc import Iterator
from itertools import islice

MOST = 1 << 20  # bytes taken out of one stream
_TRIES = 64  # streams looked for in one value, and texts of each other kind
_DEPTH = 3  # a gzip in base64 in gzip
_STREAM = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]")  # RFC 1952, RFC 1950
LEAST = 12  # bytes of a value that can hold any of these
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4}[\r\n]{0,2}){3,}(?:[A-Za-z0-9+/]{2,3}={0,2})?")
_BASE64_OF_URLS = re.compile(rb"[A-Za-z0-9_-]{12,}")  # RFC 4648, Section 5
_ANY = re.compile(rb"\x1f\x8b\x08|\x78[\x01\x5e\x9c\xda]|[A-Za-z0-9+/_-]{10}|(?:[0-9A-Fa-f]{2}[ :-]?){5}")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}[ :-]?){5,}")


def unpacked(value: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """Yield what is packed in ``value``, and what is packed in that."""
    if not depth or _ANY.search(value) is None:
        return
    for inside in (*_streams(value), *_decoded(value)):
        yield inside
        yield from unpacked(inside, depth - 1)


def _streams(value: bytes) -> Iterator[bytes]:
    for tries, match in enumerate(_STREAM.finditer(value)):
        if tries == _TRIES:
            return
        window = zlib.MAX_WBITS + (16 if match[0][0] == 0x1F else 0)
        try:
            inside = zlib.decompressobj(window).decompress(memoryview(value)[match.start() :], MOST)
        except zlib.error:
            continue
        if inside:
            yield inside


def _decoded(value: bytes) -> Iterator[bytes]:
    for match in islice(_BASE64.finditer(value), _TRIES):
        letters = match[0].replace(b"\r", b"").replace(b"\n", b"").rstrip(b"=")
        yield base64.b64decode(letters + b"=" * (-len(letters) % 4))  # by the pattern never one letter too many
    of_urls = (match for match in _BASE64_OF_URLS.finditer(value) if b"-" in match[0] or b"_" in match[0])
    for match in islice(of_urls, _TRIES):
        letters = match[0][: -1 if len(match[0]) % 4 == 1 else None]
        yield base64.urlsafe_b64decode(letters + b"=" * (-len(letters) % 4))
    for match in islice(_HEX.finditer(value), _TRIES):
        yield bytes.fromhex(re.sub(rb"[ :-]", b"", match[0]).decode("ascii"))
