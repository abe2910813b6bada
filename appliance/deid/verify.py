"""The second look: is anything of the original's identity still in the result?

It knows nothing of the rules but which elements the engine put in place or an option kept on purpose; everything else
that remains, at any depth, of any VR, is searched. A new value that we made is no hit, by identity and not by equality.
"""

import re
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from appliance.deid.clues import Clues, folded, spellings
from appliance.dicom.element import Bulk, DataSet, Element, tag_text
from appliance.dicom.text import decode

_WORD = re.compile(r"[^\W\d_]+")
_ALNUM = re.compile(r"[a-z0-9]+")
_BLANKS = re.compile(" {2,}")
_UID = re.compile(r"(?<![\d.])[0-2](?:\.\d+){3,}")
_TEXT_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UR", "UT"})
_NUMBER_VRS = frozenset({"AS", "DA", "DS", "DT", "IS", "TM"})
_AS_TEXT = {"CS": "LO", "AE": "LO", "UR": "UT"}  # a name in a code's place is written like a text all the same
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_LEAST_IN_BYTES = 5  # of a word as UTF-8: shorter ones come about by chance among numbers
_LEAST_INSIDE = 7  # letters of a name that is searched within longer words too
_LEAST_DIGITS = 8  # a shorter number of digits only is also a measurement, a time, a size
_CHUNK = 1 << 20
_LONGEST_CLUE = 256


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What is searched for. Made once for an instance.

    uids   original UIDs that were replaced
    dates  original dates that were moved or removed, YYYYMMDD, besides the clues'
    """

    clues: Clues
    uids: frozenset[str]
    dates: frozenset[str] = frozenset()

    def first_hit(
        self, result: DataSet, expected: Container[int], read: Callable[[Bulk], Iterable[bytes]]
    ) -> str | None:
        """Return the tag path of the first element that identifies, or None.

        expected  ``id()`` of elements that are not searched
        read      gives the bytes of a Bulk in pieces; pixel data is never asked for
        """
        values: list[tuple[Element, DataSet]] = []
        _gather(result, expected, values)
        bulks = [(element, data_set) for element, data_set in values if isinstance(element.value, Bulk)]
        if not self._is_in(values) and not any(self._in_bulk(read(e.value)) for e, _ in bulks if type(e.value) is Bulk):
            return None
        for path, element, data_set in _paths(result, ""):
            if id(element) in expected:
                continue
            if self._is_in([(element, data_set)]) or (
                type(element.value) is Bulk and self._in_bulk(read(element.value))
            ):
                return path
        return None  # pragma: no cover - what is found in all is found in one

    def _is_in(self, values: list[tuple[Element, DataSet]]) -> bool:
        """Whether any value holds a clue: words and numbers are compared as sets, so that the size hardly matters."""
        texts, numbers, raw = _haystack(values)
        if self._has_words(texts) or self._has_words(numbers) or self._has_words(raw, least=_LEAST_IN_BYTES):
            return True
        if self._has_uids(texts) or self._has_uids(raw):
            return True
        return self._has_numbers(texts, among_words=True) or self._has_numbers(f"{numbers}\n{raw}", among_words=False)

    def _has_words(self, text: str, *, least: int = 1) -> bool:
        """Whether a part of a name stands in ``text``; ``least``: bytes of a part that is believed."""
        words = {word for word in self.clues.words if len(word.encode("utf-8")) >= least}
        if not words.isdisjoint(_WORD.findall(text)):
            return True
        if any(word in text for word in words if len(word) >= _LEAST_INSIDE or not word.isascii()):
            return True
        if "  " in text:
            text = _BLANKS.sub(" ", text)
        return any(phrase in text for phrase in self.clues.phrases)

    def _has_uids(self, text: str) -> bool:
        return bool(self.uids) and not self.uids.isdisjoint(_UID.findall(text))

    def _has_numbers(self, text: str, *, among_words: bool) -> bool:
        """Whether a number or date stands in ``text``; short digits are believed among words, not among numbers."""
        tokens = set(_ALNUM.findall(text))
        for number in self.clues.numbers:
            if number.isdigit() and len(number) < _LEAST_DIGITS and not among_words:
                continue
            if number in tokens or (_ALNUM.fullmatch(number) is None and number in text):
                return True
        for date in self.clues.dates | self.dates:
            if date in tokens or (among_words and any(spelling in text for spelling in spellings(date)[1:])):
                return True
        return False

    def _in_bulk(self, pieces: Iterable[bytes]) -> bool:
        """Whether a large value holds a clue, as ASCII or UTF-16."""
        clues = [
            clue.encode("ascii")
            for clue in (*self.clues.words, *self.clues.phrases, *self.clues.numbers, *self.clues.dates, *self.uids)
            if clue.isascii() and len(clue) >= _LEAST_INSIDE
        ]
        before = b""
        for piece in pieces:
            window = before + piece.replace(b"\0", b"").lower()
            if any(clue in window for clue in clues):
                return True
            before = window[-_LONGEST_CLUE:]
        return False


def _gather(data_set: DataSet, expected: Container[int], into: list[tuple[Element, DataSet]]) -> None:
    for tag, element in data_set.elements.items():
        value = element.value
        if type(value) is list:
            for item in value:
                _gather(item, expected, into)
        elif value and tag not in _PIXELS and id(element) not in expected:
            into.append((element, data_set))


def _haystack(values: list[tuple[Element, DataSet]]) -> tuple[str, str, str]:
    """Return (texts, numbers written as text, other bytes), folded; one value a line.

    What is no ASCII is read in every way that it may be meant.
    """
    texts: list[bytes] = []
    numbers: list[bytes] = []
    raw: list[bytes] = []
    decoded: list[str] = []
    guessed: list[str] = []
    for element, data_set in values:
        value, vr = element.value, element.vr
        if type(value) is not bytes:
            continue
        if vr in _TEXT_VRS:
            texts.append(value)
            if not value.isascii() or b"\x1b" in value:
                decoded.append(folded(decode(value, _AS_TEXT.get(vr, vr), data_set.charsets).text))
        elif vr in _NUMBER_VRS:
            numbers.append(value)
        else:
            raw.append(value)
            if not value.isascii() and len(value) >= _LEAST_IN_BYTES:
                guessed += [folded(value.decode(coding, "ignore")) for coding in ("utf-8", "utf-16-le", "utf-16-be")]
    return "\n".join((_plain(texts), *decoded)), _plain(numbers), "\n".join((_plain(raw), *guessed))


def _plain(values: list[bytes]) -> str:
    """Return bytes as Latin-1, lower case; without NULs, so that UTF-16 of plain letters reads like ASCII."""
    return b"\n".join(values).replace(b"\0", b"").decode("latin-1").lower()


def _paths(data_set: DataSet, path: str) -> Iterator[tuple[str, Element, DataSet]]:
    for element in data_set:
        at = path + tag_text(element.tag)
        if type(element.value) is list:
            for number, item in enumerate(element.value):
                yield from _paths(item, f"{at}[{number}].")
        elif element.tag not in _PIXELS:
            yield at, element, data_set


def pieces(file: BinaryIO, bulk: Bulk) -> Iterator[bytes]:
    """Yield the bytes of a Bulk in its source, a MiB at a time."""
    for at in range(bulk.offset, bulk.offset + bulk.length, _CHUNK):
        file.seek(at)
        yield file.read(min(_CHUNK, bulk.offset + bulk.length - at))
