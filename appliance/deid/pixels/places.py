"""Text that was found in a frame of a cine, and the other frames that show it too.

A frame is searched where it shows something new. What was found there stands in the frames behind it, until that place
is searched again; and in every other frame whose pixels are the same where the letters are, whatever the search said
of that frame: a reader that errs once in ten frames must not leave a name in one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box, Found

Picture = NDArray[np.uint8]

_LEAST_CONTRAST = 24  # greys of 255 between letters and what is behind them
_SAME = 32  # greys by which a letter's pixel may differ: another frame of the same lossy cine
_MOST_OF = 0.85  # of the letters' pixels
_FOR_EVER = 1 << 31  # frames


@dataclass(frozen=True, slots=True)
class Place:
    """A text that is to be hidden.

    frame    in which it was found, from 0
    until    frame before which that place was not searched again
    greys    the letters' pixels as they were; strokes says which those are: both (rows, columns) of the box
    """

    frame: int
    found: Found
    until: int
    greys: Picture
    strokes: NDArray[np.bool_]

    def stands_in(self, number: int, picture: Picture) -> bool:
        """Whether frame ``number``, which looks like ``picture``, shows the text."""
        if self.frame <= number < self.until:
            return True
        box = self.found.box
        there = grey(picture[box.top : box.bottom, box.left : box.right]).astype(np.int16)
        near = np.abs(there - self.greys)[self.strokes] <= _SAME
        return float(near.mean()) >= _MOST_OF


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
