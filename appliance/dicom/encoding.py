"""The layouts of a Data Element's head, and which VR has which. Source: PS3.5 Section 7.1, Tables 7.1-1 and 7.1-2."""

from dataclasses import dataclass
from struct import Struct

UNDEFINED = 0xFFFFFFFF
ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD

_SHORT = "AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US"
_LONG = "OB OD OF OL OV OW SQ SV UC UN UR UT UV"

SHORT_VRS = {vr.encode(): vr for vr in _SHORT.split()}  # 16 bit length
LONG_VRS = {vr.encode(): vr for vr in _LONG.split()}  # two bytes reserved, 32 bit length
SHORT_CODES = {vr: code for code, vr in SHORT_VRS.items()}
LONG_CODES = {vr: code for code, vr in LONG_VRS.items()}

BULK_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})  # what may stay in the file
_TEXT = "AE AS CS DA DS DT IS LO LT PN SH ST TM UC UR UT"
TEXT_PADDED = frozenset(_TEXT.split())  # by a blank: PS3.5 Section 6.2


@dataclass(frozen=True, slots=True)
class Encoding:
    """One of the three ways to write an element's head.

    short   group, element, VR, 16 bit length (explicit)
    long    32 bit length, after VR and two reserved bytes (explicit)
    plain   group, element, 32 bit length (implicit; in all three: items and delimiters)
    packed  group, element, VR, two reserved bytes, 32 bit length: short and long as one, for writing
    """

    implicit: bool
    little_endian: bool
    short: Struct
    long: Struct
    plain: Struct
    packed: Struct


def _encoding(order: str, *, implicit: bool) -> Encoding:
    return Encoding(
        implicit,
        order == "<",
        Struct(order + "HH2sH"),
        Struct(order + "L"),
        Struct(order + "HHL"),
        Struct(order + "HH2sHL"),
    )


IMPLICIT_LITTLE = _encoding("<", implicit=True)
EXPLICIT_LITTLE = _encoding("<", implicit=False)
EXPLICIT_BIG = _encoding(">", implicit=False)


def encoding_of(*, implicit: bool, little_endian: bool) -> Encoding:
    """Return the encoding; implicit is little endian always."""
    if implicit:
        return IMPLICIT_LITTLE
    return EXPLICIT_LITTLE if little_endian else EXPLICIT_BIG
