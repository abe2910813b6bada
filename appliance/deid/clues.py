"""What identifies this patient: the names, numbers, dates and places that the original itself holds.

Collected from the original, at any depth, independently of the rules; the second look searches the result for them.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]  # not in __all__

from appliance.deid.romanised import romanised
from appliance.dicom.element import DataSet, Element, Tag
from appliance.dicom.text import decode

LEAST_WORD = 3  # letters of a name; two are too often part of something else
_LEAST_NUMBER = 4
_LEAST_PHRASE = 6
_WORD = re.compile(r"[^\W\d_]+")
_DIGITS = re.compile(r"\d{8}")

# Numbers and codes that point at a person, a visit, an order. Source: PS3.15 Table E.1-1, of its Z and X rows.
_NUMBERS: frozenset[Tag] = frozenset(
    {
        0x00100020,  # Patient ID
        0x00101000,  # Other Patient IDs
        0x00080050,  # Accession Number
        0x00101090,  # Medical Record Locator
        0x00102154,  # Patient's Telephone Numbers
        0x00102155,  # Patient's Telecom Information
        0x00380010,  # Admission ID
        0x00380060,  # Service Episode ID
        0x00400009,  # Scheduled Procedure Step ID
        0x00400253,  # Performed Procedure Step ID
        0x00401001,  # Requested Procedure ID
        0x00402016,  # Placer Order Number
        0x00402017,  # Filler Order Number
        0x00181000,  # Device Serial Number
        0x00120040,  # Clinical Trial Subject ID
    }
)
_PHRASES: frozenset[Tag] = frozenset(
    {
        0x00080080,  # Institution Name
        0x00080081,  # Institution Address
        0x00080092,  # Referring Physician's Address
        0x00101040,  # Patient's Address
        0x00101081,  # Branch of Service
        0x001021F0,  # Patient's Religious Preference
    }
)
_BIRTH_DATES: frozenset[Tag] = frozenset({0x00100030})
_NO_DATES = frozenset({"19000101", "00010101", "18000101", "00000000", "99991231"})  # what systems write for none

_OTHER_SPELLINGS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "ß": "ss"})
_MAKERS = "agfa canon elscint esaote fuji fujifilm hitachi hologic kodak konica philips picker siemens toshiba varian"
# Words of codes that are also surnames somewhere. Source: PS3.16 Annex L (body parts), scan options and kernels met.
_CODES = (
    "arm back bone brain chest ear elbow eye face fast finger foot hand hip jaw knee leg lung neck nose palm rib "
    "sharp shoulder skull soft spin spine stone thigh thumb toe tongue wrist"
)


@dataclass(slots=True)
class Clues:
    """What to search for, folded as ``folded`` does.

    words    parts of names: found as words of their own
    phrases  found anywhere
    numbers  found where no letter or digit adjoins
    dates    YYYYMMDD: found in any way of writing a date
    short    numbers of two or three digits, without leading zeros: believed where a word announces one
    """

    words: set[str] = field(default_factory=set)
    phrases: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)

    def but_for(self, common: frozenset[str]) -> "Clues":
        """Return the clues without what consists of ``common`` words only: they prove nothing by themselves."""
        phrases = {phrase for phrase in self.phrases if not common.issuperset(_WORD.findall(phrase))}
        return Clues(self.words - common, phrases, self.numbers, self.dates, self.short)


def folded(text: str) -> str:
    """Return ``text`` for comparison: lower case, without accents, compatible forms as one."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def vocabulary() -> frozenset[str]:
    """Return words that DICOM itself uses: a name part that is one of them (Long, Head, Field) proves nothing alone."""
    names = " ".join(entry[2] for entry in DicomDictionary.values()).lower()
    return frozenset(_WORD.findall(names)) | frozenset((_MAKERS + " " + _CODES).split())


def clues_of(original: DataSet, common: frozenset[str] = frozenset()) -> Clues:
    """Return the clues in an original; ``common`` words are no clue by themselves."""
    clues = Clues()
    _collect(original, clues)
    return clues.but_for(common)


def _collect(data_set: DataSet, clues: Clues) -> None:
    for tag, element in data_set.elements.items():
        value = element.value
        if type(value) is list:
            for item in value:
                _collect(item, clues)
        elif not value or not isinstance(value, bytes):
            continue
        elif element.vr == "PN":
            _name(_text(element, data_set), clues)
        elif tag in _NUMBERS:
            _add_numbers(_text(element, data_set).split("\\"), clues)
        elif tag in _PHRASES:
            phrase = " ".join(folded(_text(element, data_set)).split())
            if len(phrase) >= _LEAST_PHRASE:
                clues.phrases.add(phrase)
        elif tag in _BIRTH_DATES:
            match = _DIGITS.match(_text(element, data_set).replace(".", "").replace("-", ""))
            if match is not None and match[0] not in _NO_DATES:
                clues.dates.add(match[0])


def _text(element: Element, data_set: DataSet) -> str:
    assert isinstance(element.value, bytes)  # noqa: S101 - every caller has looked
    return decode(element.value, element.vr, data_set.charsets).text.strip(" \0")


def _name(text: str, clues: Clues) -> None:
    """Add the parts of names, in both usual transliterations, and the first two parts run together."""
    for name in text.split("\\"):
        for group in name.split("="):
            for spelled in {folded(group), folded(group.casefold().translate(_OTHER_SPELLINGS))}:
                words = [word for word in _WORD.findall(spelled) if len(word) >= LEAST_WORD or not word.isascii()]
                clues.words.update(words)
                clues.words.update(_in_latin(words))
                if len(words) >= 2 and len(words[0] + words[1]) >= _LEAST_PHRASE:
                    clues.phrases.update({words[0] + words[1], words[1] + words[0]})


def _in_latin(words: Iterable[str]) -> Iterator[str]:
    """Yield names of other scripts in Latin letters, where there are letters enough to be a name."""
    for word in words:
        if not word.isascii():
            latin = romanised(word)
            if latin.isascii() and len(latin) > LEAST_WORD:
                yield latin


def _add_numbers(texts: Iterable[str], clues: Clues) -> None:
    for text in texts:
        number = folded(text.strip())
        if len(number) >= _LEAST_NUMBER and any(letter.isdigit() for letter in number):
            clues.numbers.add(number)
        elif number.isdigit() and len(number) > 1:
            clues.short.add(number.lstrip("0"))
