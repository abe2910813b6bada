"""Names in other scripts, written in Latin letters, so that one can be found as the other.

One usual way each for Cyrillic, Greek, kana and Hangul; there are others, and ideographs have no letters at all: those
are found as they are written only.
"""

import unicodedata

_CYRILLIC_LETTERS = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґў"
_CYRILLIC_LATIN = "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch  y  e yu ya i yi ye g u"
_CYRILLIC = dict(zip(_CYRILLIC_LETTERS, _CYRILLIC_LATIN.split(" "), strict=True))
_GREEK_LATIN = "a v g d e z i th i k l m n x o p r s s t y f ch ps o"
_GREEK = dict(zip("αβγδεζηθικλμνξοπρσςτυφχψω", _GREEK_LATIN.split(" "), strict=True))
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
    if text.isascii():
        return text
    return "".join(map(_letter, unicodedata.normalize("NFC", text)))


def _letter(letter: str) -> str:
    if letter in _CYRILLIC:
        return _CYRILLIC[letter]
    if letter in _GREEK:
        return _GREEK[letter]
    at = ord(letter) - _FIRST_SYLLABLE
    if 0 <= at < _SYLLABLES:
        return _INITIALS[at // 588] + _VOWELS[at % 588 // 28] + _FINALS[at % 28]
    if "\u3041" <= letter <= "\u30f6":
        name = unicodedata.name(letter, "").rsplit(" ", 1)[-1].lower()
        return _HEPBURN.get(name, name)
    return letter


_HEPBURN = {"si": "shi", "ti": "chi", "tu": "tsu", "hu": "fu", "zi": "ji"}
