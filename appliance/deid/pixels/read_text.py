"""Reading a line of text: what stands in a box, and how sure that is."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.see_text import grey
from appliance.deid.pixels.text_models import READING, Network, as_input

_HEIGHT = 48  # pixels of a line, as the network was trained
_WIDEST = 1600  # of a line at that height: some 80 letters; what is longer is squeezed
_STEP = 32  # widths are rounded up to it, so that few sizes occur
_UPRIGHT = 1.5  # times as high as wide: text that runs up or down
_DOWNWARDS = 1  # one quarter turn makes it level; three do for what runs upwards
_CLEAR = 0.9  # confidence of a reading that no stretching would change
_FLAT, _FAINT = 4, 64  # greys that a line has from its dark to its light end: grain, and too many to be stretched
_LETTER, _MARK = 0.5, 0.9  # how sure a letter, and a sign that clutter is often taken for, is at the end of a line
_NOTHING = 0  # the network's sign for "no letter here"


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands in a box.

    confidence   mean of its letters, 0 to 1
    turn         quarters that the box was turned by, counter-clockwise, to be read
    first, last  where the first and the last letter stand, as shares of the line in the direction of reading
    signs        of each letter and space: how sure it is, and where it stands, as a share of the line; may be unknown
    """

    text: str
    confidence: float
    turn: int = 0
    first: float = 0.0
    last: float = 1.0
    signs: tuple[tuple[float, float], ...] = ()

    @property
    def letters(self) -> int:
        """How many there are; spaces are none."""
        return len(self.text.replace(" ", ""))

    def without_doubtful_ends(self) -> "Reading":
        """Return the reading from the first letter that is sure to the last: what else stands there is clutter."""
        sure = [
            number
            for number, (sign, (share, _)) in enumerate(zip(self.text, self.signs, strict=False))
            if share >= (_LETTER if sign.isalnum() else _MARK)
        ]
        if not sure:
            return self if not self.signs else NOTHING
        signs = self.signs[sure[0] : sure[-1] + 1]
        confidence = sum(share for share, _ in signs) / len(signs)
        text = self.text[sure[0] : sure[-1] + 1]
        return Reading(text, confidence, self.turn, signs[0][1], signs[-1][1], signs)

    def span(self, box: Box, margin: float) -> Box:
        """Return the part of ``box`` that the letters take, with ``margin`` heights more at either end, within it."""
        line, height = (box.height, box.width) if self.turn else (box.width, box.height)
        more = margin * height
        start, end = max(0, round(self.first * line - more)), min(line, round(self.last * line + more))
        if self.turn == 0:
            return Box(box.left + start, box.top, box.left + end, box.bottom)
        if self.turn == _DOWNWARDS:
            return Box(box.left, box.top + start, box.right, box.top + end)
        return Box(box.left, box.bottom - end, box.right, box.bottom - start)


NOTHING = Reading("", 0.0)


class Reader:
    """Decoding is CTC's: of each step the likeliest sign, repeats taken once."""

    def __init__(self, *, threads: int) -> None:
        self._network = Network(READING, threads=threads)
        self._signs = ["", *self._network.metadata("character").split("\n"), " "]

    def read(self, picture: NDArray[np.uint8], box: Box) -> Reading:
        """Return what stands in the box; a reading without letters and of confidence 0 for nothing.

        An upright box is read as turned either way, one without a direction in each.
        """
        line = picture[box.top : box.bottom, box.left : box.right]
        if not line.size:
            return NOTHING
        turns = (
            (1, 3) if box.height > _UPRIGHT * box.width else (0,) if box.width > _UPRIGHT * box.height else (0, 1, 3)
        )
        return max((self._read(np.rot90(line, turn), turn) for turn in turns), key=lambda reading: reading.confidence)

    def _read(self, line: NDArray[np.uint8], turn: int) -> Reading:
        """Return what stands in the line as it is or, if that is read better, stretched from black to white."""
        reading = self._read_once(line, turn)
        if reading.confidence >= _CLEAR:
            return reading
        clearer = _stretched(line)
        again = NOTHING if clearer is None else self._read_once(clearer, turn)
        return again if again.letters >= reading.letters and again.confidence > reading.confidence else reading

    def _read_once(self, line: NDArray[np.uint8], turn: int) -> Reading:
        height, width = line.shape[:2]
        wide = min(_WIDEST, max(_HEIGHT, -(-width * _HEIGHT // height // _STEP) * _STEP))
        way = cv2.INTER_CUBIC if height < _HEIGHT else cv2.INTER_AREA
        fitted = cv2.resize(np.ascontiguousarray(line), (wide, _HEIGHT), interpolation=way)
        steps = self._network.run(as_input(fitted[None].astype(np.uint8)))[0]
        likeliest, sure = steps.argmax(axis=1), steps.max(axis=1)
        letters = np.flatnonzero((likeliest != _NOTHING) & np.append(True, likeliest[1:] != likeliest[:-1]))
        if not letters.size:
            return NOTHING
        text = "".join(self._signs[sign] for sign in likeliest[letters])
        signs = tuple((float(sure[step]), float(step + 0.5) / len(steps)) for step in letters)
        return Reading(text, float(sure[letters].mean()), turn, signs[0][1], signs[-1][1], signs)


def _stretched(line: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Return (R, C) with faint letters as clear as printed ones; None where nothing is faint."""
    greys = grey(np.ascontiguousarray(line)).astype(np.float32)
    dark, light = (float(value) for value in np.percentile(greys, (1, 99)))
    if not _FLAT <= light - dark <= _FAINT:
        return None
    return np.asarray(np.clip((greys - dark) * 255 / (light - dark), 0, 255), dtype=np.uint8)
