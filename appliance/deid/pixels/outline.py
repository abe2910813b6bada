"""Where the ink of a text ends: a box that was drawn wide is cut to what has edges."""

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.see_text import grey

_INK = 0.5  # of the steps within a text: a step that belongs to it
_FEWEST = 2  # such steps in a row or column that holds a part of a letter; noise has one
_STRONG = 80  # percent of the pixels of a core have smaller steps than its letters' edges
_LEAST = 5  # greys: less is no edge of any text that a reader could read
_MARGIN = 12  # pixels of a line's height for each that is hidden about it


class Outline:
    """The edges of one picture. An edge reaches a pixel beyond the ink: what is fitted to edges has that margin."""

    def __init__(self, picture: NDArray[np.uint8]) -> None:
        self._steps = cv2.morphologyEx(grey(picture), cv2.MORPH_GRADIENT, np.ones((3, 3), dtype=np.uint8))

    def fitted(self, box: Box, core: Box) -> Box:
        """Return ``box`` without its rows and columns that hold no edge like those in ``core``; never less than that.

        core  within the text, and within ``box``
        """
        inner = self._steps[core.top : core.bottom, core.left : core.right]
        if not inner.size:
            return box
        ink = self._steps[box.top : box.bottom, box.left : box.right] >= max(
            _LEAST, _INK * float(np.percentile(inner, _STRONG))
        )
        down, across = (np.flatnonzero(ink.sum(axis=axis) >= _FEWEST) for axis in (1, 0))
        if not down.size or not across.size:
            return box
        held = Box(
            box.left + int(across[0]),
            box.top + int(down[0]),
            box.left + int(across[-1]) + 1,
            box.top + int(down[-1]) + 1,
        )
        rows, columns = self._steps.shape[:2]
        whole = held.around([core])
        return whole.grown(min(whole.width, whole.height) // _MARGIN).within(rows=rows, columns=columns)
