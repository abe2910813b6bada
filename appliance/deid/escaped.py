"""Text inside text: letters that are written as numbers, as web addresses, XML, JSON, mail and HL7 do.

And text that was read in another code than it was written in: what is no ASCII is read in every way that it may mean.
"""

import html
import re
from collections.abc import Iterator

_CODES = ("utf-8", "latin-1", "cp1250", "cp1251", "cp1252", "iso8859-5", "iso8859-7", "koi8-r", "gb18030", "shift_jis",
          "euc_jp", "euc_kr", "utf-16-le", "utf-16-be")  # fmt: skip
_NUMBERED = re.compile(r"\\u\{?([0-9a-fA-F]{4,6})\}?|\\x([0-9a-fA-F]{2})|=([0-9A-F]{2})")
_HL7 = re.compile(r"\\X([0-9A-Fa-f]+)\\")


def unescaped(text: str) -> Iterator[str]:
    """Yield the text with its escapes resolved, once for each way of escaping that it seems to have."""
    if "%" in text:
        yield from _by_octets(text, rb"%([0-9A-Fa-f]{2})")
    if "&" in text and ";" in text:
        yield html.unescape(text)
    if "\\" in text or "=" in text:
        yield _NUMBERED.sub(_character, text)
        yield from _by_octets(text, rb"=([0-9A-F]{2})")
        yield _HL7.sub(lambda found: _octets(found[1]).decode("utf-8", "replace"), text)


def readings(value: bytes) -> Iterator[str]:
    """Yield what bytes can mean as text; what was UTF-8, and was written again as something else, too."""
    for code in _CODES:
        text = value.decode(code, "ignore")
        yield text
        if code in ("latin-1", "cp1252"):
            yield text.encode(code, "ignore").decode("utf-8", "ignore")
    again = value.decode("utf-8", "ignore")
    for code in ("latin-1", "cp1252"):
        yield again.encode(code, "ignore").decode("utf-8", "ignore")


def _character(found: re.Match[str]) -> str:
    number = int(found[1] or found[2] or found[3], 16)
    return chr(number) if number <= 0x10FFFF else ""


def _by_octets(text: str, octet: bytes) -> Iterator[str]:
    """Resolve escapes that stand for one octet each: together they are UTF-8, or something older."""
    octets = re.sub(octet, lambda found: bytes.fromhex(found[1].decode()), text.encode("utf-8", "replace"))
    yield octets.decode("utf-8", "replace")
    yield octets.decode("latin-1")


def _octets(digits: str) -> bytes:
    return bytes.fromhex(digits[: len(digits) // 2 * 2])
