"""Whether a file in ready is still what de-identify wrote: a disk that spoils bytes must not spoil what leaves."""

import os
from typing import BinaryIO

from appliance.dicom import part10
from appliance.dicom.meta import FileMeta, read_group_two
from appliance.errors import Malformed, NotDicom
from appliance.model import Parcel

_GROUP_LENGTH_END = 144  # preamble, prefix, and (0002,0000) as PS3.10 Section 7.1 has them


def is_intact(file: BinaryIO, parcel: Parcel) -> bool:
    """Whether the open file has the parcel's size, UIDs and transfer syntax, and its Data Set the parcel's digest.

    Reads the whole file, a chunk at a time; what is sent right after comes from memory, so the disk is read once.
    Where the disk gives a piece no longer back (EIO) it is not intact either.
    """
    try:
        if os.fstat(file.fileno()).st_size != parcel.size:
            return False
        file.seek(0)
        preamble, group_two, offset = read_group_two(file)
        meta = FileMeta.of(group_two)
        named = (meta.sop_class, meta.sop_instance, meta.transfer_syntax)
        if any(preamble) or named != (parcel.sop_class, parcel.sop_instance, parcel.transfer_syntax):
            return False
        if _group_length(file) != offset - _GROUP_LENGTH_END:  # our reader can do without it, others cannot
            return False
        return part10.digest(file, offset) == parcel.digest
    except (NotDicom, Malformed, OSError):
        return False


def _group_length(file: BinaryIO) -> int:
    """Return the value of (0002,0000) File Meta Information Group Length."""
    file.seek(_GROUP_LENGTH_END - 4)
    return int.from_bytes(file.read(4), "little")
