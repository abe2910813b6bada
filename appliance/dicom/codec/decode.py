"""One frame's code stream, decoded: checked against the form first, so that no decoder meets an unexpected size."""

from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec import rle
from appliance.dicom.codec.families import Family
from appliance.dicom.codec.form import PixelForm
from appliance.dicom.codec.streams import Stream, jpeg_2000_stream, jpeg_stream
from appliance.errors import CannotDecode, Malformed

_ANOTHER_END = b"\xaa" * 32 + b"\xff\xd9"
_DEEPEST = 16  # bits of a sample that the decoders are trusted with
_END = b"\xff\xd9"


def stream_of(data: bytes, form: PixelForm, family: Family) -> Stream:
    """Return what the stream says of itself; raises Malformed where it is not what the Data Set says."""
    if family is Family.RLE:
        return Stream(form.rows, form.columns, form.samples, form.bits_allocated, form.signed, lossless=True)
    stream = (jpeg_2000_stream if family in (Family.JPEG_2000, Family.HTJ2K) else jpeg_stream)(data)
    if (stream.rows, stream.columns, stream.samples) != (form.rows, form.columns, form.samples):
        raise Malformed("A frame has another size or other samples than the Data Set says.")
    if stream.precision > _DEEPEST:
        raise CannotDecode(f"A frame has {stream.precision} bits a sample; {_DEEPEST} are decoded.")
    if stream.precision > form.bits_allocated:
        raise Malformed("A frame has more bits a sample than Bits Allocated (0028,0100).")
    return stream


def decoded(data: bytes, stream: Stream, form: PixelForm, family: Family) -> NDArray[Any]:
    """Return the frame as (R, C) or (R, C, 3): stored values as the stream holds them, colours not turned by us.

    Raises Malformed for a stream that is broken or ends early.
    """
    if family is Family.RLE:
        return rle.decoded(data, form)
    try:
        match family:
            case Family.JPEG | Family.JPEG_LOSSLESS:
                frame = _jpeg(data, stream)
            case Family.JPEG_LS:
                # CharLS 2.4.3 turns for seconds in a stream without an end.
                frame = imagecodecs.jpegls_decode(data[: _end_of(data.rfind(_END)) + 2])
            case _:
                # HTJ2K too: imagecodecs 2026.3.6 tells nobody when OpenJPH fails, OpenJPEG's failures it does.
                frame = imagecodecs.jpeg2k_decode(data[stream.begins :])
    except (RuntimeError, ValueError) as error:
        raise Malformed(f"A frame's {family.value} stream is broken ({type(error).__name__}).") from None
    if frame.shape != form.shape:
        raise Malformed("A frame was decoded to another size than the Data Set says.")
    return _cells(frame, stream, form)


def _jpeg(data: bytes, stream: Stream) -> NDArray[Any]:
    """Decode twice where it must be: libjpeg fills in what a stream lacks, with whatever stands behind it.

    So a stream that ends early is one whose picture depends on what is put behind it.
    """
    end = _end_of(data.find(_END, stream.scan))
    while data[end - 1] == 0xFF:
        end -= 1  # fill bytes, which DCMTK writes: T.81 B.1.1.2
    as_is = "ycbcr" if stream.samples == 3 else None  # from and to the same colours: nothing is turned
    frame = imagecodecs.jpeg8_decode(data[:end] + _END, colorspace=as_is, outcolorspace=as_is)
    again = imagecodecs.jpeg8_decode(data[:end] + _ANOTHER_END, colorspace=as_is, outcolorspace=as_is)
    if not np.array_equal(frame, again):
        raise Malformed("A JPEG stream ends early.")
    return frame


def _end_of(at: int) -> int:
    if at < 0:
        raise Malformed("A JPEG stream has no end.")
    return at


def _cells(frame: NDArray[Any], stream: Stream, form: PixelForm) -> NDArray[Any]:
    """Return the samples as the Data Set means them: JPEG and JPEG-LS know no signs, some JPEG 2000 have it wrong."""
    if stream.signed == form.signed:
        return frame.astype(form.dtype, copy=False)
    bits = frame.astype(np.int32) & ((1 << stream.precision) - 1)
    if form.signed:
        sign = 1 << (stream.precision - 1)
        bits = (bits ^ sign) - sign
    return bits.astype(form.dtype)
