"""One frame encoded: without loss wherever the transfer syntax allows it, the lossy ones too.

JPEG-LS near-lossless, JPEG 2000 and HTJ2K hold exact streams as well (PS3.5 A.4.3, A.4.4), so a frame that was touched
loses nothing more there. Only lossy JPEG must lose, and then no more than the frame's own tables let it.
"""

from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec import rle
from appliance.dicom.codec.families import Family
from appliance.dicom.codec.form import PixelForm
from appliance.dicom.codec.quality import quality_for
from appliance.errors import CannotEncode

_DEEPEST = 16
_BASELINE_BITS, _EXTENDED_BITS = 8, 12


@dataclass(frozen=True, slots=True)
class Manner:
    """How a frame is to be encoded.

    precision  bits of a sample; at least what its numbers need
    colours    "RGB" or "YBR": what three samples are; "" for one
    turned     RGB goes through JPEG 2000's component transform
    tables, sampling  of the lossy JPEG frame that it replaces; none: near to invisible
    """

    precision: int
    colours: str = ""
    turned: bool = False
    tables: tuple[tuple[int, ...], ...] = ()
    sampling: str = "444"


def encoded(frame: NDArray[Any], form: PixelForm, family: Family, manner: Manner) -> bytes:
    """Return the code stream of a frame. Raises CannotEncode for one that the family cannot hold."""
    if family is Family.RLE and form.bits_allocated > 1:
        return rle.encoded(frame, form)
    if form.bits_allocated == 1 or manner.precision > _DEEPEST:
        raise CannotEncode(f"{family.value} is not encoded for cells of {form.bits_allocated} bits.")
    try:
        match family:
            case Family.JPEG:
                return _lossy(frame, form, manner)
            case Family.JPEG_LOSSLESS:
                return _lossless(_unsigned(frame, manner.precision), manner)
            case Family.JPEG_LS:
                # Always 8 or 16 bits a sample, so a sign reaches to the top.
                return bytes(imagecodecs.jpegls_encode(_unsigned(frame, 8 if manner.precision <= 8 else 16)))
            case _:
                return _jpeg_2000(frame, family, manner)
    except (RuntimeError, ValueError) as error:
        raise CannotEncode(f"{family.value} could not hold a frame ({type(error).__name__}).") from None


def precision_of(frame: NDArray[Any], form: PixelForm) -> int:
    """Return Bits Stored where all numbers fit, else the whole cell: overlays and vendors write above the pixel."""
    exact = form.high_bit + 1 == form.bits_stored and fits(frame, form.bits_stored, signed=form.signed)
    return form.bits_stored if exact else form.bits_allocated


def fits(frame: NDArray[Any], bits: int, *, signed: bool) -> bool:
    """Whether every number of a frame has its place in so many bits."""
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    return low <= int(frame.min()) and int(frame.max()) < high


def _lossy(frame: NDArray[Any], form: PixelForm, manner: Manner) -> bytes:
    bits = _BASELINE_BITS if manner.precision <= _BASELINE_BITS else _EXTENDED_BITS
    if form.signed or manner.precision > _EXTENDED_BITS:
        raise CannotEncode("Lossy JPEG holds unsigned pixels of at most 12 bits.")
    how: dict[str, Any] = {"level": quality_for(manner.tables, colours=manner.colours == "YBR"), "bitspersample": bits}
    if manner.colours:
        space = "ycbcr" if manner.colours == "YBR" else "rgb"
        how |= {"colorspace": space, "outcolorspace": space, "subsampling": manner.sampling or "444"}
    return bytes(imagecodecs.jpeg8_encode(_unsigned(frame, bits), **how))


def _lossless(frame: NDArray[Any], manner: Manner) -> bytes:
    """Predictor 1, which both lossless syntaxes allow."""
    how: dict[str, Any] = {"lossless": True, "predictor": 1, "bitspersample": max(2, manner.precision)}
    if not manner.colours:
        return bytes(imagecodecs.jpeg8_encode(frame, **how))
    # As RGB, so that libjpeg turns nothing; for others its marker and letters are taken back.
    stream = bytes(imagecodecs.jpeg8_encode(frame, colorspace="rgb", outcolorspace="rgb", **how))
    return stream if manner.colours == "RGB" else _unnamed(stream)


def _unnamed(stream: bytes) -> bytes:
    """Return an RGB stream that does not say it is RGB: no Adobe marker, components 1, 2, 3. Source: T.81 B.2."""
    length = int.from_bytes(stream[4:6], "big")
    body = bytearray(stream[:2] + stream[4 + length :] if stream[2:4] == b"\xff\xee" else stream)
    at = 2
    while body[at + 1] != 0xDA:
        if body[at + 1] == 0xC3:
            body[at + 10 : at + 19 : 3] = b"\1\2\3"
        at += 2 + int.from_bytes(body[at + 2 : at + 4], "big")
    body[at + 5 : at + 11 : 2] = b"\1\2\3"
    return bytes(body)


def _jpeg_2000(frame: NDArray[Any], family: Family, manner: Manner) -> bytes:
    signed = frame.dtype.kind == "i"
    width = 1 if manner.precision <= 8 else 2
    cells = np.ascontiguousarray(frame.astype(f"{'i' if signed else 'u'}{width}"))
    levels = max(1, min(6, min(frame.shape[:2]).bit_length()))
    if family is Family.HTJ2K:
        return bytes(imagecodecs.htj2k_encode(cells, reversible=True, rgb=manner.turned, resolutions=levels, tlm=True))
    return bytes(
        imagecodecs.jpeg2k_encode(
            cells,
            level=0,
            codecformat="j2k",
            reversible=True,
            bitspersample=manner.precision,
            mct=manner.turned,
            resolutions=levels,
        )
    )


def _unsigned(frame: NDArray[Any], bits: int) -> NDArray[Any]:
    """Return the lowest bits of each number."""
    cells = frame.astype(np.int32) & ((1 << bits) - 1)
    return np.ascontiguousarray(cells.astype(np.uint8 if bits <= 8 else np.uint16))
