"""Tag paths and tag path patterns: how rules name elements. Source: PS3.6 for keywords; the grammar is the seed's.

    path     part {"." part}            part = (Keyword | 8 hex) ["[" (number | "%") "]"]
    pattern  ["*/" | "+/"] part {"." part}
             part = Keyword with "*" wild cards  |  8 of [0-9A-FX@]  |  4 of these "{" creator "}" 2 of these
                    |  "{" VR "}"

A path names one element (or one in every item, ``[%]``). A pattern chooses elements: with no prefix from the top and at
exactly this depth, ``*/`` at any depth, ``+/`` inside a sequence only. ``X`` is any digit, ``@`` an odd one. What could
never match anything is an error here, because a rule that silently does nothing lets identifiers through.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from appliance.dicom.dictionary import KEYWORDS, keyword_of, repeating, tag_of
from appliance.dicom.element import DataSet, Element, Tag
from appliance.dicom.encoding import LONG_CODES, SHORT_CODES

_HEX = re.compile(r"[0-9A-F]{8}")
_PATH_PART = re.compile(r"([A-Za-z0-9]+)(?:\[(\d{1,6}|%)\])?")
_KEYWORD = re.compile(r"[A-Za-z0-9*]+")
_DIGITS = re.compile(r"[0-9A-FX@]{8}")
_PRIVATE = re.compile(r"([0-9A-FX@]{4})\{([^{}]+)\}([0-9A-FX@]{2})")
_VR = re.compile(r"\{([A-Z]{2})\}")
_CLASS = {"X": "[0-9A-F]", "@": "[13579BDF]"}


class BadPath(ValueError):
    """The text is no tag path or pattern; says which part and why."""


# --- paths ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One level of a path. ``item`` counts from 0; None is every item."""

    tag: Tag
    item: int | None = None


@dataclass(frozen=True, slots=True)
class TagPath:
    """A parsed tag path; ``str()`` gives a text that parses to the same path."""

    steps: tuple[Step, ...]

    def __str__(self) -> str:
        return ".".join(
            (keyword_of(step.tag) if tag_of(keyword_of(step.tag)) == step.tag else f"{step.tag:08X}")
            + ("" if step.item is None else f"[{step.item}]")
            for step in self.steps
        )


def parse_path(text: str) -> TagPath:
    """Parse a tag path. Raises BadPath, also for a keyword that the dictionary does not have."""
    steps = []
    for part in text.split("."):
        found = _PATH_PART.fullmatch(part)
        if found is None:
            raise BadPath(f"'{part}' is neither a keyword nor eight hex digits, with [n] or [%] behind it at most.")
        tag = int(found[1], 16) if _HEX.fullmatch(found[1]) else tag_of(found[1])
        if tag is None:
            raise BadPath(f"'{found[1]}' is no keyword of the DICOM dictionary. Private elements are written in hex.")
        steps.append(Step(tag, int(found[2]) if found[2] not in (None, "%") else None))
    return TagPath(tuple(steps))


def holders(data_set: DataSet, path: TagPath) -> list[DataSet]:
    """Return the Data Sets in which the last element of ``path`` is, or would be put.

    Sequences on the way must exist: raises KeyError with the tag of one that does not, IndexError with the tag of one
    that has not so many items.
    """
    found = [data_set]
    for step in path.steps[:-1]:
        inside: list[DataSet] = []
        for outer in found:
            element = outer.get(step.tag)
            if element is None or not isinstance(element.value, list):
                raise KeyError(step.tag)
            if step.item is not None and step.item >= len(element.value):
                raise IndexError(step.tag)
            inside += element.value if step.item is None else [element.value[step.item]]
        found = inside
    return found


# --- patterns ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Level:
    """An element and the Data Set that holds it: one level of the way to it."""

    holder: DataSet
    element: Element


class Depth(Enum):
    """Where a pattern may begin to match. The value is its prefix."""

    EXACT = ""
    ANYWHERE = "*/"
    NESTED = "+/"


@dataclass(frozen=True, slots=True)
class PartPattern:
    """One part of a pattern: which elements it accepts, by one of four ways.

    name     regular expression on the keyword; None unless the part may be a keyword
    digits   regular expression on eight hex digits, for a private form with XX for the block
    creator  private creator, exactly; "" for none
    vr       two letters; "" for any
    """

    text: str
    name: re.Pattern[str] | None = None
    digits: re.Pattern[str] | None = None
    creator: str = ""
    vr: str = ""

    def accepts(self, level: Level) -> bool:
        """Whether the element is one of those meant."""
        element = level.element
        if self.vr:
            return element.vr == self.vr
        if self.digits is not None and self.digits.fullmatch(f"{element.tag:08X}") is not None:
            return not self.creator or level.holder.creator_of(element.tag) == self.creator
        return self.name is not None and self.name.fullmatch(keyword_of(element.tag)) is not None


@dataclass(frozen=True, slots=True)
class TagPattern:
    """A parsed pattern; ``str()`` gives its text back."""

    depth: Depth
    parts: tuple[PartPattern, ...]

    def __str__(self) -> str:
        return self.depth.value + ".".join(part.text for part in self.parts)

    def matches(self, way: Sequence[Level]) -> bool:
        """Whether the last element of ``way`` is meant; ``way`` leads to it from the top."""
        over = len(way) - len(self.parts)
        if over < 0 or (self.depth is Depth.EXACT and over) or (self.depth is Depth.NESTED and not over):
            return False
        return all(part.accepts(level) for part, level in zip(reversed(self.parts), reversed(way), strict=False))


def parse_pattern(text: str) -> TagPattern:
    """Parse a tag path pattern. Raises BadPath, also for what could match no element at all."""
    depth = next((depth for depth in (Depth.ANYWHERE, Depth.NESTED) if text.startswith(depth.value)), Depth.EXACT)
    return TagPattern(depth, tuple(_part(part) for part in _parts(text[len(depth.value) :])))


def walk(data_set: DataSet) -> Iterator[tuple[Level, ...]]:
    """Yield the way to every element, sequences too, depth first in tag order; removing the last one is allowed."""
    yield from _walk(data_set, ())


def _walk(data_set: DataSet, above: tuple[Level, ...]) -> Iterator[tuple[Level, ...]]:
    for tag in sorted(data_set.elements):
        element = data_set.elements.get(tag)
        if element is None:
            continue  # removed meanwhile
        way = (*above, Level(data_set, element))
        yield way
        if data_set.elements.get(tag) is element:
            for item in element.items:
                yield from _walk(item, way)


def _parts(text: str) -> list[str]:
    """Split at dots that are outside of braces: a creator may have dots."""
    return re.findall(r"(?:[^.{]|\{[^}]*\}?)+|(?<=\.)$|^$|(?<=\.)(?=\.)|^(?=\.)", text)


@lru_cache(maxsize=1024)
def _part(text: str) -> PartPattern:
    if private := _PRIVATE.fullmatch(text):
        if private[1][3] not in "13579BDFX@":
            raise BadPath(f"'{text}': a group with a private creator is odd, so no element could match.")
        pattern = f"{_digits(private[1])}[0-9A-F]{{2}}{_digits(private[3])}"
        return PartPattern(text, digits=re.compile(pattern), creator=private[2].strip())
    if vr := _VR.fullmatch(text):
        if vr[1] not in SHORT_CODES and vr[1] not in LONG_CODES:
            raise BadPath(f"'{text}': there is no value representation {vr[1]}.")
        return PartPattern(text, vr=vr[1])
    name = _name(text)
    digits = re.compile(_digits(text)) if _DIGITS.fullmatch(text) else None
    if name is None and digits is None:
        raise BadPath(
            f"'{text}' is no keyword of the dictionary (with * for any letters), nor eight of [0-9A-FX@], "
            "nor gggg{creator}ee, nor {VR}."
        )
    return PartPattern(text, name=name, digits=digits)


def _name(text: str) -> re.Pattern[str] | None:
    """Return a regular expression for a keyword, or None if it could match no keyword of the dictionary."""
    if _KEYWORD.fullmatch(text) is None:
        return None
    if "*" not in text:
        return re.compile(re.escape(text)) if tag_of(text) is not None or repeating(text) is not None else None
    # A star alone takes private elements as well, whose keyword is empty: who writes */* means everything.
    pattern = re.compile(re.escape(text).replace(r"\*", ".*"))
    return pattern if any(map(pattern.fullmatch, KEYWORDS)) else None


def _digits(text: str) -> str:
    return "".join(_CLASS.get(digit, digit) for digit in text)
