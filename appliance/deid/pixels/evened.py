"""What the network for ink is shown: a picture, and the same with one contrast everywhere, as faint text stands out."""

import cv2
import numpy as np
from numpy.typing import NDArray

_WINDOW = 33  # pixels about each one that its contrast is measured against
AROUND = _WINDOW // 2  # on each side of it
_FLAT = 6.0  # greys of deviation; what is flatter than that is not stretched any further
_MOST = 4.0  # deviations


def shown(greys: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return (2, R, C): greys from -1 to 1, and by how many deviations of its surroundings each pixel stands out."""
    values = greys.astype(np.float32)
    mean = cv2.blur(values, (_WINDOW, _WINDOW))
    deviation = np.sqrt(np.maximum(cv2.blur(values * values, (_WINDOW, _WINDOW)) - mean * mean, _FLAT**2))
    return np.stack((values / 127.5 - 1.0, np.clip((values - mean) / deviation, -_MOST, _MOST)))
