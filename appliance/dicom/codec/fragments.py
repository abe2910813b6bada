"""Where each frame lies among the fragments of encapsulated pixel data. Source: PS3.5 A.4, PS3.3 C.7.6.3.1.8."""

import struct
from itertools import pairwise
from typing import BinaryIO

from appliance.dicom.element import Bulk
from appliance.errors import Malformed

Run = tuple[int, int]  # offset in the source and length in bytes
Frame = tuple[Run, ...]  # the fragments of one frame, in order

_ITEM = 0xFFFEE000
_MOST_FRAGMENTS = 1_000_000
# How a code stream begins: JPEG and JPEG-LS; JPEG 2000.
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff")


def frames_of(
    source: BinaryIO, bulk: Bulk, frames: int, *, offsets: bytes | None, lengths: bytes | None, one_each: bool
) -> list[Frame]:
    """Return where each frame's bytes are.

    offsets, lengths  values of Extended Offset Table (7FE0,0001) and its lengths (7FE0,0002), if the Data Set has them
    one_each          the syntax has one fragment a frame: PS3.5 A.4.2 (RLE)

    By the extended table, else the basic one, else by counting; fragments without any table are joined to frames where
    a code stream begins. Raises Malformed where tables, fragments and number of frames contradict.
    """
    table, fragments = offset_table_and_fragments(source, bulk)
    if offsets is not None:
        return _by_extended_table(fragments, frames, offsets, lengths)
    if table and not one_each:
        return _by_table(table, fragments, frames)
    if len(fragments) == frames:
        return [(run,) for run in fragments]
    if frames == 1 and not one_each:
        return [tuple(fragments)]
    return _by_beginnings(source, fragments, frames)


def offset_table_and_fragments(source: BinaryIO, bulk: Bulk) -> tuple[tuple[int, ...], list[Run]]:
    """Return the basic offset table, counted from the first fragment's item, and the fragments: they fill the value."""
    at, end = bulk.offset, bulk.offset + bulk.length
    runs: list[Run] = []
    while at < end:
        source.seek(at)
        head = source.read(8)
        if len(head) != 8:
            raise Malformed("A fragment of the pixel data is cut.")
        group, number, length = struct.unpack("<HHL", head)
        if group << 16 | number != _ITEM or length > end - at - 8:
            raise Malformed("Something else stands where a fragment of the pixel data should.")
        runs.append((at + 8, length))
        if len(runs) > _MOST_FRAGMENTS:
            raise Malformed(f"The pixel data has more than {_MOST_FRAGMENTS} fragments.")
        at += 8 + length
    if len(runs) < 2:
        raise Malformed("The pixel data has no fragment.")
    offset, length = runs[0]
    if length % 4 or length // 4 > _MOST_FRAGMENTS:
        raise Malformed("The basic offset table of the pixel data is none.")
    source.seek(offset)
    return struct.unpack(f"<{length // 4}L", _whole(source.read(length), length)), runs[1:]


def _by_table(table: tuple[int, ...], fragments: list[Run], frames: int) -> list[Frame]:
    if len(table) != frames:
        raise Malformed(f"The basic offset table has {len(table)} entries for {frames} frames.")
    base = fragments[0][0]
    place = {offset - base: index for index, (offset, _) in enumerate(fragments)}
    starts = [place.get(entry, -1) for entry in table]
    if starts[0] != 0 or any(later <= earlier for earlier, later in pairwise(starts)):
        raise Malformed("The basic offset table does not lead to the fragments.")
    return [tuple(fragments[first:last]) for first, last in pairwise([*starts, len(fragments)])]


def _by_extended_table(fragments: list[Run], frames: int, offsets: bytes, lengths: bytes | None) -> list[Frame]:
    starts = _longs(offsets)
    sizes = _longs(lengths or b"")
    base = fragments[0][0]
    place = {offset - base: length for offset, length in fragments}
    if not len(starts) == len(sizes) == frames == len(fragments):
        raise Malformed("The extended offset table, its lengths, the fragments and the number of frames differ.")
    runs: list[Frame] = []
    for start, size in zip(starts, sizes, strict=True):
        length = place.get(start, -1)
        if not 0 <= length - size <= 1:  # a frame of odd length is padded
            raise Malformed("The extended offset table does not lead to the fragments.")
        runs.append(((base + start, size),))
    if len(set(starts)) != frames:
        raise Malformed("The extended offset table leads to one fragment twice.")
    return runs


def _by_beginnings(source: BinaryIO, fragments: list[Run], frames: int) -> list[Frame]:
    starts = []
    for index, (offset, _) in enumerate(fragments):
        source.seek(offset)
        if source.read(3) in _BEGINNINGS:
            starts.append(index)
    if len(starts) != frames or starts[0] != 0:
        raise Malformed(f"{len(fragments)} fragments of the pixel data do not make {frames} frames.")
    return [tuple(fragments[first:last]) for first, last in pairwise([*starts, len(fragments)])]


def _longs(table: bytes) -> tuple[int, ...]:
    if len(table) % 8:
        raise Malformed("The extended offset table is none.")
    return struct.unpack(f"<{len(table) // 8}Q", table)


def _whole(data: bytes, length: int) -> bytes:
    if len(data) != length:
        raise Malformed("The pixel data became shorter while it was read.")
    return data
