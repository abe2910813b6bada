"""Seeing where text may be: the network's map of a picture, piece by piece and at two sizes, cut into boxes.

Boxes are proposals: many of them are speckle, ticks and vessels. What is flat is never shown to the network.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.text_models import SEEING, Network, as_input

LARGE = 1_500_000  # pixels; above it letters are large enough to be seen at half the size, below it they are doubled
_BLOCK = 32  # pixels; the sides of what the network is shown are multiples of it
_TILE, _OVERLAP = 20, 3  # blocks of what the network is shown at once; a line as high as the overlap is seen whole
_PERHAPS = 0.12  # of the map, 0 to 1: below it is certainly no text
_LEAST = 0.15  # mean of the map in a box
_LEAST_SIDE = 2  # of the map's pixels
_SHRUNK = (
    1.2  # the network draws text narrower than it is, by area / perimeter times this. Source: DB, arXiv 1911.08947
)
_LEAST_MARGIN = 2  # pixels of the picture
_WINDOW = 49  # pixels about each one that its contrast is measured against
_FLAT = 6.0  # greys of deviation; what is flatter than that is not stretched any further
_STRETCH = 40.0  # greys that one deviation becomes
_VISIBLE = 9  # greys of 255 that an edge of text has at least, after a blur of 3x3


@dataclass(frozen=True, slots=True)
class Proposal:
    """A place that may be text.

    core   what the network drew: it lies within the text, seldom reaching its edges
    box    what the text would fill, drawn so; within the picture
    score  how sure the network is, 0 to 1
    """

    core: Box
    box: Box
    score: float


class Seer:
    def __init__(self, *, threads: int) -> None:
        self._network = Network(SEEING, threads=threads)

    def proposals(self, picture: NDArray[np.uint8]) -> Iterator[Proposal]:
        """Yield what may be text in (R, C) or (R, C, 3), in no useful order; the same place may come twice."""
        # Enlarged for small letters, evened out for faint ones; those of a large picture are seen by their ink, too.
        large = picture.shape[0] * picture.shape[1] > LARGE
        if not large:
            yield from self._at(picture, _resized(picture, 2.0), evened=False)
        yield from self._at(picture, _resized(picture, 0.5) if large else picture, evened=True)

    def _at(self, picture: NDArray[np.uint8], scaled: NDArray[np.uint8], *, evened: bool) -> Iterator[Proposal]:
        rows, columns = picture.shape[:2]
        across, down = columns / scaled.shape[1], rows / scaled.shape[0]
        # What stands out is asked of the picture as it is: evened out, all noise does.
        for core, score in _cores(self._map(_evened(scaled) if evened else scaled, parts(edges(scaled)))):
            margin = max(_LEAST_MARGIN, _SHRUNK * across * core.area / (2 * (core.width + core.height)))
            drawn, filled = (
                Box(
                    math.floor(core.left * across - wide),
                    math.floor(core.top * down - wide),
                    math.ceil(core.right * across + wide),
                    math.ceil(core.bottom * down + wide),
                ).within(rows=rows, columns=columns)
                for wide in (0, margin)
            )
            yield Proposal(drawn, filled, score)

    def _map(self, shown: NDArray[np.uint8], parts: Iterable[Box]) -> NDArray[np.float32]:
        """Return for each pixel of the parts how likely it is text, 0 to 1; 0 elsewhere."""
        seen = np.zeros(shown.shape[:2], dtype=np.float32)
        for part in parts:
            place = np.s_[part.top : part.bottom, part.left : part.right]
            seen[place] = np.maximum(seen[place], self._look(shown[place]))
        return seen

    def _look(self, part: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = part.shape[:2]
        beyond = [(0, -height % _BLOCK), (0, -width % _BLOCK), (0, 0)][: part.ndim]
        return self._network.run(as_input(np.pad(part, beyond, mode="edge")[None]))[0, 0, :height, :width]


def grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def _resized(picture: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    rows, columns = (max(1, round(length * scale)) for length in picture.shape[:2])
    way = cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA
    return np.asarray(cv2.resize(picture, (columns, rows), interpolation=way), dtype=np.uint8)


def _evened(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (R, C) with the same contrast everywhere: faint text stands out as much as white on black."""
    greys = grey(picture).astype(np.float32)
    mean = cv2.blur(greys, (_WINDOW, _WINDOW))
    deviation = np.sqrt(np.maximum(cv2.blur(greys * greys, (_WINDOW, _WINDOW)) - mean * mean, 0))
    evened = 128 + _STRETCH * (greys - mean) / np.maximum(deviation, _FLAT)
    return np.clip(evened, 0, 255).astype(np.uint8)


def edges(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return where brightness changes within a few pixels. Text has such edges, smooth anatomy none."""
    soft = cv2.blur(grey(picture), (3, 3))
    return np.asarray(cv2.morphologyEx(soft, cv2.MORPH_GRADIENT, np.ones((5, 5), dtype=np.uint8)) >= _VISIBLE)


def parts(edges: NDArray[np.bool_]) -> Iterator[Box]:
    """Yield what the network is to be shown: all edges, with a block around; each group of them by itself, in tiles."""
    rows, columns = edges.shape
    padded = np.pad(edges, ((0, -rows % _BLOCK), (0, -columns % _BLOCK)))
    blocks = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, -1, _BLOCK).any(axis=(1, 3))
    joined = cv2.dilate(np.asarray(blocks, dtype=np.uint8), np.ones((3, 3), dtype=np.uint8))
    count, labels, facts, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    for number in range(1, count):
        left, top, width, height, _area = (int(value) for value in facts[number])
        for down in range(top, max(top + 1, top + height - _OVERLAP), _TILE - _OVERLAP):
            for across in range(left, max(left + 1, left + width - _OVERLAP), _TILE - _OVERLAP):
                own = labels[down : down + _TILE, across : across + _TILE] == number
                ys, xs = np.flatnonzero(own.any(axis=1)), np.flatnonzero(own.any(axis=0))
                if ys.size:
                    yield Box(
                        (across + int(xs[0])) * _BLOCK,
                        (down + int(ys[0])) * _BLOCK,
                        (across + int(xs[-1]) + 1) * _BLOCK,
                        (down + int(ys[-1]) + 1) * _BLOCK,
                    ).within(rows=rows, columns=columns)


def _cores(seen: NDArray[np.float32]) -> Iterator[tuple[Box, float]]:
    """Yield the places where the map says text, each with its mean: they lie within the text, not around it."""
    perhaps = (seen > _PERHAPS).astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(perhaps, connectivity=8)
    for number in range(1, count):
        left, top, width, height, _area = (int(value) for value in facts[number])
        if min(width, height) < _LEAST_SIDE:
            continue
        place = np.s_[top : top + height, left : left + width]
        score = float(seen[place][labels[place] == number].mean())
        if score >= _LEAST:
            yield Box(left, top, left + width, top + height), score
