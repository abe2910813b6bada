"""What a JPEG or JPEG-LS stream carries that no decoder needs: comments, EXIF, XMP, makers' notes, what follows it.

The stream is walked from marker to marker and not decoded. Sources: ITU-T T.81 Annex B, T.87 Annex C.
"""

import re

from appliance.dicom.codec.patch import PADDING, Patch, blank
from appliance.dicom.codec.streams import EOI, SOI, SOS, jpeg_segment
from appliance.errors import Malformed

# Within a scan: a marker that is neither a restart nor the stuffing of JPEG (00) or of JPEG-LS (a bit).
_BEHIND_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_FRAME_HEADERS = frozenset({*range(0xC0, 0xD0), 0xF7}) - {0xC8}  # and DHT (C4) and DAC (CC) among them
_OF_DECODING = _FRAME_HEADERS | {SOS, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xF8}  # DQT, DNL, DRI, DHP, EXP, LSE of JPEG-LS
_COMMENT, _APP = 0xFE, range(0xE0, 0xF0)
_JFIF, _ADOBE = 14, 12  # bytes that decoders read of APP0 and APP14; a thumbnail may follow
# SPIFF's header, and the end of its directory, which CharLS writes; HP's colour transform, which CharLS reads.
_HEADERS_OF_APP8 = ((b"SPIFF\0", 30), (b"\0\0\0\1\xff\xd8", 6), (b"mrfx", 5))


def jpeg_surplus(data: bytes) -> list[Patch]:
    """Return what to put over it, so that nothing but the picture is left. Raises Malformed where lengths contradict.

    data  one frame: its fragments joined, with padding
    """
    if data[:2] != b"\xff\xd8":
        raise Malformed("A frame does not begin as JPEG does.")
    patches: list[Patch] = []
    at = 2
    while True:
        marker, body, at = jpeg_segment(data, at)
        if marker == EOI:
            break
        if marker == SOI:
            raise Malformed("A JPEG stream begins within another.")
        if marker == SOS:
            found = _BEHIND_SCAN.search(data, at)
            if found is None:
                raise Malformed("A JPEG stream has no end.")
            at = found.start()
        elif body:
            needed = _needed(marker, body)
            patches += blank(body[needed:], at - len(body) + needed)
    rest = data[at:]
    if rest.lstrip(b"\0").startswith(b"\xff\xd8\xff"):
        raise Malformed("A frame holds more than one JPEG stream: Number of Frames (0028,0008) may be wrong.")
    return patches + (blank(rest, at) if rest.strip(PADDING) else [])


def _needed(marker: int, body: bytes) -> int:
    """Return how many bytes of a segment, from its beginning, a decoder needs."""
    if marker in _OF_DECODING:
        return len(body)
    if marker == 0xE0 and body.startswith(b"JFIF"):
        return _at_least(body, _JFIF)
    if marker == 0xEE and body.startswith(b"Adobe"):
        return _at_least(body, _ADOBE)
    if marker == 0xE8 and any(body.startswith(name) and len(body) == size for name, size in _HEADERS_OF_APP8):
        return len(body)
    if marker == _COMMENT or marker in _APP:
        return 0
    raise Malformed("A JPEG stream has a marker that is reserved.")


def _at_least(body: bytes, size: int) -> int:
    if len(body) < size:
        raise Malformed("A JPEG stream says how its colours are meant in a segment that is cut.")
    return size
