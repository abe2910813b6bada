"""Which frames of a cine need a look of their own, and where: what differs from all that was looked at before.

A look is worth seconds, a comparison milliseconds. Each block of a frame is compared with the same block as it was
last looked at; grain does not count, letters of a few pixels do. Where everything moves in most frames, as a heart
does, a look at each would find the same again: there, only strokes that stand out more than any that was looked at
count, and whatever moves is looked at in every eighth frame anyway. So a text over moving anatomy is missed only if it
stands out no more than the anatomy itself and is gone within eight frames. What is found in one frame is therefore to
be hidden in its neighbours too, wherever it still stands.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.see_text import grey

BLOCK = 16  # pixels of a block's side
EVERY = 8  # frames after which what moves is looked at again
_BLUR = 3  # pixels: a stroke is longer than that, grain is not
_FINE = 16  # steps of a grey that are counted
_LEAST_STEP = 4 * _FINE  # of a thin stroke, blurred, of the faintest text that a reader could read
_LEAST_PIXELS = 4  # of a block that differ by more than that: a full stop
_NOISE = 4.0  # times the deviation of a block that is noisier than that: 1 of its 256 pixels differs so by chance
_QUARTILE = 0.45  # deviations of one noise: a quarter of all differences of two are smaller
_MOST_NOISE = 32 * _FINE  # what differs by more is no noise
_OTHER_LEVEL = 16 * _FINE  # by which a whole block has become lighter or darker
_LEAST_NOISY_PIXELS = 16  # they come in clusters
_AROUND = 2  # blocks about a changed one that are looked at with it: a line is seen as a whole
_MOVES = 3  # a block has moved when it has changed in so many frames
_AREA = 4  # blocks high and wide that what moves is somewhere: a clock that runs is no anatomy
_THICKEST = 9  # pixels of a stroke that is compared with those seen before
_STROKE = 8  # pixels of a block that a stroke has at least
_STANDS_OUT = (1.25, 8.0)  # times, and greys more, than any stroke about the place in the frames that were looked at
_TOGETHER = 2  # such blocks side by side: a word is longer than one, chance is not


@dataclass(slots=True)
class _Seen:
    """What was looked at so far.

    picture  (R, C) or (R, C, 3): each block as it was last looked at
    strokes  for each block how much its strokes stand out, at most: light and dark ones, greys
    changes  for each block in how many frames it had changed, as far as it matters
    frames   how many were compared
    looked   at which of them whatever moves was looked at last
    """

    picture: NDArray[np.uint8]
    strokes: NDArray[np.uint8]
    changes: NDArray[np.uint8] = field(init=False)
    frames: int = 0
    looked: int = 0

    def __post_init__(self) -> None:
        self.changes = np.zeros(self.strokes.shape[1:], dtype=np.uint8)


def frames_to_look_at(pictures: Iterable[NDArray[np.uint8]]) -> Iterator[tuple[int, Box]]:
    """Yield (number from 0, region) for each frame that shows something new; the first one whole.

    pictures  frames of one size, uint8, (R, C) or (R, C, 3), in order; two are held at a time
    A frame of another size than the one before is looked at whole.
    """
    seen: _Seen | None = None
    for number, picture in enumerate(pictures):
        rows, columns = picture.shape[:2]
        if seen is None or seen.picture.shape != picture.shape:
            seen = _Seen(picture.copy(), _strokes(picture))
            yield number, Box(0, 0, columns, rows)
            continue
        region = _region(_new(seen, picture))
        if region is not None:
            region = region.within(rows=rows, columns=columns)
            place = np.s_[region.top : region.bottom, region.left : region.right]
            seen.picture[place] = picture[place]
            yield number, region


def _new(seen: _Seen, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each block whether it shows something that was not looked at; remember that it was."""
    changed = _changed(seen.picture, picture)
    seen.frames += 1
    seen.changes = np.minimum(seen.changes + changed, _MOVES)
    moves = _moving(np.asarray(seen.changes >= _MOVES, dtype=np.uint8))
    if not (changed & moves).any():
        return changed
    if seen.frames - seen.looked >= EVERY:
        seen.looked = seen.frames
        new = changed
    else:
        strokes = _strokes(picture)
        # What moves comes from next door: the strongest of the blocks around.
        known = np.stack([_beside(each) for each in seen.strokes])
        stronger = (strokes > _STANDS_OUT[0] * known + _STANDS_OUT[1]).any(axis=0)
        about = np.lib.stride_tricks.sliding_window_view(np.pad(stronger, 1), (3, 3)).sum(axis=(2, 3))
        together = about >= _TOGETHER
        new = changed & (~moves | (stronger & together))
    if new.any():
        seen.strokes = np.maximum(seen.strokes, _strokes(picture))
    return new


def _moving(often: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the blocks that have changed often and hang together over an area, and those beside them."""
    area = np.ones((min(_AREA, often.shape[0]), min(_AREA, often.shape[1])), dtype=np.uint8)
    _, labels = cv2.connectedComponents(often, connectivity=8)
    large = np.unique(labels[cv2.morphologyEx(often, cv2.MORPH_OPEN, area) > 0])
    return _beside(np.isin(labels, large).astype(np.uint8)) > 0


def _beside(blocks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return for each block the most that it or one beside it has."""
    return np.asarray(cv2.dilate(blocks, np.ones((3, 3), dtype=np.uint8)), dtype=np.uint8)


def _region(new: NDArray[np.bool_]) -> Box | None:
    """Return the pixels of all new blocks and some around them, which may lie beyond the picture."""
    down, across = np.flatnonzero(new.any(axis=1)), np.flatnonzero(new.any(axis=0))
    if not down.size:
        return None
    return Box(
        (int(across[0]) - _AROUND) * BLOCK,
        (int(down[0]) - _AROUND) * BLOCK,
        (int(across[-1]) + 1 + _AROUND) * BLOCK,
        (int(down[-1]) + 1 + _AROUND) * BLOCK,
    )


def _changed(seen: NDArray[np.uint8], picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return for each block whether it shows something else: (R / BLOCK, C / BLOCK), rounded up."""
    step = np.atleast_3d(_soft(picture) - _soft(seen))
    changed = _differs(_blocks(step[..., 0]))
    for sample in range(1, step.shape[2]):
        changed |= _differs(_blocks(step[..., sample]))
    return changed


def _differs(blocks: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return for each block of differences whether there is more in it than noise.

    A block is compared with the level of its own, which must not have changed much either. Its noise is judged by the
    quieter half of its pixels: letters that fill less than three quarters of a block do not pass for noise.
    """
    level = np.median(blocks, axis=(2, 3))
    beside = np.abs(blocks - level[:, :, None, None])
    limit = np.minimum(_NOISE * np.percentile(beside, 25, axis=(2, 3)) / _QUARTILE, _MOST_NOISE)
    least = np.where(limit > _LEAST_STEP, _LEAST_NOISY_PIXELS, _LEAST_PIXELS)
    beyond = (beside > np.maximum(limit, _LEAST_STEP)[:, :, None, None]).sum(axis=(2, 3))
    changed: NDArray[np.bool_] = (beyond >= least) | (np.abs(level) > _OTHER_LEVEL)
    return changed


def _soft(picture: NDArray[np.uint8]) -> NDArray[np.int16]:
    return np.asarray(cv2.blur(picture.astype(np.int16) * _FINE, (_BLUR, _BLUR)), dtype=np.int16)


def _strokes(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (2, blocks down, blocks across): how much light and dark strokes stand out in each block, greys."""
    greys, kernel = grey(picture), np.ones((_THICKEST, _THICKEST), dtype=np.uint8)
    ways = (cv2.morphologyEx(greys, way, kernel) for way in (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT))
    blocks = np.stack([_blocks(np.asarray(way, dtype=np.int16)) for way in ways])
    flat = blocks.reshape(*blocks.shape[:3], BLOCK * BLOCK)
    return np.partition(flat, -_STROKE, axis=-1)[..., -_STROKE].astype(np.uint8)


def _blocks(values: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return (blocks down, blocks across, BLOCK, BLOCK); the last ones end at the edge and overlap those before."""
    rows, columns = (max(BLOCK, length) for length in values.shape)
    padded = np.pad(values, ((0, rows - values.shape[0]), (0, columns - values.shape[1])))
    down, across = (np.minimum(np.arange(0, length, BLOCK), length - BLOCK) for length in (rows, columns))
    blocks: NDArray[np.int16] = np.lib.stride_tricks.sliding_window_view(padded, (BLOCK, BLOCK))[down[:, None], across]
    return blocks
