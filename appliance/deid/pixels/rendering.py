"""An image before and after its pixels were cleaned, side by side, for a person to look at. It shows the original."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from appliance.deid.outcome import Deidentified, Hidden, Looked
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.part10 import Part10
from appliance.dicom.thumbnail import png
from appliance.errors import CannotDecode, Malformed

Picture = NDArray[np.uint8]

_OUTLINE = (255, 64, 64)
_GAP = 8  # pixels between the two


def telling_frame(looked: Looked | None) -> int:
    """Return the frame, from 1, that tells most: the first in which text was found."""
    hidden = () if looked is None else looked.hidden
    return next((each.frame for each in hidden if each.frame), 1)


def side_by_side(original: Part10, done: Deidentified, *, frame: int, edge: int = 0) -> bytes | None:
    """Return a PNG: the original with the hidden boxes outlined, and what would leave; None if it cannot be decoded.

    frame  from 1
    edge   pixels of the longer side of each; 0: as they are
    """
    result = Part10(b"", original.meta, done.dataset, done.transfer_syntax, 0, original.source)
    looked = done.report.pixels
    try:
        before, after = (FrameReader(each).picture(frame - 1) for each in (original, result))
    except (CannotDecode, Malformed, IndexError):
        return None
    boxes = () if looked is None else [each for each in looked.hidden if each.frame in (0, frame)]
    left, right = _small(outlined(before, boxes), edge), _small(_colours(after), edge)
    gap = np.full((left.shape[0], _GAP, 3), 128, np.uint8)
    return png(np.concatenate((left, gap, right), axis=1))


def outlined(picture: Picture, hidden: Iterable[Hidden]) -> Picture:
    """Return the picture in colours, with an outline just outside of each box."""
    drawn = _colours(picture).copy()
    rows, columns = drawn.shape[:2]
    thick = max(1, max(rows, columns) // 800)
    for each in hidden:
        left, top, right, bottom = each.box
        outer = np.s_[max(0, top - thick) : bottom + thick, max(0, left - thick) : right + thick]
        inner = drawn[top:bottom, left:right].copy()
        drawn[outer] = _OUTLINE
        drawn[top:bottom, left:right] = inner
    return drawn


def _colours(picture: Picture) -> Picture:
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def _small(picture: Picture, edge: int) -> Picture:
    step = 1 if not edge else max(1, -(-max(picture.shape[:2]) // edge))
    return picture[::step, ::step]
