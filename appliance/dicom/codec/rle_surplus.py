"""What an RLE frame carries beside its planes: in unused fields of its header, between and behind the segments.

Source: PS3.5 Annex G.
"""

from itertools import pairwise

from appliance.dicom.codec.patch import Patch, blank
from appliance.dicom.codec.rle import HEADER, plane_of
from appliance.errors import Malformed

_NOTHING = b"\x80"  # the code that gives no byte: PS3.5 G.3.1


def rle_surplus(data: bytes, cells: int) -> list[Patch]:
    """Return what to put over it, so that nothing but the planes is left. Raises Malformed where lengths contradict.

    data   one frame
    cells  bytes of a plane: rows * columns
    """
    if len(data) < HEADER.size:
        raise Malformed("The header of an RLE frame is cut.")
    count, *offsets = HEADER.unpack_from(data)
    starts = [*offsets[:count], len(data)]
    if not 1 <= count <= len(offsets) or starts[0] < HEADER.size or any(b <= a for a, b in pairwise(starts)):
        raise Malformed("The header of an RLE frame does not lead to its segments.")
    unused = 4 + 4 * count
    patches = blank(data[unused : starts[0]], unused)
    for start, stop in pairwise(starts):
        try:
            end = start + plane_of(data[start:stop], cells)[1]  # a hundred times as quick as a walk
        except Malformed:
            end = _end_of(data, start, stop, cells)
        # One zero makes a segment even; more than that would be read as cells.
        patches += blank(data[end:stop], end, b"\0" if stop - end == 1 else _NOTHING)
    return patches


def _end_of(data: bytes, at: int, stop: int, cells: int) -> int:
    """Return where the codes of a segment end: behind the one that gives the last cell."""
    while cells > 0 and at < stop:
        code = data[at]
        if code < 128:
            at, cells = at + 2 + code, cells - code - 1
        else:
            at, cells = (at + 2, cells + code - 257) if code > 128 else (at + 1, cells)
    if cells or at > stop:
        raise Malformed("A segment of an RLE frame is too short, too long or broken.")
    return at
