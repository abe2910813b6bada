"""Finding text in a picture: places are proposed freely, read, and kept if they can be read or look like a line.

Made for hiding: a place too many costs some pixels, a place too few a name. Local, deterministic, without a network
connection. Measured in tests/bench/bench_pixels_text.py on images whose texts are known.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.read_text import Reader
from appliance.deid.pixels.see_text import Proposal, Seer
from appliance.deid.pixels.text_models import NAME, engine_version
from appliance.errors import CannotLook

LARGEST = 100_000_000  # pixels of a picture that is looked at
_READABLE = 0.6  # confidence of a reading that proves text
_LINE = (0.7, 2.5)  # a score and a length in heights that prove a line of text, in a script that cannot be read too
_SMALL = 150  # pixels: too few to be worth the doubt; hidden anyway
_LETTER = 1500  # pixels of a single letter at most; a larger place must hold two to be text


class TextFinder:
    """Finds text with two networks in memory, some 150 MB; make one for each process, and keep it.

    Raises CannotLook when the engine or its models are missing or not the ones that were tested.
    """

    name = NAME

    def __init__(self, *, threads: int = 1) -> None:
        self.version = engine_version()
        self._seer, self._reader = Seer(threads=threads), Reader(threads=threads)

    def find(self, picture: NDArray[np.uint8]) -> list[Found]:
        """Return the places that look like text, from top to bottom; their boxes may overlap.

        picture  uint8, (R, C) grey or (R, C, 3) RGB, as a reader would see it; not modified
        Raises CannotLook for any other shape and for a picture beyond ``LARGEST``.
        """
        if picture.dtype != np.uint8 or not (picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)):
            raise CannotLook(
                f"A picture of shape {picture.shape} and type {picture.dtype} cannot be looked at for text."
            )
        if picture.shape[0] * picture.shape[1] > LARGEST:
            raise CannotLook(
                f"A picture of {picture.shape[1]}x{picture.shape[0]} pixels is too large to look at for text."
            )
        if not picture.size:
            return []
        found = [text for proposal in self._seer.proposals(picture) if (text := self._judged(picture, proposal))]
        return sorted(_each_once(found), key=lambda text: (text.box.top, text.box.left))

    def _judged(self, picture: NDArray[np.uint8], proposal: Proposal) -> Found | None:
        box = proposal.box
        text, confidence = self._reader.read(picture, box)
        long, short = max(box.width, box.height), min(box.width, box.height)
        like_a_line = proposal.score > _LINE[0] and long > _LINE[1] * short
        reads = confidence >= _READABLE and (box.area <= _LETTER or len(text.strip()) > 1)
        if reads or like_a_line or box.area <= _SMALL:
            return Found(box, text if reads else "", confidence if reads else 0.0)
        return None


def _each_once(found: Iterable[Found]) -> list[Found]:
    """Without what lies wholly within another place that is read as surely."""
    kept: list[Found] = []
    for text in sorted(found, key=lambda text: (-text.box.area, -text.confidence)):
        if not any(_holds(other.box, text.box) and other.confidence >= text.confidence for other in kept):
            kept.append(text)
    return kept


def _holds(outer: Box, inner: Box) -> bool:
    return outer.around([inner]) == outer
