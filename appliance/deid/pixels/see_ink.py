"""Seeing ink: a network of our own says of each pixel whether it is a letter's, and whether a line of text runs there.

It was made for what the other one passes over: letters that stand alone, faint ones, and small ones in grain. How it
was made: tools/ink. A line is cut to its ink, so that lines close to each other stay apart.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.evened import AROUND, shown
from appliance.deid.pixels.see_text import LARGE, edges, grey, parts
from appliance.deid.pixels.text_models import INK, Network

_SCALES, _LARGE_SCALES = (1.0, 0.5), (1.0, 0.5, 0.25)
_BLOCK = 16  # pixels; the sides of what the network is shown are multiples of it
_PERHAPS = 0.3  # of the map of lines, 0 to 1: below it is certainly no text
_IS_INK = 0.4  # of the map of ink: the network draws it a pixel wider than it is
_FEWEST = 6  # such pixels of a line
_KNOWN = 0.6  # of a line that lies in surer ones, and says nothing new: some lines, seen as one at half the size
_NARROWER = 0.3  # of what the network draws of a line, that the line is higher and longer by at each side


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text, or a letter alone, level or turned.

    box    of its ink and a pixel about it, within the picture
    score  how sure the network is, 0 to 1
    """

    box: Box
    score: float


class InkSeer:
    def __init__(self, *, threads: int) -> None:
        self._network = Network(INK, threads=threads)

    def lines(self, picture: NDArray[np.uint8]) -> Iterator[Line]:
        """Yield what may be text in (R, C) or (R, C, 3), the surest first; each place once."""
        greys = grey(picture)
        known = np.zeros(greys.shape, dtype=np.bool_)
        for line in sorted(self._lines(greys), key=lambda line: (-line.score, line.box.top, line.box.left)):
            place = known[line.box.top : line.box.bottom, line.box.left : line.box.right]
            if place.mean() < _KNOWN:
                place[...] = True
                yield line

    def _lines(self, greys: NDArray[np.uint8]) -> Iterator[Line]:
        rows, columns = greys.shape
        for scale in _LARGE_SCALES if greys.size > LARGE else _SCALES:
            size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
            scaled = greys if scale == 1 else np.asarray(cv2.resize(greys, size, interpolation=cv2.INTER_AREA))
            for line in _lines(*self._maps(scaled.astype(np.uint8))):
                box = Box(
                    math.floor(line.box.left / scale),
                    math.floor(line.box.top / scale),
                    math.ceil(line.box.right / scale),
                    math.ceil(line.box.bottom / scale),
                )
                yield Line(box.within(rows=rows, columns=columns), line.score)

    def _maps(self, greys: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (2, R, C): of each pixel how likely it is ink, and how likely in a line; 0 where all is flat."""
        maps = np.zeros((2, *greys.shape), dtype=np.float32)
        for part in parts(edges(greys)):  # one by one: a large picture of floats would not fit
            wide = part.grown(AROUND).within(rows=greys.shape[0], columns=greys.shape[1])
            values = shown(greys[wide.top : wide.bottom, wide.left : wide.right])
            inner = part.moved(-wide.left, -wide.top)
            values = values[:, inner.top : inner.bottom, inner.left : inner.right]
            beyond = ((0, 0), (0, -part.height % _BLOCK), (0, -part.width % _BLOCK))
            seen = self._network.run(np.pad(values, beyond, mode="edge")[None])[0]
            place = np.s_[:, part.top : part.bottom, part.left : part.right]
            maps[place] = np.maximum(maps[place], seen[:, : part.height, : part.width])
        return maps


def _lines(ink: NDArray[np.float32], line: NDArray[np.float32]) -> Iterator[Line]:
    rows, columns = ink.shape
    perhaps = (line > _PERHAPS).astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(perhaps, connectivity=8)
    for number in range(1, count):
        left, top, width, height, _area = (int(value) for value in facts[number])
        place = np.s_[top : top + height, left : left + width]
        in_line = float(line[place][labels[place] == number].mean())
        core = Box(left, top, left + width, top + height)
        whole = core.grown(1 + math.ceil(_NARROWER * min(width, height))).within(rows=rows, columns=columns)
        near = ink[whole.top : whole.bottom, whole.left : whole.right]
        drawn = near > _IS_INK
        down, across = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
        if drawn.sum() >= _FEWEST:
            yield Line(
                Box(
                    whole.left + int(across[0]),
                    whole.top + int(down[0]),
                    whole.left + int(across[-1]) + 1,
                    whole.top + int(down[-1]) + 1,
                ),
                in_line * float(near[drawn].mean()),
            )
