"""Which frames of a cine need a look of their own, and where: what differs from all that was looked at before.

A look is worth a second, a comparison milliseconds. Each block of a frame is compared with the same block as it was
last looked at. Grain alone does not count: a block has changed when more of its pixels differ, by more, than the noise
of the cine makes likely, so that letters of a few pixels are enough.
"""

from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box

BLOCK = 16  # pixels of a block's side
_BLUR = 3  # pixels: a stroke is longer than that, grain is not
_FINE = 16  # steps of a grey that are counted
_LEAST_STEP = 4 * _FINE  # of a thin stroke, blurred, of the faintest text that a reader could read
_LEAST_PIXELS = 4  # of a block that differ by more than that: a full stop
_NOISE = 4.0  # times the deviation of a block that is noisier than that: 1 of its 256 pixels differs so by chance
_LEAST_NOISY_PIXELS = 16  # they come in clusters
_AROUND = 2  # blocks about a changed one that are looked at with it: a line is seen as a whole


def frames_to_look_at(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[tuple[int, Box]]:
    """Yield (number from 0, region) for each frame that shows something new; the first one whole.

    pictures  frames of one size, uint8, (R, C) or (R, C, 3), in order; two are held at a time
    A frame of another size than the one before is looked at whole.
    """
    seen: NDArray[np.uint8] | None = None
    for number, picture in enumerate(pictures):
        rows, columns = picture.shape[:2]
        if seen is None or seen.shape != picture.shape:
            seen = picture.copy()
            yield number, Box(0, 0, columns, rows)
            continue
        changed = _changed(seen, picture)
        if not changed.any():
            continue
        rows_changed, columns_changed = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        region = Box(
            (int(columns_changed[0]) - _AROUND) * BLOCK,
            (int(rows_changed[0]) - _AROUND) * BLOCK,
            (int(columns_changed[-1]) + 1 + _AROUND) * BLOCK,
            (int(rows_changed[-1]) + 1 + _AROUND) * BLOCK,
        ).within(rows=rows, columns=columns)
        place = np.s_[region.top : region.bottom, region.left : region.right]
        seen[place] = picture[place]
        yield number, region


def _changed(seen: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each block whether it shows something else: (R / BLOCK, C / BLOCK), rounded up."""
    step = np.abs(_soft(picture) - _soft(seen))
    if step.ndim == 3:
        step = step.max(axis=2)
    blocks = _blocks(step)
    # The median of a difference of two noises is 0.95 of one noise's deviation; letters are too few to move it.
    limit = _NOISE * np.median(blocks, axis=(2, 3)) / 0.95
    least = np.where(limit > _LEAST_STEP, _LEAST_NOISY_PIXELS, _LEAST_PIXELS)
    beyond = blocks > np.maximum(limit, _LEAST_STEP)[:, :, None, None]
    changed: NDArray[np.bool_] = beyond.sum(axis=(2, 3)) >= least
    return changed


def _soft(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.asarray(cv2.blur(picture.astype(np.int16) * _FINE, (_BLUR, _BLUR)), dtype=np.int16)


def _blocks(values: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return (blocks down, blocks across, BLOCK, BLOCK); the last ones end at the edge and overlap those before."""
    rows, columns = (max(BLOCK, length) for length in values.shape)
    padded = np.pad(values, ((0, rows - values.shape[0]), (0, columns - values.shape[1])))
    down, across = (np.minimum(np.arange(0, length, BLOCK), length - BLOCK) for length in (rows, columns))
    blocks: NDArray[np.int16] = np.lib.stride_tricks.sliding_window_view(padded, (BLOCK, BLOCK))[down[:, None], across]
    return blocks
