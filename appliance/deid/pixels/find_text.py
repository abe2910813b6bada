"""Finding text in a picture: places are proposed freely, read, and kept if they can be read or look like a line.

Made for hiding: a place too many costs some pixels, a place too few a name. Local, deterministic, without a network
connection. Measured in tests/bench/bench_pixels_text.py on images whose texts are known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.outline import Outline
from appliance.deid.pixels.read_text import Reader, Reading
from appliance.deid.pixels.see_ink import InkSeer
from appliance.deid.pixels.see_text import LARGE, Proposal, Seer
from appliance.deid.pixels.strokes import strokes
from appliance.deid.pixels.text_boxes import (
    crossed,
    each_once,
    is_part,
    lengthened,
    merged,
    outermost,
    same_line,
    says_no_more,
    stretched,
)
from appliance.deid.pixels.text_models import NAME, engine_version
from appliance.errors import CannotLook

LARGEST = 100_000_000  # pixels of a picture that is looked at
_READABLE = 0.6  # confidence of a reading that proves text
_LINE = (0.7, 2.5)  # a score and a length in heights that prove a line of text, in a script that cannot be read too
_LETTER = (0.8, 1500)  # a score that proves a single letter, and its pixels at most; a larger place must hold two
_HIGH = 64  # pixels of a line; in a large picture one may be higher, by a share of its shorter side:
_UNREAD_HIGH, _HIGHEST = 0.04, 0.12  # what cannot be read, and what reads somehow
_ALONE = 0.9  # confidence of a single letter that the network passed over
_SHORT, _TURNED = {2: 0.9}, 0.75  # confidence of so few letters that it passed over, and of a line that is not level
_MOST_READ = 500  # such places of a picture; where there are more, it is full of grain
_DOUBTED = 0.4  # a score below which a larger place is text only if it reads well, as one beyond the highest is
_DOUBTFUL, _SURE = 0.2, 0.55  # scores of ink from which a line is read, and from which it is hidden unread, too
_WHOLE = 0.65  # a score of ink from which a line is seen whole; below it is read on at its ends
_MARGIN, _ENDS = 1, 0.2  # pixels about a line's ink that are hidden, and heights of it more at either end
_KNOWN = 0.95  # of what the other network drew, that lies in such lines, and is no place of its own
_READ_MARGIN = 8  # of a line's height that is read on each side of it
_SPECK = (0.25, 200)  # a score and pixels below which a place is not worth reading: if it is a letter, its ink tells
_WELL = (0.8, 3)  # a confidence, and a number of letters
_WAYS = ((2.0, 2.0), (2.0, 0.0), (0.0, 2.0))  # heights before a line and behind it: the network may leave out a word
_STRAY = 1.2  # heights beyond the first and the last letter that was read in a row of strokes
_LESS_SURE = 0.1  # that the reading of a longer line may be, or what was added is no text
_END = 0.8  # heights from the middle of a line's last letter to its end
_UNREAD = 0.5  # heights more at either end of what looks like a line and cannot be read


class TextFinder:
    """Finds text with three networks in memory, some 150 MB; make one for each process, and keep it.

    Raises CannotLook when the engine or its models are missing or not the ones that were tested.
    """

    name = NAME

    def __init__(self, *, threads: int = 1) -> None:
        cv2.setNumThreads(threads)  # or it starts one for each core, in each of several workers
        self.version = engine_version()
        self._seer, self._reader, self._ink = Seer(threads=threads), Reader(threads=threads), InkSeer(threads=threads)

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
        outline = Outline(picture)
        found = list(self._inked(picture, outline))
        known = _drawn((text.box for text in found), picture)
        for proposal in merged(self._seer.proposals(picture)):
            core = proposal.core
            if known[core.top : core.bottom, core.left : core.right].mean() < _KNOWN:
                text = self._judged(picture, proposal, outline)
                found += [] if text is None else [text]
        found = self._with_strokes(picture, each_once(found), outline)
        return sorted(outermost(found), key=lambda text: (text.box.top, text.box.left))

    def _inked(self, picture: NDArray[np.uint8], outline: Outline) -> Iterator[Found]:
        """Yield the lines that the network for ink is sure of, and those it doubts that can be read or go on in one."""
        believed: list[Box] = []
        for line in self._ink.lines(picture):  # the surest first
            goes_on = any(same_line(text, line.box) for text in believed)
            if line.score < _DOUBTFUL and not goes_on:
                continue
            shown = _within(line.box.grown(1 + _short(line.box) // _READ_MARGIN), picture)
            reading = self._reader.read(picture, shown)
            read = reading.letters and reading.confidence >= (_ALONE if reading.letters == 1 else _least(reading))
            if not read and line.score < _SURE and not goes_on:
                continue
            believed.append(line.box)
            box = _within(stretched(line.box, _ENDS, _ENDS).grown(_MARGIN), picture)
            if read and reading.letters > 1 and line.score < _WHOLE:
                whole = self._whole_line(picture, Proposal(line.box, shown, line.score), reading, outline)
                yield replace(whole, box=box.around([whole.box]))
            else:
                yield Found(box, *((reading.text, reading.confidence) if read else ("", 0.0)))

    def _with_strokes(self, picture: NDArray[np.uint8], known: list[Found], outline: Outline) -> list[Found]:
        """Return what is known, as far as its letters go, and what the network passed over and the reader reads."""
        rows, columns = picture.shape[:2]
        found, new = list(known), dict[Box, int]()
        large = rows * columns > LARGE
        for each in strokes(picture):
            if large and not each.alone:
                continue  # rows of letters this large are seen by their ink
            place = next((n for n, text in enumerate(known) if same_line(text.box, each.box)), None)
            part = next((n for n, text in enumerate(known) if each.alone and is_part(text, each.box)), None)
            if place is not None:
                found[place] = replace(found[place], box=lengthened(found[place].box, each.box))
            elif part is not None:
                found[part] = replace(found[part], box=found[part].box.around([each.box]))
            elif each.clear and min(each.box.width, each.box.height) <= max(_HIGH, _HIGHEST * min(rows, columns)):
                new.setdefault(each.box, each.letters)
        largest = sorted(new.items(), key=lambda place: (-place[0].area, place[0].top, place[0].left))
        for ink, letters in largest[:_MOST_READ]:
            if any(same_line(text.box, ink) or crossed(text.box, ink) for text in found):
                continue
            box = ink.grown(max(2, min(ink.width, ink.height) // 5)).within(rows=rows, columns=columns)
            reading = self._reader.read(picture, box)
            text = self._read_strokes(picture, ink, box, letters, reading, outline)
            if text is not None and not says_no_more(text, found):
                found.append(text)
        return found

    def _read_strokes(
        self,
        picture: NDArray[np.uint8],
        ink: Box,
        box: Box,
        letters: int,
        reading: Reading,
        outline: Outline,
    ) -> Found | None:
        """Return the text if ``reading``, of ``box``, proves that the strokes in ``ink``, so many of them, are some."""
        if letters == 1 and reading.letters == 1 and reading.confidence >= _ALONE:
            return Found(outline.fitted(box, ink), reading.text, reading.confidence)
        if letters == 1 or reading.letters < 2 or reading.confidence < _least(reading):
            return None
        line = reading.span(box, _STRAY)  # without what stands in one row with it, but is no letter
        core = Box(
            max(line.left, ink.left), max(line.top, ink.top), min(line.right, ink.right), min(line.bottom, ink.bottom)
        )
        return self._whole_line(picture, Proposal(core, line, reading.confidence), reading, outline)

    def _judged(self, picture: NDArray[np.uint8], proposal: Proposal, outline: Outline) -> Found | None:
        box = proposal.box
        if proposal.score < _SPECK[0] and box.area <= _SPECK[1]:
            return None
        reading = self._reader.read(picture, box)
        short, long = sorted((box.width, box.height))
        side = min(picture.shape[:2])
        doubted = proposal.score < _DOUBTED and box.area > _LETTER[1]
        if doubted or short > max(_HIGH, _HIGHEST * side):
            if reading.confidence < _WELL[0] or reading.letters < _WELL[1]:
                return None
            return Found(outline.fitted(box, proposal.core), reading.text, reading.confidence)
        if reading.confidence >= _READABLE and reading.letters > 1:
            return self._whole_line(picture, proposal, reading, outline)
        if proposal.score > _LINE[0] and long > _LINE[1] * short and short <= max(_HIGH, _UNREAD_HIGH * side):
            rows, columns = picture.shape[:2]
            longer = stretched(box, _UNREAD, _UNREAD).within(rows=rows, columns=columns)
            return Found(outline.fitted(longer, proposal.core), "", 0.0)
        letter = (reading.confidence >= _WELL[0] and reading.letters == 1) or proposal.score > _LETTER[0]
        if letter and box.area <= _LETTER[1]:
            return Found(outline.fitted(box, proposal.core), reading.text, reading.confidence)
        return None

    def _whole_line(self, picture: NDArray[np.uint8], proposal: Proposal, reading: Reading, outline: Outline) -> Found:
        """Return the line, with the words before and behind it that the network left out, if any can be read."""
        rows, columns = picture.shape[:2]
        box = proposal.box
        for before, behind in _WAYS:
            longer = stretched(box, before, behind).within(rows=rows, columns=columns)
            more = self._reader.read(picture, longer).without_doubtful_ends()
            if more.letters > reading.letters and more.confidence >= max(_WELL[0], reading.confidence - _LESS_SURE):
                box, reading = more.span(longer, _END).around([box]), more
        return Found(outline.fitted(box, proposal.core), reading.text, reading.confidence)


def _within(box: Box, picture: NDArray[np.uint8]) -> Box:
    return box.within(rows=picture.shape[0], columns=picture.shape[1])


def _short(box: Box) -> int:
    return min(box.width, box.height)


def _drawn(boxes: Iterable[Box], picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (R, C), True in the boxes."""
    drawn = np.zeros(picture.shape[:2], dtype=np.bool_)
    for box in boxes:
        drawn[box.top : box.bottom, box.left : box.right] = True
    return drawn


def _least(reading: Reading) -> float:
    """Return the confidence that proves a line which the network passed over: speckle reads as some letters, too."""
    return max(_SHORT.get(reading.letters, _READABLE), _TURNED if reading.turn else 0.0)
