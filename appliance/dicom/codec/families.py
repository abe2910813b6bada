"""Transfer syntaxes by what decodes and encodes their pixels. Source: PS3.5 Annex A, PS3.6 Table A-1."""

from dataclasses import dataclass
from enum import Enum

from appliance.dicom.syntaxes import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    GE_PRIVATE_IMPLICIT,
    IMPLICIT_LITTLE,
)

_JPEG = "1.2.840.10008.1.2.4."
RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE, JPEG_EXTENDED = _JPEG + "50", _JPEG + "51"
JPEG_LOSSLESS, JPEG_LOSSLESS_SV1 = _JPEG + "57", _JPEG + "70"
JPEG_LS, JPEG_LS_NEAR = _JPEG + "80", _JPEG + "81"
JPEG_2000_LOSSLESS, JPEG_2000 = _JPEG + "90", _JPEG + "91"
HTJ2K_LOSSLESS, HTJ2K_LOSSLESS_RPCL, HTJ2K = _JPEG + "201", _JPEG + "202", _JPEG + "203"


class Family(Enum):
    """What the pixels are coded with."""

    NATIVE = "uncompressed"
    RLE = "RLE"
    JPEG = "JPEG"  # lossy
    JPEG_LOSSLESS = "JPEG lossless"
    JPEG_LS = "JPEG-LS"
    JPEG_2000 = "JPEG 2000"
    HTJ2K = "High-Throughput JPEG 2000"


@dataclass(frozen=True, slots=True)
class Coding:
    """What can be done with one transfer syntax.

    encodes   whether pixels can be put into it; else they are decoded and leave uncompressed
    method    Lossy Image Compression Method, where its pixels may have lost something: PS3.3 C.7.6.1.1.5.1
    """

    family: Family
    encodes: bool = True
    method: str = ""


_ISO_JPEG, _ISO_LS, _ISO_2000, _ISO_HT = "ISO_10918_1", "ISO_14495_1", "ISO_15444_1", "ISO_15444_15"
_CODINGS = {
    **dict.fromkeys(
        (IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE, EXPLICIT_BIG, GE_PRIVATE_IMPLICIT), Coding(Family.NATIVE)
    ),
    RLE: Coding(Family.RLE),
    JPEG_BASELINE: Coding(Family.JPEG, method=_ISO_JPEG),
    JPEG_EXTENDED: Coding(Family.JPEG, method=_ISO_JPEG),
    # Retired: progressive, which every JPEG decoder reads and nobody should write.
    _JPEG + "53": Coding(Family.JPEG, encodes=False, method=_ISO_JPEG),
    _JPEG + "55": Coding(Family.JPEG, encodes=False, method=_ISO_JPEG),
    JPEG_LOSSLESS: Coding(Family.JPEG_LOSSLESS, method=_ISO_JPEG),
    JPEG_LOSSLESS_SV1: Coding(Family.JPEG_LOSSLESS, method=_ISO_JPEG),
    JPEG_LS: Coding(Family.JPEG_LS, method=_ISO_LS),
    JPEG_LS_NEAR: Coding(Family.JPEG_LS, method=_ISO_LS),
    JPEG_2000_LOSSLESS: Coding(Family.JPEG_2000, method=_ISO_2000),
    JPEG_2000: Coding(Family.JPEG_2000, method=_ISO_2000),
    HTJ2K_LOSSLESS: Coding(Family.HTJ2K, method=_ISO_HT),
    HTJ2K_LOSSLESS_RPCL: Coding(Family.HTJ2K, method=_ISO_HT),
    HTJ2K: Coding(Family.HTJ2K, method=_ISO_HT),
}

# What is not decoded too: Part 2, and hierarchical and arithmetic ones, all retired. Their streams are walked.
_ALL_JPEG_2000 = frozenset({*(f"{_JPEG}{number}" for number in (*range(90, 94), *range(201, 204)))})
_ALL_JPEG = frozenset({*(f"{_JPEG}{number}" for number in range(50, 67)), JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_LS_NEAR})


def coding_of(syntax: str) -> Coding | None:
    """Return what can be done with the pixels of a transfer syntax; None: nothing (video, for one)."""
    return _CODINGS.get(syntax)


def can_decode(syntax: str) -> bool:
    """Whether pixels of this transfer syntax are decoded."""
    return syntax in _CODINGS


def is_jpeg(syntax: str) -> bool:
    """Whether pixels of this transfer syntax are JPEG or JPEG-LS streams, of any process, decoded here or not."""
    return syntax in _ALL_JPEG


def is_jpeg_2000(syntax: str) -> bool:
    """Whether pixels of this transfer syntax are JPEG 2000 or HTJ2K streams, of Part 2 too, decoded here or not."""
    return syntax in _ALL_JPEG_2000


def is_native(syntax: str) -> bool:
    """Whether pixels of this transfer syntax are uncompressed."""
    coding = _CODINGS.get(syntax)
    return coding is not None and coding.family is Family.NATIVE


def can_encode(syntax: str) -> bool:
    """Whether pixels can be put into this transfer syntax."""
    coding = _CODINGS.get(syntax)
    return coding is not None and coding.encodes


def encodes_exactly(syntax: str) -> bool:
    """Whether what is put into this transfer syntax comes out again bit by bit: all but lossy JPEG."""
    coding = _CODINGS.get(syntax)
    return coding is not None and coding.encodes and coding.family is not Family.JPEG
