"""Places that are known before anybody looks: of the device, and all that lies outside of the ultrasound regions."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.devices import Device
from appliance.dicom.element import DataSet, Tag
from appliance.dicom.query import numbers_of

ULTRASOUND_REGIONS: Tag = 0x00186011
_EDGES: tuple[Tag, ...] = (0x00186018, 0x0018601A, 0x0018601C, 0x0018601E)  # min x, min y, max x, max y
OUTSIDE = "outside of the ultrasound regions"


def known_regions(
    readable: DataSet, meta: DataSet | None, devices: Iterable[Device], *, rows: int, columns: int
) -> tuple[tuple[str, Box], ...]:
    """Return (who says so, what) of everything that is known to be hidden in a frame of that size; none if nothing is.

    readable  the original, see ``scopes.readable``

    Each device that matches counts. A box that lies wholly beyond the frame is returned as it is: whoever paints it
    must object, because the device's geometry is then not the image's.
    """
    found = [
        (f"device {device.name}", box) for device in devices if device.matches(readable, meta) for box in device.boxes
    ]
    regions = _ultrasound(readable, rows=rows, columns=columns)
    if regions:
        found += [(OUTSIDE, box) for box in outside(regions, rows=rows, columns=columns)]
    elif ULTRASOUND_REGIONS in readable:
        found.append((OUTSIDE, Box(0, 0, columns, rows)))  # regions without an extent: nothing is said to be a picture
    return tuple(found)


def outside(regions: Sequence[Box], *, rows: int, columns: int) -> tuple[Box, ...]:
    """Return boxes that cover exactly what no region covers, from the top to the bottom."""
    edges = sorted({0, rows, *(edge for box in regions for edge in (box.top, box.bottom))})
    bands: list[tuple[int, int, tuple[tuple[int, int], ...]]] = []
    for top, bottom in pairwise(edges):
        gaps = _gaps([box for box in regions if box.top <= top and box.bottom >= bottom], columns)
        if bands and bands[-1][2] == gaps and bands[-1][1] == top:
            bands[-1] = (bands[-1][0], bottom, gaps)
        else:
            bands.append((top, bottom, gaps))
    return tuple(Box(left, top, right, bottom) for top, bottom, gaps in bands for left, right in gaps)


def _gaps(across: Sequence[Box], columns: int) -> tuple[tuple[int, int], ...]:
    """Return the columns [left, right) that none of the boxes covers."""
    gaps, at = [], 0
    for box in sorted(across, key=lambda each: each.left):
        if box.left > at:
            gaps.append((at, box.left))
        at = max(at, box.right)
    return (*gaps, (at, columns)) if at < columns else tuple(gaps)


def _ultrasound(data: DataSet, *, rows: int, columns: int) -> list[Box]:
    """Return the ultrasound regions within the frame. Their last column and row belong to them: PS3.3 C.8.5.5.1.1."""
    sequence = data.get(ULTRASOUND_REGIONS)
    boxes = []
    for item in [] if sequence is None else sequence.items:
        edges = [_number(item, tag) for tag in _EDGES]
        if None in edges:
            continue
        left, top, right, bottom = (int(edge or 0) for edge in edges)
        box = Box(left, top, right + 1, bottom + 1).within(rows=rows, columns=columns)
        if left <= right and top <= bottom and box.area:
            boxes.append(box)
    return boxes


def _number(item: DataSet, tag: Tag) -> int | None:
    element = item.get(tag)
    numbers = [] if element is None else numbers_of(element, item)
    return int(numbers[0]) if numbers else None
