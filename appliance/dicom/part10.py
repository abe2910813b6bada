"""DICOM files: read into a tree, written from one. Source: PS3.10 Section 7, PS3.5 Annex A.

The reader is strict: what it returns accounts for every byte, and what contradicts itself is refused. It holds the
header only, whatever the size of the file.
"""

import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import BinaryIO

from appliance.dicom.element import Bulk, DataSet, Tag, tag_text
from appliance.dicom.encode import pieces_of
from appliance.dicom.encoding import encoding_of
from appliance.dicom.guess import guessed_syntax
from appliance.dicom.meta import TRANSFER_SYNTAX, FileMeta, read_group_two
from appliance.dicom.scan import Scanner, TooLargeToRead
from appliance.dicom.syntaxes import syntax_of
from appliance.dicom.text import inherit_charsets
from appliance.errors import Malformed, NotDicom

__all__ = ["MAX_HEADER", "Part10", "TooLargeToRead", "digest", "read", "write"]

MAX_HEADER = 64 * 1024 * 1024
BULK_FROM = 4096
_CHUNK = 1024 * 1024
_EVERYTHING: Tag = 0xFFFFFFFF


@dataclass(slots=True)
class Part10:
    """What a file holds.

    preamble         128 bytes, or b"" in a file without
    meta             group 2, as read; empty in a file without
    transfer_syntax  as stated, else worked out
    dataset_offset   of the Data Set in the file; what ``digest`` wants
    source           what the offsets of ``Bulk`` refer to: the file itself, or the inflated Data Set
    trailing         bytes behind the last element; they are no part of the tree and never written
    """

    preamble: bytes
    meta: DataSet
    dataset: DataSet
    transfer_syntax: str
    dataset_offset: int
    source: BinaryIO
    trailing: int = 0

    def uid(self, tag: Tag) -> str:
        """Return the text of a UID of the Data Set, padding stripped; "" if it is missing or no text."""
        element = self.dataset.get(tag)
        if element is None or not isinstance(element.value, bytes):
            return ""
        return element.value.decode("latin-1").strip(" \0")


def read(
    file: BinaryIO, *, max_header: int = MAX_HEADER, bulk_from: int = BULK_FROM, until: Tag = _EVERYTHING
) -> Part10:
    """Read the file, which must be seekable and stay open as long as the result's Bulk values are wanted.

    max_header  bytes of header, or of an inflated Data Set, that may be read into memory
    bulk_from   values of OB, OD, OF, OL, OV, OW and UN this long stay in the file, as pixel data always do
    until       last tag wanted: what follows is not read and not checked

    Raises NotDicom for what is no DICOM file, Malformed where bytes contradict the syntax or end early (where, in
    bytes and tags), TooLargeToRead (a Malformed) where memory, depth or number of elements would pass its limit.
    """
    preamble, group_two, offset = read_group_two(file)
    uid = FileMeta.of(group_two).transfer_syntax if TRANSFER_SYNTAX in group_two else ""
    if not uid:
        uid = _worked_out(file, offset, announced=bool(group_two or preamble))
    syntax = syntax_of(uid)
    source, start, unused = file, offset, 0
    if syntax.deflated:
        source, unused = _inflated(file, offset, max_header, whole=until == _EVERYTHING)
        start = 0
    end = source.seek(0, 2)
    scanner = Scanner(source, start, max_header=max_header, bulk_from=bulk_from, until=until)
    encoding = encoding_of(implicit=syntax.implicit, little_endian=syntax.little_endian)
    dataset, _ = scanner.data_set(start, end, encoding)
    if misplaced := [tag for tag in dataset.elements if tag < 0x00030000 and tag >> 16 in (0x0000, 0x0002)]:
        # A command's or File Meta's element would confuse every reader of what we write.
        raise Malformed(f"{tag_text(misplaced[0])} stands in the Data Set, where its group may not be.")
    inherit_charsets(dataset, ())
    trailing = scanner.trailing + unused
    return Part10(preamble, DataSet(group_two), dataset, uid, offset, source, trailing)


def write(meta: FileMeta, dataset: DataSet, transfer_syntax: str, source: BinaryIO, target: BinaryIO) -> str:
    """Write a file: empty preamble, File Meta, Data Set. Return the SHA-256 (hex) of the Data Set as written.

    source  what the Bulk values of ``dataset`` without a source of their own refer to; copied a chunk at a time

    Elements are sorted; group lengths are dropped; an odd length is padded. Raises ValueError when the tree's byte
    order is not the transfer syntax's, Malformed when the source has become shorter.
    """
    syntax = syntax_of(transfer_syntax)
    encoding = encoding_of(implicit=syntax.implicit, little_endian=syntax.little_endian)
    pieces = pieces_of(dataset, encoding)
    target.write(replace(meta, transfer_syntax=transfer_syntax).encode())  # what is true, whatever it said
    told = hashlib.sha256()

    def put(data: bytes | memoryview) -> None:
        told.update(data)
        target.write(data)

    if syntax.deflated:
        _deflate(_stream(pieces, source), put)
    else:
        for data in _stream(pieces, source):
            put(data)
    return told.hexdigest()


def digest(file: BinaryIO, offset: int) -> str:
    """Return the SHA-256 (hex) of the file's bytes from ``offset`` on: its Data Set, trailing bytes included."""
    told = hashlib.sha256()
    file.seek(offset)
    buffer = memoryview(bytearray(_CHUNK))
    while count := _read_into(file, buffer):
        told.update(buffer[:count])
    return told.hexdigest()


def _worked_out(file: BinaryIO, offset: int, *, announced: bool) -> str:
    try:
        return guessed_syntax(file, offset)
    except NotDicom:
        if not announced:
            raise
        raise Malformed("File Meta names no transfer syntax, and the Data Set begins like none.") from None


def _inflated(file: BinaryIO, offset: int, limit: int, *, whole: bool) -> tuple[BinaryIO, int]:
    """Return the inflated Data Set and the number of bytes behind the deflated one, its own padding left out.

    Not whole: its beginning is enough, whatever follows.
    """
    file.seek(offset)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = io.BytesIO()
    try:
        while not stream.eof and (piece := file.read(_CHUNK)):
            while piece and not stream.eof:
                inflated.write(stream.decompress(piece, _CHUNK))
                piece = stream.unconsumed_tail
                if not whole:
                    return inflated, 0
                if inflated.tell() > limit:
                    raise TooLargeToRead(f"The Data Set is larger than {limit} bytes when inflated.")
    except zlib.error:
        raise Malformed("The Data Set is not deflated, as its transfer syntax says.") from None
    if not stream.eof:
        raise Malformed("The deflated Data Set ends early.")
    behind = stream.unused_data + file.read(2)
    return inflated, 0 if behind in (b"", b"\0") else file.seek(0, 2) - file.tell() + len(behind)


def _deflate(pieces: Iterator[bytes | memoryview], put: Callable[[bytes | memoryview], None]) -> None:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    length = 0
    for data in pieces:
        out = stream.compress(data)
        length += len(out)
        put(out)
    out = stream.flush()
    put(out + b"\0" if (length + len(out)) & 1 else out)  # PS3.5 A.5


def _stream(pieces: list[bytes | Bulk], source: BinaryIO) -> Iterator[bytes | memoryview]:
    """Yield the bytes of the pieces, what is left in the source a chunk at a time."""
    small: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            small.append(piece)
            continue
        yield b"".join(small)
        small.clear()
        file = piece.lies_in(source)
        file.seek(piece.offset)
        buffer = memoryview(bytearray(min(_CHUNK, piece.length)))
        left = piece.length
        while left:
            count = _read_into(file, buffer[:left])
            if not count:
                raise Malformed("The file became shorter while it was copied.")
            yield buffer[:count]
            left -= count
    yield b"".join(small)


def _read_into(file: BinaryIO, buffer: memoryview) -> int:
    read_into = getattr(file, "readinto", None)
    if read_into is not None:
        return int(read_into(buffer))
    data = file.read(len(buffer))
    buffer[: len(data)] = data
    return len(data)
