"""Boxes of text among each other: which are the same place, and which of them to keep."""

from collections.abc import Iterable
from dataclasses import replace

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.see_text import Proposal

_SAME = 0.6  # of the area of two boxes together, that they share when they are one place
_WITHIN = 0.8  # of a box that lies in another, to count as its part
_PART, _HIGHER = 0.5, 1.5  # of letters that lie in a line they belong to, and heights of it that they have at most
_MORE = 1.5  # heights of a line that its letters reach beyond it at most; what reaches further is read anew
_CROSSED = 0.25  # of letters that a line runs across
_LONG = 1.5  # times as long as high: a line, and not a letter
_BESIDE, _LOWER = 0.5, 0.4  # heights of a line that a letter stands off its end, and that it has at least


def merged(proposals: Iterable[Proposal]) -> list[Proposal]:
    """Return one proposal for each place: what was seen twice is as large as the surer says, and holds both cores."""
    places: list[Proposal] = []
    for one in sorted(proposals, key=lambda proposal: (-proposal.score, proposal.box.top, proposal.box.left)):
        for number, place in enumerate(places):
            shared = place.box.shared(one.box)
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
        if says_no_more(text, kept):
            continue
        kept = [part for part in kept if part.box.around([text.box]) != text.box]
        kept.append(text)
    return kept


def says_no_more(text: Found, known: Iterable[Found]) -> bool:
    """Whether those of the known that lie in the box of a text read at least as much as it does."""
    parts = [part for part in known if part.box.shared(text.box) >= _WITHIN * part.box.area]
    return bool(text.text) and sum(_letters(part) for part in parts) >= _letters(text)


def _letters(text: Found) -> int:
    return len(text.text.replace(" ", ""))


def stretched(box: Box, before: float, behind: float) -> Box:
    """Return the line with so many heights more at its left or upper end, and at the other, whichever way it runs."""
    first, last = (round(heights * min(box.width, box.height)) for heights in (before, behind))
    if box.height > box.width:
        return Box(box.left, box.top - first, box.right, box.bottom + last)
    return Box(box.left - first, box.top, box.right + last, box.bottom)


def outermost(found: Iterable[Found]) -> list[Found]:
    """Leave out what lies wholly in another box."""
    kept: list[Found] = []
    for text in sorted(found, key=lambda text: (-text.box.area, text.box.top, text.box.left)):
        if not any(other.box.around([text.box]) == other.box for other in kept):
            kept.append(text)
    return kept


def same_line(text: Box, letters: Box) -> bool:
    """Whether the letters belong to the text: they lie in it for the most, or beside its end, and are no higher."""
    if text.height > text.width:
        text, letters = _turned(text), _turned(letters)
    down = min(text.bottom, letters.bottom) - max(text.top, letters.top)
    across = min(text.right, letters.right) - max(text.left, letters.left)
    beyond = max(text.left - letters.left, letters.right - text.right)
    if down < _PART * letters.height or letters.height > _HIGHER * text.height or beyond > _MORE * text.height:
        return False
    beside = -across <= _BESIDE * text.height and letters.height >= _LOWER * text.height
    return across >= _PART * letters.width or beside


def is_part(text: Found, letter: Box) -> bool:
    """Whether the text is a piece of that letter: the network saw the foot of an L, and nothing above it."""
    return _letters(text) <= 1 and text.box.shared(letter) >= _PART * text.box.area


def crossed(text: Box, letters: Box) -> bool:
    """Whether the letters seem to run across the text: parts of lines that stand one below the other."""
    if (text.width >= text.height) == (letters.width >= letters.height):
        return False
    across = min(text.right, letters.right) - max(text.left, letters.left)
    down = min(text.bottom, letters.bottom) - max(text.top, letters.top)
    return across > 0 and down > 0 and across * down >= _CROSSED * letters.area


def lengthened(text: Box, letters: Box) -> Box:
    """Return the line, and the letters as far as they lie before it or behind; all of them for a single letter."""
    if max(text.width, text.height) < _LONG * min(text.width, text.height):
        return text.around([letters])
    if text.height > text.width:
        return _turned(lengthened(_turned(text), _turned(letters)))
    return Box(min(text.left, letters.left), text.top, max(text.right, letters.right), text.bottom)


def _turned(box: Box) -> Box:
    return Box(box.top, box.left, box.bottom, box.right)
