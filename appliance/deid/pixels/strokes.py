"""Seeing strokes: what stands out from all around it, as high and as thin as letters are, side by side.

The network sees what looks like text at a glance: words, bright enough. It passes over single letters, and words that
are faint or stand in speckle. Those are found here by what they are drawn of: pixels that are lighter or darker than
the middle of their surroundings, by more than the noise there. Most of what is proposed is no text; the reader decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.see_text import grey

_LARGE = 1_500_000  # pixels; above it letters have more of them
_WINDOWS = ((15, 1.0), (41, 1.0))  # pixels about each one that make its surroundings, and how far the picture is shrunk
_LARGE_WINDOWS = ((25, 1.0), (41, 0.5))
_STANDS_OUT = 12  # greys: ink that is smoothed, of the faintest text that a reader could read
_TIMES = 3.2  # times the median deviation around: 1 of 200 pixels does so by chance
_LEAST, _MOST = 5, 2.2  # pixels, and windows, of a letter's longer and shorter side
_FEWEST = 5  # pixels of a letter
_FULL = 0.95  # of its box that a letter fills at most; only 'I', '-' and 'l' are a full bar
_BAR = 0.35
_LINE = 0.5  # of the lower one's height that two neighbours share
_ALIKE = 0.45  # of the higher one's height that the lower one has
_GAP = 1.3  # heights between two letters, with a space
_CROWD = 20_000  # shapes that are put in rows, the largest first; more are noise
_UNEVEN = 2.2  # heights of its letters that a line is high at most
_CLEAR, _LEAST_CLEAR = 6, 2  # a letter that stands alone has nothing around it, as far as its longer side by this,
_STRAY = 0.05  # but for a share of what is around that differs as much as half the letter does
_ALONE = (25, 3)  # greys that it stands out, and its shorter side, at least


@dataclass(frozen=True, slots=True)
class Strokes:
    """A place that may be letters.

    box      of their ink
    letters  how many shapes stand side by side
    clear    it stands out from all about it, and nothing else does there; asked of a single shape only
    """

    box: Box
    letters: int
    clear: bool = True

    @property
    def alone(self) -> bool:
        """Whether it is a single letter with nothing around it."""
        return self.letters == 1 and self.clear


def strokes(picture: NDArray[np.uint8]) -> Iterator[Strokes]:
    """Yield what may be letters in (R, C) or (R, C, 3), level or turned; the same place may come more than once."""
    greys = grey(picture)
    rows, columns = greys.shape
    for window, scale in _LARGE_WINDOWS if greys.size > _LARGE else _WINDOWS:
        shown = greys
        if scale != 1:
            size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
            shown = np.asarray(cv2.resize(greys, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        across, down = columns / shown.shape[1], rows / shown.shape[0]
        for shapes in _shapes(shown, window):
            for turned in (False, True):
                for left, top, right, bottom, letters in _lines(shapes, turned=turned):
                    if letters == 1 and turned:
                        continue
                    box = Box(
                        int(left * across), int(top * down), int(np.ceil(right * across)), int(np.ceil(bottom * down))
                    ).within(rows=rows, columns=columns)
                    yield Strokes(box, letters, letters > 1 or _stands_alone(greys, box))


def _stands_alone(greys: NDArray[np.uint8], box: Box) -> bool:
    """Whether what is in the box stands out clearly, and nothing about it does: a letter, and no grain of speckle."""
    long, short = max(box.width, box.height), min(box.width, box.height)
    if long <= _LEAST or short < _ALONE[1]:
        return False
    wide = box.grown(max(_LEAST_CLEAR, long // _CLEAR)).within(rows=greys.shape[0], columns=greys.shape[1])
    about = greys[wide.top : wide.bottom, wide.left : wide.right].astype(np.float32)
    inner = np.zeros(about.shape, dtype=np.bool_)
    inner[box.top - wide.top : box.bottom - wide.top, box.left - wide.left : box.right - wide.left] = True
    if inner.all():
        return False
    behind = float(np.median(about[~inner]))
    stands_out = float(np.percentile(np.abs(about[inner] - behind), 85))
    stray = float((np.abs(about[~inner] - behind) > stands_out / 2).mean())
    return stands_out >= _ALONE[0] and stray <= _STRAY


def _shapes(greys: NDArray[np.uint8], window: int) -> Iterator[NDArray[np.int32]]:
    """Yield what is lighter, then what is darker than around: (n, 4) of left, top, width, height."""
    middle = cv2.medianBlur(greys, window)
    above = greys.astype(np.int16) - middle
    noise = cv2.medianBlur(np.abs(above).astype(np.uint8), window)
    least = np.maximum(_STANDS_OUT, _TIMES * noise.astype(np.float32))
    for way in (1, -1):
        ink = (way * above >= least).astype(np.uint8)
        _, _, facts, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
        width, height, area = (facts[1:, column] for column in (2, 3, 4))
        long, short = np.maximum(width, height), np.minimum(width, height)
        letter = (long >= _LEAST) & (short <= _MOST * window) & (area >= _FEWEST)
        letter &= (area <= _FULL * width * height) | (short <= _BAR * long)
        yield facts[1:][letter, :4]


def _lines(shapes: NDArray[np.int32], *, turned: bool) -> Iterator[tuple[int, int, int, int, int]]:
    """Yield (left, top, right, bottom, how many) for each row of neighbours; a lone shape is a row of its own."""
    if len(shapes) > _CROWD:
        shapes = shapes[np.argsort(-shapes[:, 2] * shapes[:, 3], kind="stable")[:_CROWD]]
    left, top, width, height = (shapes[:, column] for column in ((1, 0, 3, 2) if turned else (0, 1, 2, 3)))
    order = np.argsort(left, kind="stable")
    left, top, right, bottom = left[order], top[order], (left + width)[order], (top + height)[order]
    high = bottom - top
    lasts = np.searchsorted(left, right + _GAP * int(high.max(initial=0)), side="right")
    line = list(range(len(left)))  # of each shape another one of its row, or itself
    for one, last in enumerate(lasts):
        others = np.arange(one + 1, last)
        lower, higher = np.minimum(high[one], high[others]), np.maximum(high[one], high[others])
        shared = np.minimum(bottom[one], bottom[others]) - np.maximum(top[one], top[others])
        beside = (shared >= _LINE * lower) & (lower >= _ALIKE * higher)
        beside &= left[others] - right[one] <= np.maximum(3, _GAP * higher)
        for other in others[beside]:
            line[_first(line, int(other))] = _first(line, one)
    rows: dict[int, list[int]] = {}
    for one in range(len(line)):
        rows.setdefault(_first(line, one), []).append(one)
    for own in rows.values():
        start, upper = int(left[own].min()), int(top[own].min())
        end, lowest = int(right[own].max()), int(bottom[own].max())
        if len(own) > 1 and lowest - upper > _UNEVEN * float(np.median(high[own])):
            continue
        yield (upper, start, lowest, end, len(own)) if turned else (start, upper, end, lowest, len(own))


def _first(line: list[int], one: int) -> int:
    while line[one] != one:
        line[one] = line[line[one]]
        one = line[one]
    return one
