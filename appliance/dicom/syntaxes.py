"""Transfer syntaxes: how the bytes of a Data Set are laid out. Source: PS3.5 Annex A, PS3.6 Table A-1."""

from dataclasses import dataclass
from functools import lru_cache

from appliance.dicom.registry import TRANSFER_SYNTAX, registered

IMPLICIT_LITTLE = "1.2.840.10008.1.2"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"  # retired, and still sent

# GE's own: implicit VR little endian whose 16 bit pixels alone are big endian. Their bytes are only ever copied.
GE_PRIVATE_IMPLICIT = "1.2.840.113619.5.2"

_IMPLICIT = frozenset({IMPLICIT_LITTLE, GE_PRIVATE_IMPLICIT, "1.2.840.10008.1.20"})  # the last: Papyrus 3, retired
_DEFLATED = frozenset({DEFLATED_LITTLE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"})  # JPIP ... Deflate
_JPIP = frozenset({"1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.204"})  # pixels are elsewhere: an URL stands for them
_NATIVE = _IMPLICIT | _DEFLATED | _JPIP | {EXPLICIT_LITTLE, EXPLICIT_BIG}


@dataclass(frozen=True, slots=True)
class Syntax:
    """One transfer syntax.

    known         listed in PS3.6 (or read by special arrangement); a UID that is not known is taken for one of the
                  compressed syntaxes to come, which are all explicit little endian. Source: PS3.5 A.4
    encapsulated  pixel data, if any, come as fragments
    """

    uid: str
    implicit: bool
    little_endian: bool
    deflated: bool
    encapsulated: bool
    known: bool


@lru_cache(maxsize=256)
def syntax_of(uid: str) -> Syntax:
    """Return what is known of a transfer syntax; never raises."""
    listed = registered(uid)
    return Syntax(
        uid=uid,
        implicit=uid in _IMPLICIT,
        little_endian=uid != EXPLICIT_BIG,
        deflated=uid in _DEFLATED,
        encapsulated=uid not in _NATIVE,
        known=uid in _NATIVE or (listed is not None and listed.kind == TRANSFER_SYNTAX),
    )
