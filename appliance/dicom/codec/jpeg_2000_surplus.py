"""What a JPEG 2000 or HTJ2K stream carries that no decoder needs: comments, boxes of a JP2 file, what follows its end.

Headers are walked and nothing is decoded. Sources: ITU-T T.800 Annex A and I, T.814.
"""

import re
import struct

from appliance.dicom.codec.patch import PADDING, Patch, blank
from appliance.errors import Malformed

_SIZE, _TILE, _DATA, _END = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\x93", b"\xff\xd9"
_COMMENT = 0x64
_REGISTRATION = 2  # bytes of a comment that say of what kind it is
# COD, COC, TLM, PLM, PLT, QCD, QCC, RGN, POC, PPM, PPT, CRG; CAP, CPF, PRF; those of Part 2.
_OF_DECODING = frozenset({0x50, 0x51, 0x52, 0x53, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5C, 0x5D, 0x5E, 0x5F})
_OF_DECODING |= {0x60, 0x61, 0x63, *range(0x70, 0x7D)}
_TILE_HEAD = 12  # bytes of SOT
# Encoders that only say their own name: nothing else has room in it.
_ENCODERS = re.compile(
    rb"(Created by (GDCM/)?OpenJPEG version |Creator: JasPer Version |OpenJPH Ver |Kakadu-v?)\d\.\d{1,3}(\.\d{1,2})?\.?"
)
_BOX_OF_IMAGE, _BOX_OF_STREAM, _FREE = b"jp2h", b"jp2c", b"free"
_PLAIN_BOXES = {b"jP  ": 4, b"ihdr": 14, b"colr": 7}  # bytes of content; colours by number, not by a profile


def jpeg_2000_surplus(data: bytes) -> list[Patch]:
    """Return what to put over it, so that nothing but the picture is left. Raises Malformed where lengths contradict.

    data  one frame: its fragments joined, with padding
    """
    if data[4:8] == b"jP  ":
        return _of_boxes(data, 0, len(data))
    return _of_stream(data, 0, len(data))


def _of_stream(data: bytes, at: int, stop: int) -> list[Patch]:
    """Walk the code stream between the two; what follows its end is surplus."""
    if data[at : at + 4] != _SIZE:
        raise Malformed("A frame does not begin as JPEG 2000 does.")
    patches: list[Patch] = []
    at = _header(data, at + 2, stop, _TILE, patches)
    while data[at : at + 2] == _TILE:
        if at + _TILE_HEAD > stop or data[at + 2 : at + 4] != b"\0\x0a":
            raise Malformed("A tile of a JPEG 2000 stream is cut.")
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        # Zero: up to the end of the stream, in the last tile.
        following = at + length if length else data.rfind(_END, at, stop)
        begins = _header(data, at + _TILE_HEAD, stop, _DATA, patches) + 2
        if not begins <= following <= stop:
            raise Malformed("A tile of a JPEG 2000 stream is cut.")
        at = following
    if data[at : at + 2] != _END or at + 2 > stop:
        raise Malformed("A JPEG 2000 stream has no end.")
    rest = data[at + 2 : stop]
    if rest.lstrip(b"\0").startswith(_SIZE):
        raise Malformed("A frame holds more than one JPEG 2000 stream: Number of Frames (0028,0008) may be wrong.")
    return patches + (blank(rest, at + 2) if rest.strip(PADDING) else [])


def _header(data: bytes, at: int, stop: int, last: bytes, patches: list[Patch]) -> int:
    """Walk the segments up to the marker ``last``; return where it is."""
    while (marker := data[at : at + 2]) != last:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker[:1] != b"\xff" or length < 2 or at + 2 + length > stop:
            raise Malformed("A header of a JPEG 2000 stream is cut, or something else stands in it.")
        body = data[at + 4 : at + 2 + length]
        if marker[1] == _COMMENT and _ENCODERS.fullmatch(body[_REGISTRATION:].rstrip(b"\0")) is None:
            patches += blank(body[_REGISTRATION:], at + 4 + _REGISTRATION)
        elif marker[1] not in _OF_DECODING and marker[1] != _COMMENT:
            patches += blank(body, at + 4)
        at += 2 + length
    return at


def _of_boxes(data: bytes, at: int, stop: int) -> list[Patch]:
    """Walk the boxes of a JP2 file: what is neither the stream nor plain facts about it becomes a free box."""
    patches: list[Patch] = []
    streams = 0
    while at < stop and data[at:stop].strip(b"\0"):
        size, kind = struct.unpack_from(">L4s", data, at) if at + 8 <= stop else (0, b"")
        begin, end = at + 8, at + size if size else stop
        if size == 1 and at + 16 <= stop:
            begin, end = at + 16, at + int.from_bytes(data[at + 8 : at + 16], "big")
        if not kind or not begin <= end <= stop:
            raise Malformed("A box around a JPEG 2000 stream is cut.")
        if kind == _BOX_OF_STREAM:
            streams += 1
            patches += _of_stream(data, begin, end)
        elif kind == _BOX_OF_IMAGE:
            patches += _of_boxes(data, begin, end)
        elif _PLAIN_BOXES.get(kind) != end - begin and data[begin:end].strip(b"\0"):
            patches += [Patch(at + 4, _FREE), *blank(data[begin:end], begin)]
        at = end
    if streams > 1:
        raise Malformed("A frame holds more than one JPEG 2000 stream: Number of Frames (0028,0008) may be wrong.")
    return patches
