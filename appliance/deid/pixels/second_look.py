"""A second look at what one frame of a cine left in doubt, before the same is hidden in frames that were searched, too.

The search takes grain for text now and then, in one frame here, in another there. What it is not sure of is searched
for once more in the mean of all frames that show the same: there the grain is gone, and a text stands clearer than in
any of them. What is found then is hidden in those frames, as it is found then; where it was found at first it is hidden
in any case.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.places import SURE, Picture, Place, place
from appliance.deid.pixels.search_region import Finder

_LETTERS = 3  # of a reading that needs no second one
_AROUND = 16  # pixels about a place that are searched with it
_MOST = 2_000_000  # pixels of all such places that are held; what is beyond is hidden without a second look


@dataclass(slots=True)
class _Sum:
    """What frames show about a place: ``count`` of them, added up."""

    box: Box
    total: NDArray[np.float32]
    count: int = 0


def looked_at_twice(
    places: Sequence[Place], pictures: Iterable[Picture], finder: Finder, step: Callable[[], None] = lambda: None
) -> list[Place]:
    """Return the places, each that is in doubt kept to its own frames, and what a second look finds in its stead.

    pictures  all frames, in order, of one size; asked for only if something is in doubt
    step      is called before each search
    """
    result: list[Place] = []
    doubtful: list[Place] = []
    room = _MOST
    for each in places:
        room -= each.found.box.grown(_AROUND).area if _in_doubt(each) else 0
        (doubtful if _in_doubt(each) and room >= 0 else result).append(each)
    for each, about in zip(doubtful, _added_up(doubtful, pictures), strict=True):
        step()
        result += [replace(each, here_only=True), *_found_again(each, about, finder)]
    return result


def _in_doubt(each: Place) -> bool:
    return each.found.confidence < SURE or len(each.found.text.replace(" ", "")) < _LETTERS


def _added_up(places: Sequence[Place], pictures: Iterable[Picture]) -> list[_Sum]:
    sums: list[_Sum] = []
    for number, picture in enumerate(pictures if places else ()):
        if not sums:
            rows, columns, *samples = picture.shape
            boxes = [each.found.box.grown(_AROUND).within(rows=rows, columns=columns) for each in places]
            sums = [_Sum(box, np.zeros((box.height, box.width, *samples), dtype=np.float32)) for box in boxes]
        for each, about in zip(places, sums, strict=True):
            if each.stands_in(number, picture):
                about.total += picture[about.box.top : about.box.bottom, about.box.left : about.box.right]
                about.count += 1
    return sums


def _found_again(each: Place, about: _Sum, finder: Finder) -> Iterator[Place]:
    """Yield what the mean shows that touches the place: to be hidden in each frame that shows it."""
    mean = np.rint(about.total / about.count).astype(np.uint8)
    for found in finder.find(mean):
        again, box = place(each.frame, found, mean), found.box.moved(about.box.left, about.box.top)
        if box.touches(each.found.box):
            yield replace(again, found=replace(found, box=box), until=each.frame)
