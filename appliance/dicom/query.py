"""The DICOM instance query: which instances a label means. The grammar is the seed's, with its gaps closed.

    query      [ either ]                       empty: every instance
    either     both { OR both }
    both       term { AND term }                AND binds tighter than OR
    term       condition | "(" either ")"
    condition  tag operator [ value ]
    tag        part { "." part }                part = Keyword | 8 hex
    operator   Exists NotExists Empty NotEmpty                 without value
               NbEquals NbNotEquals NbGreater NbLess           a number; also negative, with decimals
               StrEquals StrNotEquals                          a bare word, or "…"; * stands for any text

Operators, AND and OR in any case; keywords as in the dictionary. Any value of a multi-valued element, and the element
in any item of a sequence, can satisfy. Texts are compared whole and without regard to case. Each Not… is exactly
the opposite of its operator, so it is true for an element that is missing. An empty element exists, is Empty, equals
the text "" and no number.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache

from appliance.dicom.dictionary import keyword_of, repeating, tag_of, vr_of
from appliance.dicom.element import DataSet, Element, Tag
from appliance.dicom.text import TEXT_VRS, values

_TOKEN = re.compile(r'\s*(?:([()])|"([^"]*)"|([^\s()"]+))')
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")
_HEX = re.compile(r"[0-9A-Fa-f]{8}")
_NOT_TEXT_NOR_NUMBER = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "SQ"})
_BINARY = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_DEEPEST = 50


class BadQuery(ValueError):
    """The text is no query; says at which character, and what was expected."""


class Operator(StrEnum):
    """What is asked of an element."""

    EXISTS = "Exists"
    NOT_EXISTS = "NotExists"
    EMPTY = "Empty"
    NOT_EMPTY = "NotEmpty"
    NB_EQUALS = "NbEquals"
    NB_NOT_EQUALS = "NbNotEquals"
    NB_GREATER = "NbGreater"
    NB_LESS = "NbLess"
    STR_EQUALS = "StrEquals"
    STR_NOT_EQUALS = "StrNotEquals"


_WITHOUT_VALUE = frozenset({Operator.EXISTS, Operator.NOT_EXISTS, Operator.EMPTY, Operator.NOT_EMPTY})
_BY_NAME = {operator.lower(): operator for operator in Operator}
_OPPOSITE = {
    Operator.NOT_EXISTS: Operator.EXISTS,
    Operator.NOT_EMPTY: Operator.EMPTY,
    Operator.NB_NOT_EQUALS: Operator.NB_EQUALS,
    Operator.STR_NOT_EQUALS: Operator.STR_EQUALS,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One question to one element. ``value`` is a number for Nb…, a text for Str…, and None for the others."""

    path: tuple[Tag, ...]
    operator: Operator
    value: Decimal | str | None = None

    def matches(self, data_set: DataSet, meta: DataSet | None = None) -> bool:
        """Whether the instance satisfies it; group 0002 is looked for in ``meta``."""
        top = meta if meta is not None and self.path[0] >> 16 == 2 else data_set
        asked = _OPPOSITE.get(self.operator)
        found = _found(top, self.path)
        if asked is not None:
            return not any(_satisfies(asked, self.value, *place) for place in found)
        return any(_satisfies(self.operator, self.value, *place) for place in found)

    def __str__(self) -> str:
        where = ".".join(_name(tag) for tag in self.path)
        if self.value is None:
            return f"{where} {self.operator}"
        value = f'"{self.value}"' if isinstance(self.value, str) else f"{self.value}"
        return f"{where} {self.operator} {value}"


@dataclass(frozen=True, slots=True)
class Both:
    """All parts must match; no parts: everything matches."""

    parts: "tuple[Query, ...]" = ()

    def matches(self, data_set: DataSet, meta: DataSet | None = None) -> bool:
        """Whether the instance satisfies it."""
        return all(part.matches(data_set, meta) for part in self.parts)

    def __str__(self) -> str:
        return " AND ".join(f"({part})" if isinstance(part, Either | Both) else str(part) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Either:
    """One part must match."""

    parts: "tuple[Query, ...]"

    def matches(self, data_set: DataSet, meta: DataSet | None = None) -> bool:
        """Whether the instance satisfies it."""
        return any(part.matches(data_set, meta) for part in self.parts)

    def __str__(self) -> str:
        return " OR ".join(f"({part})" if isinstance(part, Either) else str(part) for part in self.parts)


Query = Condition | Both | Either
EVERYTHING = Both()


def parse_query(text: str) -> Query:
    """Parse a query. Raises BadQuery, for an unknown keyword too: a label that never matches lets instances through."""
    tokens = _Tokens(text)
    if tokens.peek() is None:
        return EVERYTHING
    query = _either(tokens, 0)
    if tokens.peek() is not None:
        raise tokens.bad("AND, OR or the end")
    return query


def tags_of(query: Query) -> frozenset[Tag]:
    """Return the tags at the top of an instance that decide; what is inside sequences is asked of those."""
    if isinstance(query, Condition):
        return frozenset({query.path[0]})
    return frozenset().union(*map(tags_of, query.parts))


# --- parsing ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Token:
    """``kind``: parenthesis, quoted or word."""

    text: str
    kind: str
    at: int


class _Tokens:
    """The words of a query, with one to look at."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._next: _Token | None = None
        self.take()

    def peek(self) -> _Token | None:
        """Return the token looked at; None at the end."""
        return self._next

    def take(self) -> _Token | None:
        """Return the token looked at and go to the one behind it."""
        taken = self._next
        found = _TOKEN.match(self._text, self._at)
        if found is None:
            rest = self._text[self._at :]
            if rest.strip():
                raise BadQuery(f"character {len(self._text) - len(rest.lstrip()) + 1}: a quotation mark is not closed.")
            self._next = None
        else:
            kind = "parenthesis" if found[1] else "quoted" if found[2] is not None else "word"
            text = found[found.lastindex or 0]
            self._next = _Token(text, kind, found.start(found.lastindex or 0))
            self._at = found.end()
        return taken

    def takes(self, word: str) -> bool:
        """Take the next token if it is this keyword or parenthesis."""
        if self._next is None or self._next.kind == "quoted" or self._next.text.upper() != word:
            return False
        self.take()
        return True

    def bad(self, expected: str) -> BadQuery:
        """Say what was expected instead of the token looked at."""
        if self._next is None:
            return BadQuery(f"the query ends where {expected} was expected.")
        return BadQuery(f"character {self._next.at + 1}: {expected} was expected instead of '{self._next.text}'.")


def _either(tokens: _Tokens, depth: int) -> Query:
    if depth > _DEEPEST:
        raise tokens.bad(f"no more than {_DEEPEST} parentheses in one another")
    parts = [_both(tokens, depth)]
    while tokens.takes("OR"):
        parts.append(_both(tokens, depth))
    return parts[0] if len(parts) == 1 else Either(tuple(parts))


def _both(tokens: _Tokens, depth: int) -> Query:
    parts = [_term(tokens, depth)]
    while tokens.takes("AND"):
        parts.append(_term(tokens, depth))
    return parts[0] if len(parts) == 1 else Both(tuple(parts))


def _term(tokens: _Tokens, depth: int) -> Query:
    if not tokens.takes("("):
        return _condition(tokens)
    query = _either(tokens, depth + 1)
    if not tokens.takes(")"):
        raise tokens.bad("AND, OR or ')'")
    return query


def _condition(tokens: _Tokens) -> Condition:
    where = tokens.peek()
    if where is None or where.kind != "word":
        raise tokens.bad("a keyword or tag")
    path = tuple(_tag(part, tokens) for part in where.text.split("."))
    tokens.take()
    named = tokens.peek()
    operator = _BY_NAME.get(named.text.lower()) if named is not None and named.kind == "word" else None
    if operator is None:
        raise tokens.bad(f"one of {', '.join(Operator)}")
    tokens.take()
    if operator in _WITHOUT_VALUE:
        return Condition(path, operator)
    value = tokens.peek()
    if value is None or value.kind == "parenthesis":
        raise tokens.bad(f"the value of {operator}")
    if operator.startswith("Str"):
        tokens.take()
        return Condition(path, operator, value.text)
    if _NUMBER.fullmatch(value.text) is None:
        raise tokens.bad(f"a number behind {operator}")
    tokens.take()
    return Condition(path, operator, Decimal(value.text))


def _tag(part: str, tokens: _Tokens) -> Tag:
    if repeating(part) is not None:
        raise tokens.bad(f"the eight hex digits of one group, because {part} is in many groups,")
    tag = tag_of(part)
    if tag is None and _HEX.fullmatch(part):
        tag = int(part, 16)
    if tag is None:
        raise tokens.bad(f"a keyword of the DICOM dictionary (there is no '{part}') or eight hex digits")
    return tag


def _name(tag: Tag) -> str:
    keyword = keyword_of(tag)
    return keyword if keyword and repeating(keyword) is None and tag_of(keyword) == tag else f"{tag:08X}"


# --- evaluating -------------------------------------------------------------------------------------------------------


def _found(data_set: DataSet, path: tuple[Tag, ...]) -> Iterator[tuple[Element, DataSet]]:
    """Yield each element that the path leads to, in all items, with the Data Set that holds it."""
    element = data_set.get(path[0])
    if element is None:
        return
    if len(path) == 1:
        yield element, data_set
        return
    for item in element.items:
        yield from _found(item, path[1:])


def _satisfies(operator: Operator, value: Decimal | str | None, element: Element, holder: DataSet) -> bool:
    match operator:
        case Operator.EXISTS:
            return True
        case Operator.EMPTY:
            return _is_empty(element, holder)
        case Operator.STR_EQUALS:
            wanted = _pattern(str(value))
            return any(wanted.fullmatch(text) is not None for text in _texts(element, holder))
    numbers = numbers_of(element, holder)
    if not isinstance(value, Decimal):
        return False
    if operator is Operator.NB_EQUALS:
        return any(number == value for number in numbers)
    if operator is Operator.NB_GREATER:
        return any(number > value for number in numbers)
    return any(number < value for number in numbers)


def _is_empty(element: Element, holder: DataSet) -> bool:
    if isinstance(element.value, list):
        return not element.value
    if isinstance(element.value, bytes):
        return not element.value or (_vr(element) in TEXT_VRS and not element.value.strip(b" \0"))
    return False


def _vr(element: Element) -> str:
    """The VR; for a public element written as UN, the dictionary's."""
    return vr_of(element.tag) if element.vr == "UN" else element.vr


def _texts(element: Element, holder: DataSet) -> list[str]:
    """The values as text; an empty element is one empty text, a sequence and bytes are none."""
    vr = _vr(element)
    if vr in _NOT_TEXT_NOR_NUMBER or not isinstance(element.value, bytes):
        return []
    if vr in TEXT_VRS:
        return values(Element(element.tag, vr, element.value), holder) or [""]
    if vr == "AT":
        pairs = struct.iter_unpack(("<" if holder.little_endian else ">") + "HH", _whole(element.value, 4))
        return [f"{group:04X}{number:04X}" for group, number in pairs] or [""]
    return [f"{number:f}" for number in numbers_of(element, holder)] or [""]


def numbers_of(element: Element, holder: DataSet) -> list[Decimal]:
    """Return the values that are finite numbers: of a binary VR, or a text that is one."""
    vr = _vr(element)
    if not isinstance(element.value, bytes):
        return []
    if vr in TEXT_VRS:
        texts = values(Element(element.tag, vr, element.value), holder)
        return [Decimal(text) for text in texts if _NUMBER.fullmatch(text)]
    code = _BINARY.get(vr)
    if code is None:
        return []
    order = "<" if holder.little_endian or element.vr == "UN" else ">"
    one = struct.Struct(order + code)
    found = (number for (number,) in one.iter_unpack(_whole(element.value, one.size)))
    return [decimal for number in found if (decimal := _decimal(number, vr)) is not None]


def _decimal(number: float, vr: str) -> Decimal | None:
    decimal = Decimal(f"{number:.7g}" if vr == "FL" else repr(number))  # a 32 bit float has seven digits
    return decimal if decimal.is_finite() else None


def _whole(value: bytes, size: int) -> bytes:
    return value[: len(value) // size * size]


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text).replace(r"\*", ".*"), re.IGNORECASE | re.DOTALL)
