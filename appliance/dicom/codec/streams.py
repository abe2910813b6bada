"""What a code stream says of itself, read before it is decoded: a wrong size must not reach a decoder.

Sources: JPEG ITU-T T.81 Annex B, JPEG-LS T.87 Annex C, JPEG 2000 T.800 Annex A.
"""

import struct
from dataclasses import dataclass
from math import ceil

from appliance.errors import CannotDecode, Malformed

_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length: TEM, RSTn
SOI, EOI, SOS, _DQT, _ADOBE, _JFIF = 0xD8, 0xD9, 0xDA, 0xDB, 0xEE, 0xE0
_FRAMES = {0xC0: "lossy", 0xC1: "lossy", 0xC2: "lossy", 0xC3: "lossless", 0xF7: "jpeg-ls"}
_OTHER_FRAMES = frozenset({0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})  # hierarchical, arithmetic
_MOST_TILES = 65535


@dataclass(frozen=True, slots=True)
class Stream:
    """The head of one code stream.

    precision  bits of a sample
    signed     whether the stream itself says so; only JPEG 2000 does
    lossless   whether the decoded numbers are those that were encoded
    colours    "RGB" or "YBR" where the stream tells; "" where the Data Set must
    turned     colours were turned within the stream and come out as RGB (JPEG 2000's component transform)
    sampling   of the colour differences: "444", "422", "420", "440", "411"; "" for others
    tables     quantization tables by number, in zigzag order: their first 64 numbers
    begins     where in the bytes the code stream begins: behind the boxes of a JP2 file, which does not belong there
    scan       where in the bytes the first scan of a JPEG stream begins
    """

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool
    lossless: bool
    colours: str = ""
    turned: bool = False
    sampling: str = "444"
    tables: tuple[tuple[int, ...], ...] = ()
    begins: int = 0
    scan: int = 0


def jpeg_stream(data: bytes) -> Stream:
    """Read the head of a JPEG or JPEG-LS stream, up to its first scan."""
    if data[:2] != b"\xff\xd8":
        raise Malformed("A frame does not begin as JPEG does.")
    at, frame, adobe, jfif = 2, b"", -1, False
    kind, tables = "", dict[int, tuple[int, ...]]()
    while True:
        marker, body, at = jpeg_segment(data, at)
        if marker in _OTHER_FRAMES:
            raise CannotDecode("A frame is of a JPEG process that is not decoded: hierarchical or arithmetic.")
        if marker in _FRAMES:
            if frame:
                raise Malformed("A JPEG stream has two frame headers.")
            frame, kind = body, _FRAMES[marker]
        elif marker == _ADOBE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker == _JFIF and body[:4] == b"JFIF":
            jfif = True
        elif marker == _DQT:
            tables |= _tables(body)
        elif marker == SOS:
            break
        elif marker == EOI:
            raise Malformed("A JPEG stream ends before its picture begins.")
    if len(frame) < 6 or len(frame) != 6 + 3 * frame[5]:
        raise Malformed("A JPEG stream has no frame header, or a broken one.")
    precision, rows, columns, samples = struct.unpack_from(">BHHB", frame)
    # The last three bytes of a scan header: JPEG-LS has NEAR first, lossless JPEG the point transform in the last.
    near, _, shift = body[-3:] if len(body) >= 3 else b"\0\0\0"
    factors = [divmod(frame[7 + 3 * n], 16) for n in range(samples)]
    return Stream(
        rows,
        columns,
        samples,
        precision,
        signed=False,
        lossless=(kind == "lossless" and not shift & 0x0F) or (kind == "jpeg-ls" and near == 0),
        colours=_colours(frame, adobe, jfif=jfif, halved=len(set(factors)) > 1) if kind == "lossy" else "",
        sampling=_sampling(factors),
        tables=tuple(tables[number] for number in sorted(tables)),
        scan=at,
    )


def jpeg_segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """Return the marker at ``at``, its body and where the next one begins; raises Malformed where there is none."""
    while data[at : at + 2] == b"\xff\xff":
        at += 1  # fill bytes: T.81 B.1.1.2
    if len(data) < at + 2 or data[at] != 0xFF:
        raise Malformed("A JPEG stream has something else where a marker should be.")
    marker = data[at + 1]
    if marker in _STANDALONE or marker in (SOI, EOI):
        return marker, b"", at + 2
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    if length < 2 or at + 2 + length > len(data):
        raise Malformed("A segment of a JPEG stream is cut.")
    return marker, data[at + 4 : at + 2 + length], at + 2 + length


def _tables(body: bytes) -> dict[int, tuple[int, ...]]:
    found: dict[int, tuple[int, ...]] = {}
    at = 0
    while at < len(body):
        wide, number = divmod(body[at], 16)
        length = 128 if wide else 64
        cells = body[at + 1 : at + 1 + length]
        if wide > 1 or len(cells) != length:
            raise Malformed("A quantization table of a JPEG stream is cut.")
        found[number] = struct.unpack(">64H" if wide else ">64B", cells)
        at += 1 + length
    return found


def _colours(frame: bytes, adobe: int, *, jfif: bool, halved: bool) -> str:
    """Tell RGB from YCbCr as every JPEG decoder does, "" where only the Data Set can."""
    if frame[5] != 3:
        return ""
    if adobe >= 0:
        return "YBR" if adobe == 1 else "RGB"
    if jfif or halved:
        return "YBR"
    return "RGB" if bytes(frame[6::3]) == b"RGB" else ""


def _sampling(factors: list[tuple[int, int]]) -> str:
    if len(factors) != 3:
        return "444"
    known = {(1, 1): "444", (2, 1): "422", (2, 2): "420", (1, 2): "440", (4, 1): "411"}
    first, *others = factors
    return known.get(first, "") if others == [(1, 1), (1, 1)] else "444" if len(set(factors)) == 1 else ""


def jpeg_2000_stream(data: bytes) -> Stream:
    """Read the main header of a JPEG 2000 or HTJ2K stream."""
    begins = 0
    if data[4:8] == b"jP  ":
        begins = data.find(b"\xff\x4f\xff\x51")
    head = data[max(0, begins) :]
    if head[:4] != b"\xff\x4f\xff\x51" or len(head) < 45:
        raise Malformed("A frame does not begin as JPEG 2000 does.")
    right, below, left, top, width, height, tiles_left, tiles_top, samples = struct.unpack_from(">8LH", head, 8)
    at = 4 + int.from_bytes(head[4:6], "big")
    if not samples or at != 42 + 3 * samples or len(head) < at or right <= left or below <= top:
        raise Malformed("The size marker of a JPEG 2000 stream is broken.")
    parts = [struct.unpack_from("BBB", head, 42 + 3 * n) for n in range(samples)]
    if len(set(parts)) > 1 or parts[0][1:] != (1, 1):
        raise CannotDecode("The components of a JPEG 2000 stream differ in size or precision.")
    if not width or not height or tiles_left > left or tiles_top > top:
        raise Malformed("The tiles of a JPEG 2000 stream are none.")
    if ceil((right - tiles_left) / width) * ceil((below - tiles_top) / height) > _MOST_TILES:
        raise Malformed("A JPEG 2000 stream has too many tiles.")
    turned, reversible = _coding(head, at)
    return Stream(
        below - top,
        right - left,
        samples,
        precision=(parts[0][0] & 0x7F) + 1,
        signed=bool(parts[0][0] & 0x80),
        lossless=reversible,
        turned=turned,
        begins=max(0, begins),
    )


def _coding(head: bytes, at: int) -> tuple[bool, bool]:
    """Return whether colours are turned, and whether the wavelet is the reversible one."""
    while head[at : at + 1] == b"\xff" and head[at + 1 : at + 2] != b"\x90":
        length = int.from_bytes(head[at + 2 : at + 4], "big")
        if head[at + 1] == 0x52:
            if length < 12 or at + 2 + length > len(head):
                break
            return head[at + 8] == 1, head[at + 13] == 1
        if length < 2:
            break
        at += 2 + length
    raise Malformed("A JPEG 2000 stream does not say how it is coded.")
