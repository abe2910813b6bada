"""Does a text that was read in a picture name the patient, and may it stay?

Readers err by a letter: what is searched for is searched for with the usual confusions. Source of what may stay: the
vocabulary of Clean Descriptors, measurements, and the words by which a radiograph's side and view are marked.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from appliance.deid.clues import folded
from appliance.deid.descriptors import Descriptors
from appliance.deid.pixels.box import Found
from appliance.deid.verify import SecondLook
from appliance.dicom.element import DataSet, Element

SURE = 0.9  # of a reading that may keep a text in the picture
_WORD = re.compile(r"[^\W_]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_LEAST_LIKE = 5  # letters of a name that is recognised with one wrong letter; from 9 on with two
_LEAST_DIGITS = 5  # of a number that is recognised among other marks and with the usual confusions
_LOOK_ALIKE = str.maketrans({"o": "0", "q": "0", "d": "0", "i": "1", "l": "1", "|": "1", "s": "5", "b": "8", "z": "2"})
# What stands beside a radiograph. Source: PS3.16 CID 4010 and 4014 in the spellings of markers.
_MARKS = (
    "r l rt lt left right re li rechts links ap pa lat obl cc mlo ml lm lmo sio xccl xcc fb rcc lcc rmlo lmlo rml lml "
    "rlm llm rxccl lxccl supine erect upright portable sitting standing decub prone stehend liegend"
)
_MARKERS = frozenset(_MARKS.split())
_TEXT, _UTF8 = 0x00204000, ("ISO_IR 192",)  # an LT: any text, of any length


@dataclass(frozen=True, slots=True)
class Judge:
    """What identifies this patient, and what may stay in the picture although it was read.

    look         the second look's clues, common words left out
    descriptors  None: without Clean Descriptors only measurements and markers stay
    """

    look: SecondLook
    descriptors: Descriptors | None

    def may_stay(self, found: Found) -> bool:
        """Whether a text is known for sure to be a measurement, a side, a view or words that name nobody."""
        text = found.text.strip()
        if found.confidence < SURE or not text or self.identifies([text]):
            return False
        words = [folded(word) for word in _WORD.findall(text)]
        if words and all(word in _MARKERS for word in words):
            return True
        return self.descriptors is not None and self.descriptors.is_clean(text)

    def identifies(self, texts: Sequence[str]) -> bool:
        """Whether any of the texts of a picture, or all of them in their order, name the patient."""
        whole = " ".join(texts)
        lines = "\n".join((*texts, whole, "".join(texts)))
        data = DataSet({}, charsets=_UTF8)
        data.put(Element(_TEXT, "LT", lines.encode("utf-8", "replace")))
        if self.look.first_hit(data, frozenset(), lambda bulk: ()) is not None:
            return True
        plain = folded(whole)
        return self._has_like_word(_LETTERS.findall(plain.translate(_AS_LETTERS))) or self._has_like_number(plain)

    def _has_like_word(self, words: Iterable[str]) -> bool:
        """Whether a part of a name stands there with a letter or two that were misread."""
        names = [name for name in self.look.clues.words if len(name) >= _LEAST_LIKE]
        return any(_is_like(name, word) for word in set(words) for name in names)

    def _has_like_number(self, plain: str) -> bool:
        alike = "".join(_WORD.findall(plain.translate(_LOOK_ALIKE)))
        for number in self.look.clues.numbers:
            digits = "".join(_WORD.findall(number.translate(_LOOK_ALIKE))).lstrip("0")
            if len(digits) >= _LEAST_DIGITS and digits in alike:
                return True
        return False


_AS_LETTERS = str.maketrans({"0": "o", "1": "l", "5": "s", "8": "b", "|": "l"})


def _is_like(name: str, word: str) -> bool:
    """Whether ``word`` is ``name`` but for one letter (two of a long name) wrong, missing or too many."""
    most = 1 if len(name) < 9 else 2
    if abs(len(name) - len(word)) > most:
        return False
    before = list(range(len(word) + 1))
    for row, letter in enumerate(name, 1):
        now = [row]
        for column, other in enumerate(word, 1):
            now.append(min(before[column] + 1, now[-1] + 1, before[column - 1] + (letter != other)))
        if min(now) > most:
            return False
        before = now
    return before[-1] <= most
