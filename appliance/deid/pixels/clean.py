"""Cleaning the pixels of one image: decode, look, hide, encode, and look again at what was made of it.

One frame is in memory at a time. Whatever cannot be done ends in a refusal with its reason.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from appliance.deid.outcome import Hidden, Looked, Refused
from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.changed_frames import frames_to_look_at
from appliance.deid.pixels.looking import Ask, Cleaned
from appliance.deid.pixels.mask import mask, overlay_bits
from appliance.deid.pixels.places import Picture, Place, bounded, place, to_hide
from appliance.deid.pixels.policy import Text
from appliance.deid.pixels.regions import known_regions
from appliance.deid.pixels.search_region import Finder, search_region
from appliance.deid.pixels.second_look import looked_at_twice
from appliance.deid.scopes import readable
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import Recoded
from appliance.dicom.element import DataSet, Tag
from appliance.dicom.part10 import Part10
from appliance.dicom.query import numbers_of
from appliance.errors import CannotDecode, CannotEncode, CannotLook, Malformed
from appliance.reasons import Reason

READABLE = 0.6  # confidence of a text that is worth another round
ROUNDS = 3  # of hiding and looking again: a word may come to light when a larger one beside it is gone
_ROWS, _COLUMNS = 0x00280010, 0x00280011


@dataclass(frozen=True, slots=True)
class Searched:
    """What the search found.

    frames  how many were looked at
    found   (frame, what): everything, also what may stay
    places  what is to be hidden
    """

    frames: int
    found: tuple[tuple[int, Found], ...]
    places: tuple[Place, ...]


@dataclass(slots=True)
class Cleaner:
    """Implements ``Pixels``.

    find        makes the search engine, at the first image that needs it
    scratch     gives an empty file for new pixel data, which lives as long as the result is wanted
    max_pixels  of a frame that is looked at
    step        is called before each frame, each time one is looked at, compared or written
    """

    find: Callable[[], Finder]
    scratch: Callable[[], BinaryIO]
    max_pixels: int
    step: Callable[[], None] = lambda: None
    _finder: Finder | None = field(default=None)

    def clean(self, original: Part10, ask: Ask) -> Cleaned | Refused:
        """See ``Pixels.clean``."""
        size = [_number(original.dataset, tag) for tag in (_ROWS, _COLUMNS)]
        if size[0] * size[1] > self.max_pixels:
            return Refused(Reason.PIXELS_TOO_LARGE, f"{ask.task.rule} A frame has {size[1]} x {size[0]} pixels.")
        try:
            return self._cleaned(FrameReader(original), ask)
        except (CannotDecode, CannotEncode, Malformed) as error:
            return Refused(Reason.PIXELS_UNDECODABLE, f"{ask.task.rule} {error}")
        except CannotLook as error:
            return Refused(Reason.BURNED_IN_RISK, f"{ask.task.rule} {error}")
        except MemoryError:
            return Refused(Reason.PIXELS_TOO_LARGE, f"{ask.task.rule} The memory did not suffice.")

    def _cleaned(self, reader: FrameReader, ask: Ask) -> Cleaned | Refused:
        fixed = _fixed(reader, ask)
        if isinstance(fixed, Refused):
            return fixed
        first = Searched(0, (), ()) if ask.task.text is Text.NONE else self._search(reader, ask)
        places, recoded, named = list(first.places), None, _naming(first.found, ask)
        if fixed or places or overlay_bits(reader.original.dataset, reader.form):
            recoded, named = self._hidden_and_proven(reader, [box for _, box in fixed], places, ask)
        if ask.prove and named:
            return Refused(Reason.TEXT_LEFT, f"{ask.task.rule} It stands in frame {named[0] + 1}.")
        looked = Looked(
            rule=ask.task.rule,
            frames=reader.form.frames,
            searched=first.frames,
            engine="" if self._finder is None else self._engine,
            hidden=(*(_told(0, box, cause) for cause, box in fixed), *(self._found(each) for each in places)),
        )
        if recoded is None:
            return Cleaned(looked, reader.form.transfer_syntax)
        return Cleaned(looked, recoded.transfer_syntax, recoded.put, recoded.remove)

    def _hidden_and_proven(
        self, reader: FrameReader, fixed: Sequence[Box], places: list[Place], ask: Ask
    ) -> tuple[Recoded, list[int]]:
        """Return the pixels with all hidden, and the frames of them in which a text was found that names the patient.

        Adds to ``places`` what can be read only now. That is hidden, too; what it leaves is searched again only while
        it names the patient: black adds no text.
        """
        room, turn = self.scratch(), 0
        while True:
            turn += 1
            recoded = _hidden(reader, fixed, places, room, self.step)
            again = self._search(_result(reader.original, recoded), ask)
            named = _naming(again.found, ask)
            more = [each for each in again.places if each.found.confidence >= READABLE]
            if not more or ask.task.text is Text.NONE:
                return recoded, named
            places += more
            if not named or turn == ROUNDS:
                return _hidden(reader, fixed, places, room, self.step), named

    def _search(self, reader: FrameReader, ask: Ask) -> Searched:
        """Look at every frame that shows something new."""
        finder = self._finder = self._finder or self.find()
        seen: list[Picture] = []
        looks: list[tuple[int, Box]] = []
        found: list[tuple[int, Found]] = []
        shown: list[Place] = []  # as the window shows the frame
        beyond: list[Place] = []  # only as another one might: no mean of what the window shows can tell
        for number, region in frames_to_look_at(_remembered(_pictures(reader, self.step), seen)):
            for picture in _ways(reader, number, seen[-1]):
                places = shown if picture is seen[-1] else beyond
                there, region = search_region(finder, picture, region)
                for each in there:
                    found.append((number, each))
                    if ask.task.text is not Text.IDENTIFYING or not ask.judge.may_stay(each):
                        places.append(place(number, each, seen[-1]))
            looks.append((number, region))
        shown, beyond = ([bounded(each, looks) for each in places] for places in (shown, beyond))
        if len(looks) > 1:
            shown = looked_at_twice(shown, _pictures(reader, self.step), finder, self.step)
        return Searched(len(looks), tuple(found), (*shown, *beyond))

    def _found(self, each: Place) -> Hidden:
        return _told(each.frame + 1, each.found.box, self._engine)

    @property
    def _engine(self) -> str:
        return "" if self._finder is None else f"{self._finder.name} {self._finder.version}"


def _fixed(reader: FrameReader, ask: Ask) -> tuple[tuple[str, Box], ...] | Refused:
    """Return (who says so, what) of all that is hidden in every frame, clipped to the frame; or why it cannot be."""
    form, original = reader.form, reader.original
    known: tuple[tuple[str, Box], ...] = ()
    if ask.task.regions:
        data = readable(original.dataset)
        known = known_regions(data, original.meta, ask.devices, rows=form.rows, columns=form.columns)
    boxes = [(cause, box.within(rows=form.rows, columns=form.columns)) for cause, box in (*ask.task.boxes, *known)]
    beyond = next((cause for cause, box in boxes if not box.area), None)
    if beyond is not None:
        return Refused(Reason.RULE, f"{ask.task.rule} {beyond}: a box lies wholly beyond the picture.")
    if not boxes and ask.task.text is Text.NONE:
        return Refused(Reason.BURNED_IN_RISK, f"{ask.task.rule} No region is known for this device.")
    return tuple(boxes)


def _hidden(
    reader: FrameReader, fixed: Sequence[Box], places: Sequence[Place], room: BinaryIO, step: Callable[[], None]
) -> Recoded:
    """Write all frames into ``room``, from its beginning, what is to be hidden black."""

    def boxes(number: int) -> Sequence[Box]:
        step()
        if not places:
            return fixed
        return [*fixed, *to_hide(places, number, reader.picture(number))]

    room.seek(0)
    room.truncate()
    return mask(reader, boxes, room)


def _pictures(reader: FrameReader, step: Callable[[], None]) -> Iterator[Picture]:
    for number in range(reader.form.frames):
        step()
        yield reader.picture(number)


def _remembered(pictures: Iterable[Picture], last: list[Picture]) -> Iterator[Picture]:
    """Yield the pictures; ``last`` holds the one that was yielded last."""
    for picture in pictures:
        last[:] = [picture]
        yield picture


def _ways(reader: FrameReader, number: int, picture: Picture) -> Iterator[Picture]:
    """Yield the frame as its window shows it and, where that may hide something, as any other window might."""
    yield picture
    if reader.form.bits_allocated > 8:
        whole = reader.picture(number, windowed=False)
        if not np.array_equal(whole, picture):
            yield whole


def _naming(found: Iterable[tuple[int, Found]], ask: Ask) -> list[int]:
    """Return the frames whose texts, one by one or one behind the other, name the patient."""
    texts: dict[int, list[Found]] = {}
    for number, each in found:
        texts.setdefault(number, []).append(each)
    return [
        number
        for number, there in sorted(texts.items())
        if ask.judge.identifies([each.text for each in sorted(there, key=_reading) if each.text])
    ]


def _reading(found: Found) -> tuple[int, int]:
    """Order of reading: by lines, from the left."""
    middle = (found.box.top + found.box.bottom) // 2
    return middle // max(1, found.box.height), found.box.left


def _result(original: Part10, recoded: Recoded) -> FrameReader:
    """Return a reader of the pixels as they will be written."""
    data = DataSet(dict(original.dataset.elements), original.dataset.little_endian, original.dataset.charsets)
    recoded.apply(data)
    return FrameReader(
        Part10(b"", original.meta, data, recoded.transfer_syntax, original.dataset_offset, original.source)
    )


def _told(frame: int, box: Box, cause: str) -> Hidden:
    return Hidden(frame, (box.left, box.top, box.right, box.bottom), cause)


def _number(data: DataSet, tag: Tag) -> int:
    element = data.get(tag)
    numbers = [] if element is None else numbers_of(element, data)
    return int(numbers[0]) if numbers else 0
