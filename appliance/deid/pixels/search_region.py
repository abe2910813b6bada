"""Searching a region of a picture, and as much around it as the lines need that begin in it: no word is cut."""

from collections.abc import Iterable
from typing import Protocol

import numpy as np

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.places import Picture

_NEAR = 8  # pixels, or a line's height, from the region's edge: what ends there may go on beyond it
_FURTHER = (128, 10)  # pixels, or heights of the line, that are then looked at beyond that edge


class Finder(Protocol):
    """Who finds text in a picture. The same picture always gives the same answer."""

    @property
    def name(self) -> str:
        """The engine."""
        ...

    @property
    def version(self) -> str:
        """Of the engine and its models."""
        ...

    def find(self, picture: Picture) -> list[Found]:
        """Return every place that looks like text."""
        ...


def search_region(finder: Finder, picture: Picture, region: Box) -> tuple[list[Found], Box]:
    """Return what is found in ``region``, with boxes of the picture, and the region that was searched at last.

    It is larger where a line ended at its edge: the whole line is found, or nothing more of it is.
    """
    while True:
        found = list(_found_in(finder, picture, region))
        wider = _wider(region, (each.box for each in found), picture)
        if wider == region:
            return found, region
        region = wider


def _found_in(finder: Finder, picture: Picture, region: Box) -> Iterable[Found]:
    rows, columns = picture.shape[:2]
    part = picture[region.top : region.bottom, region.left : region.right]
    for found in finder.find(np.ascontiguousarray(part)):
        within = found.box.moved(region.left, region.top).within(rows=rows, columns=columns)
        if within.area:
            yield Found(within, found.text, found.confidence)


def _wider(region: Box, boxes: Iterable[Box], picture: Picture) -> Box:
    """Return the region, further on each side at which one of the boxes may be cut, within the picture."""
    wider = region
    for box in boxes:
        height = min(box.width, box.height)
        near, further = max(_NEAR, height), max(_FURTHER[0], _FURTHER[1] * height)
        wider = wider.around(
            [
                Box(
                    region.left - further * (box.left - region.left <= near),
                    region.top - further * (box.top - region.top <= near),
                    region.right + further * (region.right - box.right <= near),
                    region.bottom + further * (region.bottom - box.bottom <= near),
                )
            ]
        )
    return wider.within(rows=picture.shape[0], columns=picture.shape[1])
