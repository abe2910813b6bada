"""Frames into fragments, one each, with an offset table. Source: PS3.5 A.4, PS3.3 C.7.6.3.1.8."""

import struct
from typing import BinaryIO

from appliance.dicom.element import Bulk, Element

_ITEM = b"\xfe\xff\x00\xe0"
_TABLE, _TABLE_LENGTHS = 0x7FE00001, 0x7FE00002
_FARTHEST = 0xFFFFFFFF  # what a basic offset table can tell


class Fragments:
    """Encapsulated pixel data in the making, in ``file``, which must be at its end; ``frames``: how many will come."""

    def __init__(self, file: BinaryIO, frames: int) -> None:
        self._file = file
        self._begin = file.tell()
        # Room for the basic offset table, which is known at the end.
        file.write(_ITEM + struct.pack("<L", 4 * frames) + bytes(4 * frames))
        self._first = file.tell()
        self._offsets: list[int] = []
        self._lengths: list[int] = []

    def add(self, stream: bytes) -> None:
        """Add a frame; an odd length is padded."""
        self._offsets.append(self._file.tell() - self._first)
        self._lengths.append(len(stream))
        padding = len(stream) % 2
        self._file.write(_ITEM + struct.pack("<L", len(stream) + padding))
        self._file.write(stream)
        self._file.write(bytes(padding))

    def finish(self) -> tuple[Bulk, tuple[Element, ...]]:
        """Return the pixel data, and the extended offset table where the basic one cannot reach."""
        end = self._file.tell()
        count = len(self._offsets)
        tables: tuple[Element, ...] = ()
        if self._offsets[-1] <= _FARTHEST:
            self._file.seek(self._begin + 8)
            self._file.write(struct.pack(f"<{count}L", *self._offsets))
            begin = self._begin
        else:
            # An empty table, right before the first fragment, instead of the one that there was room for.
            begin = self._first - 8
            self._file.seek(begin)
            self._file.write(_ITEM + bytes(4))
            tables = (
                Element(_TABLE, "OV", struct.pack(f"<{count}Q", *self._offsets)),
                Element(_TABLE_LENGTHS, "OV", struct.pack(f"<{count}Q", *self._lengths)),
            )
        self._file.seek(end)
        return Bulk(begin, end - begin, encapsulated=True, source=self._file), tables
