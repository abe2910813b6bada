"""Bytes to be put over others of the same number: offsets and sizes stay, and whatever refers to them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from appliance.dicom.element import Bulk
from appliance.errors import Malformed

PADDING = b"\0\xff"  # what encoders put behind a stream; nothing is told by these two
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Patch:
    """``data`` in place of as many bytes from ``offset`` on."""

    offset: int
    data: bytes


def blank(data: bytes, offset: int, filling: bytes = b"\0") -> list[Patch]:
    """Return what makes ``data``, which stands at ``offset``, neutral; nothing if it is."""
    return [Patch(offset, filling * len(data))] if data.strip(filling) else []


def patched(bulk: Bulk, source: BinaryIO, patches: Iterable[Patch], target: BinaryIO) -> Bulk:
    """Return the value, copied to the end of ``target`` with the patches, which are at offsets of ``source``, in it."""
    begin = target.seek(0, 2)
    for at in range(bulk.offset, bulk.offset + bulk.length, _CHUNK):
        source.seek(at)
        wanted = min(_CHUNK, bulk.offset + bulk.length - at)
        data = source.read(wanted)
        if len(data) != wanted:
            raise Malformed("The pixel data became shorter while it was copied.")
        target.write(data)
    for patch in patches:
        target.seek(begin + patch.offset - bulk.offset)
        target.write(patch.data)
    target.seek(0, 2)
    return Bulk(begin, bulk.length, bulk.encapsulated, source=target)
