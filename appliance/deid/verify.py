"""The second look: is anything of the original's identity still in the result?

It knows nothing of the rules but which elements the engine put in place or an option kept on purpose; everything else
that remains, at any depth, of any VR, is searched. A new value that we made is no hit, by identity and not by equality.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from appliance.deid.clues import Clues
from appliance.deid.haystack import LEAST_IN_BYTES, Haystack, haystack
from appliance.deid.packed import unpacked
from appliance.deid.romanised import bones_of
from appliance.deid.written_dates import dates_in
from appliance.dicom.element import Bulk, DataSet, Element, tag_text

_WORD = re.compile(r"[^\W\d_]+")
_ALNUM = re.compile(r"[a-z0-9]+")
_DIGITS = re.compile(r"\d+")
_BLANKS = re.compile(" {2,}")
_UID = re.compile(r"(?<![\d.])[0-2](?:\.\d+){3,}")
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LEAST_INSIDE = 7  # letters of a name that is searched within longer words too
_LEAST_DIGITS = 8  # a shorter number of digits only is also a measurement, a time, a size
_LEAST_SQUEEZED = 6  # of a number with letters in it that is searched with other marks between
_LEAST_BARE = 4  # digits of a number without its leading zeros
_SQUEEZE = dict.fromkeys(map(ord, " \t-_./\\:#+,;()[]^=*|\"'"))
_LOOKS_LIKE = str.maketrans("i1|!05$8347@", "llllossbeata")  # what scanners of paper, and people, write for a letter
# A number too short to be believed by itself, behind a word that announces one.
_ANNOUNCED = re.compile(
    r"(?<![a-z])(?:id|mrn|pid|pat|patient|case|fall|nr|no|num|number|nummer|chart|record|akte)(?:[ ._]?(?:id|nr|no))?"
    r"[ .:#=_-]{0,3}0*(\d{2,3})(?![\d.,])"
)
_CHUNK = 1 << 20
_LONGEST_CLUE = 256
_PACKED_MOST = 16 << 20  # bytes of a large value that are looked into for packed ones


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What is searched for. Made once for an instance.

    uids   original UIDs that were replaced
    dates  original dates that were moved or removed, YYYYMMDD, besides the clues'
    """

    clues: Clues
    uids: frozenset[str]
    dates: frozenset[str] = frozenset()
    _long: tuple[tuple[str, str], ...] = field(init=False, repr=False)  # parts of names, and as they are misread

    def __post_init__(self) -> None:
        long = tuple((word, _misread(word)) for word in self.clues.words if len(word) >= _LEAST_INSIDE)
        object.__setattr__(self, "_long", long)

    def first_hit(
        self,
        result: DataSet,
        expected: Container[int],
        read: Callable[[Bulk], Iterable[bytes]],
        *,
        dated: Container[int] = frozenset(),
    ) -> str | None:
        """Return the tag path of the first element that identifies, or None.

        expected  ``id()`` of elements that are not searched
        dated     ``id()`` of texts with moved dates in them, which may be equal to another of the original's dates
        read      gives the bytes of a Bulk in pieces; pixel data is never asked for
        """
        values: list[tuple[Element, DataSet]] = []
        _gather(result, expected, values)
        moved = [(element, data_set) for element, data_set in values if id(element) in dated]
        others = [(element, data_set) for element, data_set in values if id(element) not in dated] if moved else values
        bulks = [element.value for element, _ in values if isinstance(element.value, Bulk)]
        if not (
            self._is_in(others)
            or (moved and self._is_in(moved, moved=True))
            or any(self._in_bulk(read(bulk)) for bulk in bulks)
        ):
            return None
        for path, element, data_set in _paths(result, ""):
            if id(element) in expected:
                continue
            if self._is_in([(element, data_set)], moved=id(element) in dated) or (
                type(element.value) is Bulk and self._in_bulk(read(element.value))
            ):
                return path
        return None  # pragma: no cover - what is found in all is found in one

    def _is_in(self, values: list[tuple[Element, DataSet]], *, moved: bool = False) -> bool:
        """Whether any value holds a clue: words and numbers are compared as sets, so that the size hardly matters.

        moved  texts with moved dates: the dates that were moved are not looked for
        """
        hay = haystack(values)
        dates = self.clues.dates if moved else self.clues.dates | self.dates
        return (
            self._has_words(hay.texts)
            or self._has_words_otherwise(hay.texts)
            or self._has_words(hay.numbers)
            or self._has_words(hay.raw, least=LEAST_IN_BYTES)
            or self._has_uids(f"{hay.uids}\n{hay.texts}")
            or self._has_uids(hay.raw)
            or self._has_numbers(f"{hay.texts}\n{hay.uids}", among_words=True)
            or self._has_numbers(f"{hay.numbers}\n{hay.raw}", among_words=False)
            or self._has_number_otherwise(hay)
            or self._has_dates(hay, dates)
        )

    def _has_words(self, text: str, *, least: int = 1) -> bool:
        """Whether a part of a name stands in ``text``; ``least``: bytes of a part that is believed."""
        words = {word for word in self.clues.words if len(word.encode("utf-8")) >= least}
        found = _WORD.findall(text)
        if not words.isdisjoint(found) or not self.clues.cut.isdisjoint(found):
            return True
        if any(word in text for word in words if len(word) >= _LEAST_INSIDE or not word.isascii()):
            return True
        if "  " in text:
            text = _BLANKS.sub(" ", text)
        return any(phrase in text for phrase in self.clues.phrases)

    def _has_words_otherwise(self, text: str) -> bool:
        """Whether a long name stands in what people wrote with marks between its letters, backwards, or misread."""
        if self._long:
            squeezed = text.translate(_SQUEEZE)
            searched = f"{squeezed}\n{squeezed[::-1]}\n{_misread(squeezed)}"
            if any(word in searched or misread in searched for word, misread in self._long):
                return True
        return bool(self.clues.bones) and not self.clues.bones.isdisjoint(map(bones_of, _WORD.findall(text)))

    def _has_uids(self, text: str) -> bool:
        return bool(self.uids) and not self.uids.isdisjoint(_UID.findall(text))

    def _has_numbers(self, text: str, *, among_words: bool) -> bool:
        """Whether a number stands in ``text``; short digits are believed among words, not among numbers."""
        tokens = set(_ALNUM.findall(text))
        for number in self.clues.numbers:
            if number.isdigit() and len(number) < _LEAST_DIGITS and not among_words:
                continue
            if number in tokens or (_ALNUM.fullmatch(number) is None and number in text):
                return True
        return False

    def _has_number_otherwise(self, hay: Haystack) -> bool:
        """Whether a number stands among words in another form: other marks, no leading zeros, short but announced."""
        squeezed = hay.texts.translate(_SQUEEZE)
        for number in self.clues.numbers:
            plain = number.translate(_SQUEEZE).lstrip("0")
            if len(plain) >= (_LEAST_DIGITS if plain.isdigit() else _LEAST_SQUEEZED) and plain in squeezed:
                return True
        bare = {number.lstrip("0") for number in self.clues.numbers if number.isdigit() and number[0] == "0"}
        bare = {number for number in bare if len(number) >= _LEAST_BARE}
        if bare and not bare.isdisjoint(_DIGITS.findall(hay.texts)):
            return True
        return bool(self.clues.short) and not self.clues.short.isdisjoint(_ANNOUNCED.findall(hay.texts))

    def _has_dates(self, hay: Haystack, dates: Iterable[str]) -> bool:
        """Whether a date stands in a text in any way of writing, or in a number or bytes as YYYYMMDD."""
        wanted = frozenset(dates)
        if not wanted:
            return False
        found = _DIGITS.findall(f"{hay.texts}\n{hay.numbers}\n{hay.raw}")
        if not wanted.isdisjoint(digits[:8] for digits in found if len(digits) in (8, 12, 14)):
            return True
        if not {otherwise for date in self.clues.dates for otherwise in _in_digits(date)}.isdisjoint(found):
            return True
        if not {short for date in self.clues.dates for short in _in_six_digits(date)}.isdisjoint(
            _DIGITS.findall(hay.texts)
        ):
            return True
        ends = [(date[2:4], str(int(date[6:]))) for date in wanted]
        for line in hay.texts.split("\n"):
            if any(year in line and day in line for year, day in ends):
                for written in dates_in(line):
                    certain = wanted if written.whole_year else self.clues.dates
                    if not certain.isdisjoint(written.readings):
                        return True
        return False

    def _in_bulk(self, pieces: Iterable[bytes]) -> bool:
        """Whether a large value holds a clue, as ASCII or UTF-16, packed ones in its beginning included."""
        clues = [
            clue.encode("ascii")
            for clue in (*self.clues.words, *self.clues.phrases, *self.clues.numbers, *self.clues.dates, *self.uids)
            if clue.isascii() and len(clue) >= _LEAST_INSIDE
        ]
        before, seen = b"", 0
        for piece in pieces:
            inside = unpacked(piece) if seen < _PACKED_MOST else ()
            seen += len(piece)
            for part in (piece, *inside):
                window = before + part.replace(b"\0", b"").lower()
                if any(clue in window for clue in clues):
                    return True
            before = (before + piece.replace(b"\0", b"").lower())[-_LONGEST_CLUE:]
        return False


def _misread(text: str) -> str:
    return text.translate(_LOOKS_LIKE).replace("rn", "m").replace("vv", "w")


def _in_digits(date: str) -> tuple[str, ...]:
    """Day first, month first, and backwards, of YYYYMMDD: eight digits each."""
    year, month, day = date[:4], date[4:6], date[6:]
    return day + month + year, month + day + year, date[::-1]


def _in_six_digits(date: str) -> tuple[str, ...]:
    year, month, day = date[2:4], date[4:6], date[6:]
    return year + month + day, day + month + year


def _gather(data_set: DataSet, expected: Container[int], into: list[tuple[Element, DataSet]]) -> None:
    for tag, element in data_set.elements.items():
        value = element.value
        if type(value) is list:
            for item in value:
                _gather(item, expected, into)
        elif value and tag not in _PIXELS and id(element) not in expected:
            into.append((element, data_set))


def _paths(data_set: DataSet, path: str) -> Iterator[tuple[str, Element, DataSet]]:
    for element in data_set:
        at = path + tag_text(element.tag)
        if type(element.value) is list:
            for number, item in enumerate(element.value):
                yield from _paths(item, f"{at}[{number}].")
        elif element.tag not in _PIXELS:
            yield at, element, data_set


def pieces(file: BinaryIO, bulk: Bulk) -> Iterator[bytes]:
    """Yield the bytes of a Bulk, a MiB at a time; ``file``: what the tree was read from."""
    file = bulk.lies_in(file)
    for at in range(bulk.offset, bulk.offset + bulk.length, _CHUNK):
        file.seek(at)
        yield file.read(min(_CHUNK, bulk.offset + bulk.length - at))
