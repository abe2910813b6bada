"""Text that was found in a frame of a cine, and the other frames that show it too.

A frame is searched where it shows something new. What was found there stands in the frames behind it, until that place
is searched again; and in every other frame whose pixels are the same where the letters are, whatever the search said
of that frame: a reader that errs once in ten frames must not leave a name in one of them. What was read as well in the
frame itself is hidden as it was found there: of ten boxes about one text, not all together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.text_boxes import says_no_more

Picture = NDArray[np.uint8]

_LEAST_CONTRAST = 24  # greys of 255 between letters and what is behind them
_SAME = 32  # greys by which a letter's pixel may differ: another frame of the same lossy cine
_MOST_OF = 0.85  # of the letters' pixels
_LEFT = (0.5, 12.0)  # of the contrast that the letters had, and greys: what stands out by less of both is no letters
_FOR_EVER = 1 << 31  # frames
SURE = 0.9  # confidence of a reading that needs no second one


@dataclass(frozen=True, slots=True)
class Place:
    """A text that is to be hidden.

    frame    in which it was found, from 0
    until    frame before which that place was not searched again
    greys    the letters' pixels as they were; strokes says which those are: both (rows, columns) of the box
    here_only  it is hidden in no other frame: what was searched in those was no text
    """

    frame: int
    found: Found
    until: int
    greys: Picture
    strokes: NDArray[np.bool_]
    here_only: bool = False

    def searched(self, number: int) -> bool:
        """Whether the search that found it holds for frame ``number``."""
        return self.frame <= number < self.until

    def stands_in(self, number: int, picture: Picture) -> bool:
        """Whether frame ``number``, which looks like ``picture``, shows the text."""
        if self.searched(number):
            return True
        if self.here_only:
            return False
        box = self.found.box
        there = grey(picture[box.top : box.bottom, box.left : box.right]).astype(np.int16)
        near = np.abs(there - self.greys)[self.strokes] <= _SAME
        return float(near.mean()) >= _MOST_OF and self._stands_out(there)

    def _stands_out(self, there: NDArray[np.int16]) -> bool:
        """Whether the letters' pixels differ from those beside them: faint letters are nearly as dark as no letters."""
        if self.strokes.all():
            return True
        before, now = (_contrast(greys.astype(np.float32), self.strokes) for greys in (self.greys, there))
        return now >= min(_LEFT[0] * before, _LEFT[1])


def to_hide(places: Iterable[Place], number: int, picture: Picture) -> list[Box]:
    """Return what is to be hidden in frame ``number``, which looks like ``picture``."""
    there = [each for each in places if each.stands_in(number, picture)]
    own = [each.found for each in there if each.searched(number)]
    sure = [found for found in own if found.confidence >= SURE]
    others = [each.found for each in there if not each.searched(number)]
    return [found.box for found in (*own, *(other for other in others if not says_no_more(other, sure)))]


def place(frame: int, found: Found, picture: Picture) -> Place:
    """Return the place of what was found in ``picture``, frame ``frame``, whose box lies within it."""
    box = found.box
    greys = grey(picture[box.top : box.bottom, box.left : box.right]).copy()
    return Place(frame, found, _FOR_EVER, greys, _strokes(greys))


def bounded(found: Place, looks: Sequence[tuple[int, Box]]) -> Place:
    """Return the place, until its box was searched again. ``looks``: (number, region) of every search, in order."""
    later = (number for number, region in looks if number > found.frame and region.touches(found.found.box))
    return replace(found, until=next(later, _FOR_EVER))


def grey(picture: Picture) -> Picture:
    """Return (R, C) greys of a picture."""
    return picture if picture.ndim == 2 else picture.max(axis=2)


def _strokes(greys: Picture) -> NDArray[np.bool_]:
    """Return which pixels are the letters': the fewer of the bright and the dark ones; without a contrast all."""
    if int(greys.max()) - int(greys.min()) < _LEAST_CONTRAST:
        return np.ones(greys.shape, dtype=np.bool_)
    bright: NDArray[np.bool_] = greys > (int(greys.max()) + int(greys.min())) / 2
    return bright if bright.mean() <= 0.5 else ~bright


def _contrast(greys: NDArray[np.float32], strokes: NDArray[np.bool_]) -> float:
    """Return by how many greys the letters are lighter or darker, on the mean, than what is beside them.

    Each stroke is compared with what is within a line's height of it: what is behind may be lighter here, darker there.
    """
    side = min(greys.shape)
    sides: list[NDArray[np.float32]] = []
    for those in (strokes, ~strokes):
        share = cv2.blur(those.astype(np.float32), (side, side))
        sides.append(cv2.blur(greys * those, (side, side)) / np.maximum(share, 1 / side**2))
    return float(np.abs(sides[0] - sides[1])[strokes].mean())
