"""Clean Descriptors: free text keeps what is known to be medical and loses the rest. Source: PS3.15 E.3.8.

An allow-list, never a block-list: a word stays if the vocabulary has it, a number if a unit follows it. So a name goes
whoever's it is, in whatever spelling, order, case or script. What the vocabulary has but identifies this patient (who
is called Head) goes as well; so do capitalised words behind a title or a relative. Dates
move with the patient's, or go.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files

from appliance.deid.clues import Clues, folded
from appliance.deid.dates import shifted_date
from appliance.deid.uids import is_well_known
from appliance.deid.written_dates import dates_in

_NUMBER = r"\d{1,4}(?:[.,]\d{1,3})?"
_UNITS = (
    "mmHg mm2 mm3 cm2 cm3 mm² mm³ cm² cm³ mmol kVp keV MeV MBq kBq GBq mCi mSv cGy mGy mAs µg ug mcg kHz MHz ppm bpm "
    "mm cm ml mL cc kg mg Gy Bq Sv kV MV mA ms sec min Hz HU deg µm um % ° T s g"
)
_UNIT = "|".join(re.escape(unit) for unit in _UNITS.split())
_TOKEN = re.compile(
    r"(?P<uid>(?<![\d.])[0-2](?:\.\d+){4,})"
    rf"|(?P<measure>(?<![\d.,]){_NUMBER}(?: ?[xX/*-] ?{_NUMBER}){{0,2}} ?(?:{_UNIT})(?![^\W_]))"
    r"|(?P<word>[^\W_]+)"
    r"|(?P<mark>[ \t\r\n\-_/()\[\]+,.:;=<>%*&^'\"?!]+)"
    r"|(?P<other>.)",
    re.DOTALL,
)
_WORD = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d+")
_TITLES = (
    "dr doctor doc prof professor mr mrs ms miss sir herr frau fr hr monsieur madame mme dott sig signora senora pat"
)
_RELATIVES = (
    "mother father mutter vater mere pere husband wife mann ehefrau ehemann son daughter sohn tochter sister brother "
    "bruder schwester aunt uncle tante onkel friend nurse physician surgeon arzt named name called by von"
)
_BEFORE_NAMES = frozenset((_TITLES + " " + _RELATIVES).split())
_MOST_NAMES = 3
MOST_TEXT = 4 * 1024 * 1024  # bytes of free text in an instance: more would keep a worker for minutes


class TextTooLong(Exception):
    """There is more free text than is cleaned; says where it became too much."""


def load_vocabulary() -> frozenset[str]:
    """Return the packaged words, folded; tools/vocabulary.py says where they come from."""
    text = files("appliance.deid").joinpath("data", "vocabulary.txt").read_text(encoding="utf-8")
    return frozenset(word for line in text.splitlines() if not line.startswith("#") for word in line.split())


@dataclass(frozen=True, slots=True)
class Descriptors:
    """What free text may keep, for one instance.

    words  the vocabulary, folded
    own    what identifies this patient and this study, common words included
    days   by which dates move; 0: they stay, None: they go
    uid    gives the UID that stands for one
    """

    words: frozenset[str]
    own: Clues
    days: int | None
    uid: Callable[[str], str]

    def cleaned(self, text: str, limit: int | None = None) -> str:
        """Return what may stay of one value: ``text`` itself if nothing had to go, "" if nothing may stay.

        limit  characters that the VR allows
        """
        pieces = list(self._pieces(text))
        if all(kept == original for kept, original, _ in pieces):
            return text
        cleaned = _joined(pieces)
        if limit is not None and len(cleaned) > limit:  # a new date or UID is longer than the old one
            cleaned = _joined([(kept if kept == there else "", there, is_mark) for kept, there, is_mark in pieces])
        return cleaned

    def is_clean(self, text: str) -> bool:
        """Whether nothing of ``text`` has to go."""
        return self.cleaned(text) == text

    def _pieces(self, text: str) -> Iterator[tuple[str, str, bool]]:
        """Yield (what stays, what stood there, whether it is a mark between words)."""
        phrases = self._phrases(text)
        at = 0
        for written in dates_in(text):
            yield from self._words(text[at : written.start], phrases, at)
            yield self._date(written.readings, written.layout), text[written.start : written.end], False
            at = written.end
        yield from self._words(text[at:], phrases, at)

    def _words(self, text: str, phrases: list[range], at: int) -> Iterator[tuple[str, str, bool]]:
        names = 0  # capitalised words that still count as a name
        for match in _TOKEN.finditer(text):
            token = match[0]
            kind = match.lastgroup
            if kind == "mark":
                yield token, token, True
            elif kind == "word":
                plain = folded(token)
                if plain in _BEFORE_NAMES:
                    names = _MOST_NAMES
                    yield (token if self._stays(plain) else ""), token, False
                    continue
                is_name = names > 0 and token[0].isupper()
                names = names - 1 if is_name else 0
                inside = any(at + match.start() in phrase for phrase in phrases)
                yield (token if not is_name and not inside and self._stays(plain) else ""), token, False
            elif kind == "uid":
                yield (token if is_well_known(token) else self.uid(token)), token, False
            elif kind == "measure":
                yield (token if self._is_measure(token) else ""), token, False
            else:
                yield "", token, False

    def _stays(self, plain: str) -> bool:
        return len(plain) > 1 and plain in self.words and plain not in self.own.words

    def _is_measure(self, token: str) -> bool:
        return self.own.numbers.isdisjoint(_DIGITS.findall(token))

    def _date(self, readings: tuple[str, ...], layout: str) -> str:
        if self.days is None or len(readings) != 1 or readings[0] in self.own.dates:
            return ""
        moved = shifted_date(readings[0], self.days)
        if moved is None:
            return ""
        return layout.format(year=int(moved[:4]), month=int(moved[4:6]), day=int(moved[6:]))

    def _phrases(self, text: str) -> list[range]:
        """Return where a phrase that identifies (an institution's name) stands, whatever is between its words."""
        found = []
        plain = folded(text)
        likely = [wanted for phrase in self.own.phrases if (wanted := _WORD.findall(phrase)) and wanted[0] in plain]
        words = [(folded(match[0]), match) for match in _WORD.finditer(text)] if likely else []
        for wanted in likely:
            for start in range(len(words) - len(wanted) + 1):
                if [word for word, _ in words[start : start + len(wanted)]] == wanted:
                    found.append(range(words[start][1].start(), words[start + len(wanted) - 1][1].end()))
        return found


def _joined(pieces: list[tuple[str, str, bool]]) -> str:
    """Join what stays; where something went, a blank or the line's end is all that is between."""
    result: list[str] = []
    between, gone = "", False
    for kept, original, is_mark in pieces:
        if is_mark:
            between += original
            continue
        if not kept:
            gone = True
            continue
        if result:
            result.append(between if not gone else "\r\n" if "\n" in between else " ")
        result.append(kept)
        between, gone = "", False
    return "".join(result)
