"""What identifies this patient: the names, numbers, dates and places that the original itself holds.

Collected from the original, at any depth, independently of the rules; the second look searches the result for them.
"""

import io
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]  # not in __all__

from appliance.deid.roles import PUBLISHED_DATES
from appliance.deid.romanised import consonants, in_latin_letters
from appliance.dicom.element import DataSet, Tag
from appliance.dicom.text import decode
from appliance.dicom.unknown import sequence_in_unknown

LEAST_WORD = 3  # letters of a name; two are too often part of something else
_LEAST_NUMBER = 4
_LEAST_PHRASE = 6
_LEAST_JOINED = 5  # letters of a name whose parts are written as one
_LEAST_SHORT_NAME = 4  # letters of a whole name whose parts are too short to be believed alone
LEAST_CUT = 7  # letters of a name that does not fit its field and is cut
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

_NO_ACCENTS = str.maketrans(  # letters that Unicode does not take apart
    {"ł": "l", "đ": "d", "ð": "d", "ø": "o", "\u0131": "i", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"}
)
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
    dates    of birth, YYYYMMDD: found in any way of writing a date
    short    numbers of two or three digits, without leading zeros: believed where a word announces one
    days     every other date of the original's standard attributes, YYYYMMDD
    bones    consonants of names in scripts that write no vowels
    cut      beginnings of long names: found as words of their own
    """

    words: set[str] = field(default_factory=set)
    phrases: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    short: set[str] = field(default_factory=set)
    days: set[str] = field(default_factory=set)
    bones: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)

    def but_for(self, common: frozenset[str]) -> "Clues":
        """Return the clues without what consists of ``common`` words only: they prove nothing by themselves."""
        phrases = {phrase for phrase in self.phrases if not common.issuperset(_WORD.findall(phrase))}
        words = self.words - common
        cut = {word[:length] for word in words for length in range(LEAST_CUT, len(word))} - common
        return Clues(words, phrases, self.numbers, self.dates, self.short, self.days, self.bones, cut)


def folded(text: str) -> str:
    """Return ``text`` for comparison: lower case, without accents, compatible forms as one."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in decomposed if not _is_accent(letter))
    return unicodedata.normalize("NFC", plain).translate(_NO_ACCENTS)


def _is_accent(letter: str) -> bool:
    return unicodedata.combining(letter) > 0 and letter not in "\u3099\u309a"  # those make another letter of a kana


def vocabulary() -> frozenset[str]:
    """Return words that DICOM itself uses: a name part that is one of them (Long, Head, Field) proves nothing alone."""
    names = " ".join(entry[2] for entry in DicomDictionary.values()).lower()
    return frozenset(_WORD.findall(names)) | frozenset((_MAKERS + " " + _CODES).split())


def clues_of(original: DataSet, common: frozenset[str] = frozenset()) -> Clues:
    """Return the clues in an original; ``common`` words are no clue by themselves."""
    clues = Clues()
    _collect(original, clues)
    return clues.but_for(common) if common else clues


def _collect(data_set: DataSet, clues: Clues) -> None:
    for tag, element in data_set.elements.items():
        value = element.value
        if type(value) is list:
            for item in value:
                _collect(item, clues)
            continue
        if not value or type(value) is not bytes:
            continue
        collect = _COLLECT.get(tag)
        if collect is not None:  # by its tag, whatever its VR: it may be written as UN
            collect(_text(value, data_set), clues)
        elif element.vr == "PN":
            _name(_text(value, data_set), clues)
        elif element.vr in ("DA", "DT") and not tag & 0x10000 and tag not in PUBLISHED_DATES:
            clues.days.update(_DIGITS.findall(value.decode("latin-1")))
        elif element.vr == "UN":
            for item in sequence_in_unknown(element, io.BytesIO(), charsets=data_set.charsets) or ():
                _collect(item, clues)


def _text(value: bytes, data_set: DataSet) -> str:
    return decode(value, "PN", data_set.charsets).text.strip(" \0")


def _name(text: str, clues: Clues) -> None:
    """Add the parts of names, in both usual transliterations, and what people make of them when they write."""
    for name in text.split("\\"):
        for group in name.split("="):
            for spelled in {folded(group), folded(group.casefold().translate(_OTHER_SPELLINGS))}:
                _spelled(spelled, clues)


def _spelled(name: str, clues: Clues) -> None:
    every = _WORD.findall(name)
    words = [word for word in every if len(word) >= LEAST_WORD or not word.isascii()]
    clues.words.update(words)
    for word in words if not name.isascii() else ():
        clues.words.update(latin for latin in in_latin_letters(word) if len(latin) > LEAST_WORD)
        clues.bones.update(consonants(word))
    if len(words) >= 2 and len(words[0] + words[1]) >= _LEAST_PHRASE:
        clues.phrases.update({words[0] + words[1], words[1] + words[0]})
    for part in name.split("^"):  # O'Neill is ONeill as well, and von der Leyen vonderleyen
        joined = "".join(_WORD.findall(part))
        if joined not in every and len(joined) >= _LEAST_JOINED:
            clues.words.add(joined)
    if not words and len("".join(every)) >= _LEAST_SHORT_NAME:  # Wu^Yi: together, then
        clues.phrases.update(mark.join(pair) for pair in (every, every[::-1]) for mark in (" ", "^", ", ", "_", "."))


def _phrase(text: str, clues: Clues) -> None:
    phrase = " ".join(folded(text).split())
    if len(phrase) >= _LEAST_PHRASE:
        clues.phrases.add(phrase)


def _birth(text: str, clues: Clues) -> None:
    match = _DIGITS.match(text.replace(".", "").replace("-", ""))
    if match is not None and match[0] not in _NO_DATES:
        clues.dates.add(match[0])


def _add_numbers(value: str, clues: Clues) -> None:
    for text in value.split("\\"):
        if "@" in text:
            _phrase(text, clues)
        number = folded(text.strip())
        if len(number) >= _LEAST_NUMBER and any(letter.isdigit() for letter in number):
            clues.numbers.add(number)
        elif number.isdigit() and len(number) > 1:
            clues.short.add(number.lstrip("0"))


_COLLECT: dict[Tag, Callable[[str, Clues], None]] = {
    **{tag: _name for tag, entry in DicomDictionary.items() if entry[0] == "PN"},
    **dict.fromkeys(_NUMBERS, _add_numbers),
    **dict.fromkeys(_PHRASES, _phrase),
    **dict.fromkeys(_BIRTH_DATES, _birth),
}
