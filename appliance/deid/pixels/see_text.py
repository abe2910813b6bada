"""Seeing where text may be: the network's map of a picture, piece by piece and at two sizes, cut into boxes.

Boxes are proposals: many of them are speckle, ticks and vessels. What is flat is never shown to the network.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.text_models import SEEING, Network, as_input

_LARGE = 1_500_000  # pixels; above it a picture is looked at as it is and halved, below it as it is and doubled
_TILE, _OVERLAP = 640, 96  # pixels of what the network is shown at once; a line as high as the overlap is seen whole
_STEP = 32  # the network's sides are multiples of it
_PERHAPS = 0.2  # of the map, 0 to 1: below it is certainly no text
_LEAST = 0.25  # mean of the map in a box
_LEAST_SIDE = 2  # of the map's pixels
_SHRUNK = (
    1.5  # the network draws text narrower than it is, by area / perimeter times this. Source: DB, arXiv 1911.08947
)
_WINDOW = 49  # pixels about each one that its contrast is measured against
_FLAT = 6.0  # greys of deviation; what is flatter than that is not stretched any further
_STRETCH = 40.0  # greys that one deviation becomes
_VISIBLE = 9  # greys of 255 that a stroke of text stands out by, after a blur of 3x3
_THICKEST = 15  # pixels of a stroke that can be seen at one size


@dataclass(frozen=True, slots=True)
class Proposal:
    """A place that may be text. ``score`` is how sure the network is, 0 to 1."""

    box: Box
    score: float


class Seer:
    def __init__(self, *, threads: int) -> None:
        self._network = Network(SEEING, threads=threads)

    def proposals(self, picture: NDArray[np.uint8]) -> Iterator[Proposal]:
        """Yield what may be text in (R, C) or (R, C, 3), in no useful order; the same place may come twice."""
        rows, columns = picture.shape[:2]
        yield from self._at(picture, picture)
        if rows * columns > _LARGE:
            yield from self._at(picture, _evened(_resized(picture, 0.5)))
        else:
            yield from self._at(picture, _resized(_evened(picture), 2.0))

    def _at(self, picture: NDArray[np.uint8], shown: NDArray[np.uint8]) -> Iterator[Proposal]:
        rows, columns = picture.shape[:2]
        seen = self._map(shown)
        across, down = columns / shown.shape[1], rows / shown.shape[0]
        for box, score in _boxes(seen):
            fitted = Box(
                int(np.floor(box.left * across)),
                int(np.floor(box.top * down)),
                int(np.ceil(box.right * across)),
                int(np.ceil(box.bottom * down)),
            ).within(rows=rows, columns=columns)
            if fitted.area:
                yield Proposal(fitted, score)

    def _map(self, shown: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return for each pixel how likely it is text, 0 to 1."""
        rows, columns = shown.shape[:2]
        seen = np.zeros((rows, columns), dtype=np.float32)
        strokes = _strokes(shown)
        for top in _starts(rows):
            for left in _starts(columns):
                place = np.s_[top : top + _TILE, left : left + _TILE]
                if not strokes[place].any():
                    continue
                part = shown[place]
                height, width = part.shape[:2]
                beyond = [(0, -height % _STEP), (0, -width % _STEP), (0, 0)][: part.ndim]
                padded = np.pad(part, beyond, mode="edge")
                found = self._network.run(as_input(padded[None]))[0, 0, :height, :width]
                seen[place] = np.maximum(seen[place], found)
        return seen


def grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    rows, columns = (max(1, round(length * scale)) for length in picture.shape[:2])
    way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=way), dtype=np.uint8)


def _starts(length: int) -> range:
    return range(0, max(1, length - _OVERLAP), _TILE - _OVERLAP)


def _evened(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (R, C) with the same contrast everywhere: faint text stands out as much as white on black."""
    greys = grey(picture).astype(np.float32)
    mean = cv2.blur(greys, (_WINDOW, _WINDOW))
    deviation = np.sqrt(np.maximum(cv2.blur(greys * greys, (_WINDOW, _WINDOW)) - mean * mean, 0))
    evened = 128 + _STRETCH * (greys - mean) / np.maximum(deviation, _FLAT)
    return np.clip(evened, 0, 255).astype(np.uint8)


def _strokes(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where something thin stands out, light or dark, from what is around it. Text always does."""
    soft = cv2.blur(grey(picture), (3, 3))
    kernel = np.ones((_THICKEST, _THICKEST), dtype=np.uint8)
    light, dark = cv2.morphologyEx(soft, cv2.MORPH_TOPHAT, kernel), cv2.morphologyEx(soft, cv2.MORPH_BLACKHAT, kernel)
    return np.asarray(np.maximum(light, dark) >= _VISIBLE)


def _boxes(seen: NDArray[np.float32]) -> Iterator[tuple[Box, float]]:
    perhaps = (seen > _PERHAPS).astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(perhaps, connectivity=8)
    for number in range(1, count):
        left, top, width, height, _area = (int(value) for value in facts[number])
        if min(width, height) < _LEAST_SIDE:
            continue
        place = np.s_[top : top + height, left : left + width]
        score = float(seen[place][labels[place] == number].mean())
        if score >= _LEAST:
            margin = _SHRUNK * width * height / (2 * (width + height))
            box = Box(left, top, left + width, top + height).grown(int(np.ceil(margin)))
            yield box, score
