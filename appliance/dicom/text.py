"""Text values and their character sets. Source: PS3.5 Section 6.1, PS3.3 C.12.1.1.2.

Decoding never raises: bytes that are not of their character set become something readable, and that is told. Code
extensions (ISO 2022 escapes) are followed as the Standard says, and as tolerantly as files need.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from appliance.dicom.element import SPECIFIC_CHARACTER_SET, DataSet, Element

CHARSET_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})  # what (0008,0005) is about
TEXT_VRS = CHARSET_VRS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
ONE_VALUED = frozenset({"LT", "ST", "UT", "UR"})  # a backslash is a letter in them

_ESC = 0x1B
_WHOLE = {"192": "utf-8", "18030": "gb18030", "GBK": "gbk"}  # no code extensions; a trail byte may be a backslash
_SINGLE = {
    "": "ascii", "6": "ascii", "100": "latin-1", "101": "iso8859-2", "109": "iso8859-3", "110": "iso8859-4",
    "144": "iso8859-5", "127": "iso8859-6", "126": "iso8859-7", "138": "iso8859-8", "148": "iso8859-9",
    "203": "iso8859-15", "13": "shift_jis", "166": "tis-620",
}  # fmt: skip
_DOUBLE = {"87": "iso2022_jp", "159": "iso2022_jp_2", "149": "euc_kr", "58": "gb2312"}
_ESCAPES = {  # after ESC: which half of the code table it fills, and with what. PS3.3 Tables C.12-3 and C.12-4
    b"(B": (0, "6"), b"(J": (0, "14"), b")I": (1, "13"), b"-A": (1, "100"), b"-B": (1, "101"), b"-C": (1, "109"),
    b"-D": (1, "110"), b"-L": (1, "144"), b"-G": (1, "127"), b"-F": (1, "126"), b"-H": (1, "138"),
    b"-M": (1, "148"), b"-b": (1, "203"), b"-T": (1, "166"), b"$B": (0, "87"), b"$(D": (0, "159"),
    b"$)C": (1, "149"), b"$)A": (1, "58"),
}  # fmt: skip
_ESCAPE_OF = {name: escape for escape, (_, name) in _ESCAPES.items()}
_HALF_OF = {name: half for half, name in _ESCAPES.values()}
_IN_ESCAPES = re.compile(rb"\x1b(\$\([A-Z]|\$\)[A-Z]|\$[A-Z]|[()\-.][A-Za-z])|([\\\r\n\f\t])|(=|\^)")


class Decoded(NamedTuple):
    """A text, and whether every byte of it was of its character set."""

    text: str
    exact: bool


class Encoded(NamedTuple):
    """Bytes, and whether every character could be written; one that could not is a question mark."""

    value: bytes
    exact: bool


def inherit_charsets(data_set: DataSet, charsets: tuple[str, ...]) -> None:
    """Set ``charsets`` here and in all items: an own Specific Character Set, else what holds outside."""
    own = data_set.elements.get(SPECIFIC_CHARACTER_SET)
    if own is not None and isinstance(own.value, bytes):
        charsets = charset_names(own.value)
    data_set.charsets = charsets
    for element in data_set.elements.values():
        if type(element.value) is list:
            for item in element.value:
                inherit_charsets(item, charsets)


def charset_names(value: bytes) -> tuple[str, ...]:
    """Return the values of Specific Character Set (0008,0005); an empty one alone is the default repertoire: ()."""
    names = tuple(name.strip(" \0") for name in value.decode("latin-1").split("\\"))
    return names if any(names) else ()


def is_known_charset(name: str) -> bool:
    """Whether ``decode`` knows the defined term; ``""`` is the default repertoire."""
    key = _key(name)
    return key in _SINGLE or key in _WHOLE or key in _DOUBLE


def decode(value: bytes, vr: str, charsets: tuple[str, ...] = ()) -> Decoded:
    """Return the text of a whole value field, padding and backslashes included.

    vr        only LO, LT, PN, SH, ST, UC and UT follow the character sets; the others have the default repertoire
    charsets  as ``DataSet.charsets``
    """
    if value.isascii() and _ESC not in value:
        return Decoded(value.decode("ascii"), True)
    names = [_key(name) for name in charsets] if vr in CHARSET_VRS else []
    first = names[0] if names else ""
    if first in _WHOLE:
        return _strictly(value, _WHOLE[first])
    if _ESC in value:
        followed = _with_extensions(value, first)
        return followed if names else Decoded(followed.text, False)  # announced by nothing, and readable all the same
    if first in _DOUBLE:  # without escapes: some write EUC, or 7 bit codes, at once
        return _strictly(value, {"87": "euc_jp", "159": "euc_jp"}.get(first, _DOUBLE[first]))
    return _strictly(value, _SINGLE.get(first, "ascii"))


def values(element: Element, data_set: DataSet) -> list[str]:
    """Return the values of a text element, decoded, each without padding; [] for an empty element and for no text.

    data_set  holds the element: its character sets count
    """
    if element.vr not in TEXT_VRS or not isinstance(element.value, bytes):
        return []
    text = decode(element.value, element.vr, data_set.charsets).text
    if element.vr in ONE_VALUED:
        text = text.rstrip(" \0")
        return [text] if text else []
    found = [part.strip(" \0") for part in text.split("\\")]
    return found if any(found) or len(found) > 1 else []


def encode(text: str, vr: str, charsets: tuple[str, ...] = ()) -> Encoded:
    """Return ``text`` as a value field in these character sets, without padding; escapes are written where needed."""
    if text.isascii():
        return Encoded(text.encode("ascii"), True)
    names = [_key(name) for name in charsets] if vr in CHARSET_VRS else []
    first = names[0] if names else ""
    codec = _WHOLE.get(first) or _SINGLE.get(first, "ascii")
    if (value := _encoded(text, codec)) is not None:
        return Encoded(value, True)
    if len(names) < 2 or first in _WHOLE:
        return Encoded(b"".join(_encoded(character, codec) or b"?" for character in text), False)
    return _extended(text, names)


def _key(name: str) -> str:
    """Return the number of a defined term, as tolerantly as people write it: ``ISO_IR 100``, ``ISO 2022 IR 100``."""
    plain = name.upper().replace("_", " ").replace("-", " ").strip()
    if plain in ("UTF 8", "UTF8"):
        return "192"
    if plain in ("GB18030", "GB 18030"):
        return "18030"
    if plain == "GBK":
        return "GBK"
    number = re.fullmatch(r"ISO ?(?:2022 ?)?IR ?(\d+)", plain)
    return number[1] if number else plain


def _strictly(value: bytes, codec: str) -> Decoded:
    try:
        text = value.decode(codec)
        return Decoded(text, codec != "shift_jis" or len(text) == len(value))  # JIS X 0201 alone has single bytes
    except UnicodeDecodeError:
        pass
    try:
        return Decoded(value.decode("utf-8"), False)  # what it most often is, when it is not what it says
    except UnicodeDecodeError:
        return Decoded(value.decode("latin-1"), False)


def _with_extensions(value: bytes, first: str) -> Decoded:
    """Follow the escapes. A delimiter takes back the lower half, and the upper if the first character set has one."""
    initial = (first if _HALF_OF.get(first) == 0 else "6", first if first not in _DOUBLE else "")
    lower, upper = initial
    texts: list[str] = []
    exact = True
    at = 0
    for mark in [*_IN_ESCAPES.finditer(value), None]:
        end = len(value) if mark is None else mark.start()
        if mark is not None and mark[1] is None and lower in _DOUBLE and mark[3] is not None:
            continue  # = and ^ are halves of a character here
        if mark is not None and mark[2] == b"\\" and lower in _DOUBLE:
            continue
        text, fine = _piece(value[at:end], lower, upper)
        texts.append(text)
        exact &= fine
        if mark is None:
            break
        at = mark.end()
        if mark[1] is None:
            texts.append(mark[0].decode("ascii"))
            lower, upper = initial[0], initial[1] if initial[1] not in ("", "6") else upper
        elif mark[1] in _ESCAPES:
            half, name = _ESCAPES[mark[1]]
            lower, upper = (name, upper) if half == 0 else (lower, name)
        else:
            exact = False
    return Decoded("".join(texts), exact)


def _piece(value: bytes, lower: str, upper: str) -> tuple[str, bool]:
    """Decode bytes between escapes and delimiters."""
    if lower in _DOUBLE and value.isascii():
        return _strictly(b"\x1b" + _ESCAPE_OF[lower] + value + b"\x1b(B", _DOUBLE[lower])
    return _strictly(value, _DOUBLE.get(upper) or _SINGLE.get(upper, "ascii"))


def _encoded(text: str, codec: str) -> bytes | None:
    """Return the bytes, or None if the code does not have a letter; Shift JIS stands for its single bytes only."""
    try:
        value = text.encode(codec)
    except UnicodeEncodeError:
        return None
    return value if codec != "shift_jis" or len(value) == len(text) else None


def _extended(text: str, names: list[str]) -> Encoded:
    """Write with escapes: each run of characters in the first character set that has them."""
    pieces: list[bytes] = []
    exact, current = True, ""
    for character in text:
        if character.isascii():
            if current and _HALF_OF.get(current) == 0:
                pieces.append(b"\x1b(B")
                current = ""
            if character in "\\\r\n\f\t^=":
                current = ""
            pieces.append(character.encode())
            continue
        name, body = _in_one_of(character, ([current] if current else []) + names)
        if not body:
            exact = False
            body = b"?"
        elif name != current and (name != names[0] or current):
            pieces.append(b"\x1b" + _ESCAPE_OF.get(name, b"(B"))
            current = name
        pieces.append(body)
    if current and _HALF_OF.get(current) == 0:
        pieces.append(b"\x1b(B")
    return Encoded(b"".join(pieces), exact)


def _in_one_of(character: str, names: Iterable[str]) -> tuple[str, bytes]:
    for name in names:
        body = _encoded(character, _DOUBLE.get(name) or _SINGLE.get(name, "ascii"))
        if body is None:
            continue
        if _HALF_OF.get(name) == 0 and name in _DOUBLE:
            escape = b"\x1b" + _ESCAPE_OF[name]
            if not body.startswith(escape):
                continue
            body = body.removeprefix(escape).removesuffix(b"\x1b(B")
        return name, body
    return "", b""
