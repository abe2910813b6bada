"""What Pixel Data holds beside pixels, whatever it is coded with, found without decoding it.

Text hides well there: in comments of a code stream, behind its end, in an offset table, behind the last frame.
"""

import struct
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

from appliance.dicom.codec.families import RLE, is_jpeg, is_jpeg_2000
from appliance.dicom.codec.form import COLUMNS, ROWS, number_in, number_of_frames
from appliance.dicom.codec.fragments import Frame, frames_of, offset_table_and_fragments
from appliance.dicom.codec.jpeg_2000_surplus import jpeg_2000_surplus
from appliance.dicom.codec.jpeg_surplus import jpeg_surplus
from appliance.dicom.codec.meaning import value_in
from appliance.dicom.codec.native_surplus import native_surplus
from appliance.dicom.codec.patch import Patch
from appliance.dicom.codec.rle_surplus import rle_surplus
from appliance.dicom.element import Bulk, Element
from appliance.dicom.part10 import Part10
from appliance.errors import CannotDecode, Malformed

_TABLE, _TABLE_LENGTHS = 0x7FE00001, 0x7FE00002
_MOST_TABLE = 8 * 1024 * 1024  # bytes: a million frames
_LONGEST = 512 * 1024 * 1024  # bytes of a compressed frame
Walk = Callable[[bytes], list[Patch]]


def surplus_of(image: Part10, element: Element, bulk: Bulk) -> list[Patch]:
    """Return what to put over the image's pixel data, an element and its Bulk, so that nothing but pixels is left.

    image  a Data Set, an item of a sequence too, and the file that its Bulk values refer to

    Holds one compressed frame at a time. Raises Malformed where tables, fragments, streams and number of frames
    contradict; CannotDecode for streams that nobody here walks (video, for one).
    """
    if not bulk.encapsulated:
        return native_surplus(image, element, bulk)
    return _of_fragments(image, bulk, _walk_of(image))


def _walk_of(image: Part10) -> Walk:
    syntax = image.transfer_syntax
    if is_jpeg(syntax):
        return jpeg_surplus
    if is_jpeg_2000(syntax):
        return jpeg_2000_surplus
    if syntax == RLE:
        return partial(rle_surplus, cells=number_in(image.dataset, ROWS) * number_in(image.dataset, COLUMNS))
    raise CannotDecode(f"Its compressed pixel data are of the transfer syntax {syntax}, whose streams are not read.")


def _of_fragments(image: Part10, bulk: Bulk, walk: Walk) -> list[Patch]:
    file = bulk.lies_in(image.source)
    table, fragments = offset_table_and_fragments(file, bulk)
    frames = frames_of(
        file,
        bulk,
        number_of_frames(image.dataset),
        offsets=value_in(image, _TABLE, _MOST_TABLE),
        lengths=value_in(image, _TABLE_LENGTHS, _MOST_TABLE),
        one_each=image.transfer_syntax == RLE,
    )
    patches = _of_table(table, frames, bulk)
    whole = dict(fragments)  # with the byte that pads a frame, which an extended table leaves out
    for frame in frames:
        runs = tuple((offset, whole[offset]) for offset, _ in frame)
        for patch in walk(_joined(file, runs)):
            patches += _in_fragments(patch, runs)
    return patches


def _of_table(table: tuple[int, ...], frames: list[Frame], bulk: Bulk) -> list[Patch]:
    """Put right a basic offset table that leads elsewhere than to the frames: what it holds may be anything."""
    starts = tuple(frame[0][0] - frames[0][0][0] for frame in frames)
    if not table or table == starts:
        return []
    if len(table) != len(starts) or starts[-1] > 0xFFFFFFFF:
        raise Malformed(f"The basic offset table has {len(table)} entries for {len(starts)} frames.")
    return [Patch(bulk.offset + 8, struct.pack(f"<{len(starts)}L", *starts))]


def _joined(file: BinaryIO, runs: Frame) -> bytes:
    if sum(length for _, length in runs) > _LONGEST:
        raise Malformed(f"A compressed frame has more than {_LONGEST >> 20} MiB.")
    pieces = []
    for offset, length in runs:
        file.seek(offset)
        pieces.append(file.read(length))
        if len(pieces[-1]) != length:
            raise Malformed("The pixel data became shorter while it was read.")
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _in_fragments(patch: Patch, runs: Frame) -> Iterator[Patch]:
    """Yield the patch of a joined frame as it lies in the fragments."""
    begin = 0
    for offset, length in runs:
        first, last = max(begin, patch.offset), min(begin + length, patch.offset + len(patch.data))
        if first < last:
            yield Patch(offset + first - begin, patch.data[first - patch.offset : last - patch.offset])
        begin += length
