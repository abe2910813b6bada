"""Names in other scripts, written in Latin letters, so that one can be found as the other.

The usual ways for Cyrillic (as the English, passports, Germans and librarians write it), Greek, kana and Hangul. Of
Arabic and Hebrew, which write no vowels, the consonants are compared. Ideographs have no letters: they are found as
they are written only, and their reading only if the name has it as a group of its own.
"""

import re
import unicodedata
from collections.abc import Iterator

_CYRILLIC_LETTERS = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґў"
_CYRILLIC = tuple(
    dict(zip(_CYRILLIC_LETTERS, latin.split(" "), strict=True))
    for latin in (
        "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch  y  e yu ya i yi ye g u",
        "a b v g d e e zh z i i k l m n o p r s t u f kh ts ch sh shch ie y  e iu ia i i ie g u",
        "a b w g d e jo sch s i j k l m n o p r s t u f ch z tsch sch schtsch  y  e ju ja i ji je g u",
        "a b v g d e e z z i j k l m n o p r s t u f h c c s sc  y  e ju ja i i je g u",
    )
)
_GREEK = tuple(
    dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", latin.split(" "), strict=True))
    for latin in (
        "a v g d e z i th i k l m n x o p r s s t y f ch ps o",
        "a v g d e z i th i k l m n x o p r s s t i f h ps o",
        "a b g d e z e th i k l m n x o p r s s t u ph kh ps o",
    )
)
# Consonants as coarsely as ears and forms keep them apart; vowels, and letters that often stand for one, are none.
_SEMITIC = dict(
    zip(
        "بتثجحخدذرزسشصضطظغفقكلمنهپچژگک" + "בגדהזחטכךלמםנןספףצץקרשת",
        "bttjhhddrzsssdtzgfkklmnhbszgk" + "bgdhzhtkklmmnnsffsskrst",
        strict=True,
    )
)
_SEMITIC_SCRIPT = re.compile(r"[\u0590-\u06ff]")
_SOUNDS = (("sh", "s"), ("ch", "h"), ("kh", "h"), ("th", "t"), ("dh", "d"), ("gh", "g"), ("ph", "f"), ("ts", "s"))
_ALIKE = str.maketrans({"c": "k", "q": "k", "p": "b", "v": "b", "x": "s"} | dict.fromkeys("aeiouwy'"))
_LEAST_BONES = 4
_INITIALS = ("g", "kk", "n", "d", "tt", "r", "m", "b", "pp", "s", "ss", "", "j", "jj", "ch", "k", "t", "p", "h")
_VOWELS = (
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "wo", "we", "wi", "yu", "eu",
    "ui", "i",
)  # fmt: skip
_FINALS = (
    "", "k", "k", "k", "n", "n", "n", "t", "l", "k", "m", "l", "l", "l", "p", "l", "m", "p", "p", "t", "t", "ng", "t",
    "t", "k", "t", "p", "t",
)  # fmt: skip
_FIRST_SYLLABLE, _SYLLABLES = 0xAC00, 11172


def romanised(text: str) -> str:
    """Return a folded text in Latin letters; characters of other scripts stay as they are."""
    return _written(text, 0)


def in_latin_letters(text: str) -> set[str]:
    """Return the ways to write a folded text in Latin letters; none if it has characters of other scripts."""
    return {latin for way in range(len(_CYRILLIC)) if (latin := _written(text, way)).isascii()}


def consonants(word: str) -> Iterator[str]:
    """Yield the consonants of a folded word of a script without vowels, where they are enough to be a name."""
    if _SEMITIC_SCRIPT.search(word) is not None:
        bones = _single("".join(_SEMITIC.get(letter, "") for letter in word))
        if len(bones) >= _LEAST_BONES:
            yield bones


def bones_of(word: str) -> str:
    """Return the consonants of a word in Latin letters, comparable with ``consonants``."""
    for sound, letter in _SOUNDS:
        word = word.replace(sound, letter)
    return _single(word.translate(_ALIKE))


def _single(bones: str) -> str:
    """Without doubled letters, and without the h that a feminine ending may be."""
    return re.sub(r"(.)\1+", r"\1", bones).rstrip("h")


def _written(text: str, way: int) -> str:
    if text.isascii():
        return text
    cyrillic, greek = _CYRILLIC[way], _GREEK[min(way, len(_GREEK) - 1)]
    return "".join(_letter(letter, cyrillic, greek) for letter in unicodedata.normalize("NFC", text))


def _letter(letter: str, cyrillic: dict[str, str], greek: dict[str, str]) -> str:
    if letter in cyrillic:
        return cyrillic[letter]
    if letter in greek:
        return greek[letter]
    at = ord(letter) - _FIRST_SYLLABLE
    if 0 <= at < _SYLLABLES:
        return _INITIALS[at // 588] + _VOWELS[at % 588 // 28] + _FINALS[at % 28]
    if "\u3041" <= letter <= "\u30f6":
        name = unicodedata.name(letter, "").rsplit(" ", 1)[-1].lower()
        return _HEPBURN.get(name, name)
    return letter


_HEPBURN = {"si": "shi", "ti": "chi", "tu": "tsu", "hu": "fu", "zi": "ji"}
