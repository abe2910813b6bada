"""Reading a line of text: what stands in a box, and how sure that is."""

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.text_models import READING, Network, as_input

_HEIGHT = 48  # pixels of a line, as the network was trained
_WIDEST = 1600  # of a line at that height: some 80 letters; what is longer is squeezed
_STEP = 32  # widths are rounded up to it, so that few sizes occur
_UPRIGHT = 1.5  # times as high as wide: text that runs up or down
_NOTHING = 0  # the network's sign for "no letter here"


class Reader:
    """Decoding is CTC's: of each step the likeliest sign, repeats taken once."""

    def __init__(self, *, threads: int) -> None:
        self._network = Network(READING, threads=threads)
        self._signs = ["", *self._network.metadata("character").split("\n"), " "]

    def read(self, picture: NDArray[np.uint8], box: Box) -> tuple[str, float]:
        """Return what stands in the box, and the mean confidence of its letters, 0 to 1: ("", 0.0) for nothing.

        An upright box is read as turned either way, one without a direction in each.
        """
        line = picture[box.top : box.bottom, box.left : box.right]
        if not line.size:
            return "", 0.0
        turns = (
            (1, 3) if box.height > _UPRIGHT * box.width else (0,) if box.width > _UPRIGHT * box.height else (0, 1, 3)
        )
        return max((self._read(np.rot90(line, turn)) for turn in turns), key=lambda reading: reading[1])

    def _read(self, line: NDArray[np.uint8]) -> tuple[str, float]:
        height, width = line.shape[:2]
        wide = min(_WIDEST, max(_HEIGHT, -(-width * _HEIGHT // height // _STEP) * _STEP))
        way = cv2.INTER_CUBIC if height < _HEIGHT else cv2.INTER_AREA
        fitted = cv2.resize(np.ascontiguousarray(line), (wide, _HEIGHT), interpolation=way)
        steps = self._network.run(as_input(fitted[None].astype(np.uint8)))[0]
        likeliest, sure = steps.argmax(axis=1), steps.max(axis=1)
        letters = (likeliest != _NOTHING) & np.append(True, likeliest[1:] != likeliest[:-1])
        if not letters.any():
            return "", 0.0
        return "".join(self._signs[sign] for sign in likeliest[letters]), float(sure[letters].mean())
