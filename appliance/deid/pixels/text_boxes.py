"""Boxes of text among each other: which are the same place, and which of them to keep."""

from collections.abc import Iterable
from dataclasses import replace

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.see_text import Proposal

_SAME = 0.6  # of the area of two boxes together, that they share when they are one place
_WITHIN = 0.8  # of a box that lies in another, to count as its part


def merged(proposals: Iterable[Proposal]) -> list[Proposal]:
    """Return one proposal for each place: what was seen twice is as large as the surer says, and holds both cores."""
    places: list[Proposal] = []
    for one in sorted(proposals, key=lambda proposal: (-proposal.score, proposal.box.top, proposal.box.left)):
        for number, place in enumerate(places):
            shared = _shared(place.box, one.box)
            if shared >= _SAME * (place.box.area + one.box.area - shared):
                places[number] = replace(place, core=place.core.around([one.core]), box=place.box.around([one.core]))
                break
        else:
            places.append(one)
    return places


def each_once(found: Iterable[Found]) -> list[Found]:
    """Leave out what lies wholly in another box, and a box whose parts read at least as much as it does."""
    kept: list[Found] = []
    for text in sorted(found, key=lambda text: (text.box.area, text.box.top, text.box.left)):
        parts = [part for part in kept if _shared(part.box, text.box) >= _WITHIN * part.box.area]
        if text.text and sum(len(part.text.replace(" ", "")) for part in parts) >= len(text.text.replace(" ", "")):
            continue
        kept = [part for part in kept if part.box.around([text.box]) != text.box]
        kept.append(text)
    return kept


def stretched(box: Box, heights: float) -> Box:
    """Return the line with some heights more at its beginning and its end, whichever way it runs."""
    more = round(heights * min(box.width, box.height))
    if box.height > box.width:
        return Box(box.left, box.top - more, box.right, box.bottom + more)
    return Box(box.left - more, box.top, box.right + more, box.bottom)


def _shared(one: Box, other: Box) -> int:
    """Pixels that both have."""
    return Box(
        max(one.left, other.left), max(one.top, other.top), min(one.right, other.right), min(one.bottom, other.bottom)
    ).area
