"""Small images with a patient's name burned in, as scanners make them: an ultrasound, a cine, a screen.

picture = burned_in.picture(320, 240, [("ZWIRNLEIN, QUASIMODO", 8, 6)])
data = burned_in.us([picture], patient="Zwirnlein^Quasimodo")
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from tests.make import make
from tests.make.phantoms import drawn

SIZE = 18  # of the font


def picture(columns: int, rows: int, texts: Sequence[tuple[str, int, int]], *, seed: int = 0) -> np.ndarray:
    """(R, C, 3) RGB: a sector of speckle on black, and the texts (words, left, top) in white."""
    across, down = np.meshgrid(np.arange(columns) - columns / 2, np.arange(rows))
    reach = np.hypot(across, down)
    sector = (np.abs(across) < down * 0.8) & (reach < rows * 0.95) & (reach > rows * 0.3)
    speckle = np.random.default_rng(seed).gamma(2.0, 18.0, (rows, columns)).clip(0, 160)
    grey = np.where(sector, speckle, 0).astype(np.uint8)
    for words, left, top in texts:
        glyphs = drawn(words, "dejavu/DejaVuSans.ttf", SIZE)
        height, width = glyphs.shape
        grey[top : top + height, left : left + width] = np.maximum(
            grey[top : top + height, left : left + width], (glyphs * 255).astype(np.uint8)
        )
    return np.repeat(grey[..., None], 3, axis=2)


def us(pictures: Sequence[np.ndarray], *, region: tuple[int, int, int, int] | None = None, **more: Any) -> Dataset:
    """An ultrasound, or a cine of it. region: left, top, right and bottom, its last column and row included."""
    data = make.us(frames=len(pictures), **more)
    _pixels(data, pictures)
    if region is None:
        del data.SequenceOfUltrasoundRegions
        return data
    item = Dataset()
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = 1, 1, 0
    item.RegionLocationMinX0, item.RegionLocationMinY0, item.RegionLocationMaxX1, item.RegionLocationMaxY1 = region
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX = item.PhysicalDeltaY = 0.1
    data.SequenceOfUltrasoundRegions = Items([item])
    return data


def screen(shown: np.ndarray, **more: Any) -> Dataset:
    """A secondary capture."""
    data = make.secondary_capture(**more)
    _pixels(data, [shown])
    return data


def _pixels(data: Dataset, pictures: Sequence[np.ndarray]) -> None:
    data.Rows, data.Columns = pictures[0].shape[:2]
    data.PixelData = np.stack(pictures).tobytes()
    data["PixelData"].VR = "OB"
