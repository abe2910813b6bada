"""What a file is, from its beginning: for whoever must name it before anyone reads it."""

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from appliance.dicom import part10
from appliance.dicom.meta import FileMeta

SOP_CLASS, SOP_INSTANCE = 0x00080016, 0x00080018
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage: a DICOMDIR
_MOST = 4 * 1024 * 1024  # bytes before the SOP Instance UID; what is really there is under a kilobyte


@dataclass(frozen=True, slots=True)
class Identity:
    """What a file says it is. UIDs are "" where it says nothing; they are as sent, valid or not.

    dataset_offset  of the Data Set in the file
    """

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    dataset_offset: int
    is_dicomdir: bool


def identify(path_or_file: Path | BinaryIO) -> Identity:
    """Return what the file is; reads its beginning only, and finds UIDs in the Data Set before File Meta's.

    Raises NotDicom, or Malformed if the beginning is broken; OSError. That the rest is sound is not promised.
    """
    if isinstance(path_or_file, Path):
        with path_or_file.open("rb") as file:
            return identify(file)
    begun = part10.read(path_or_file, max_header=_MOST, until=SOP_INSTANCE)
    meta = FileMeta.of(begun.meta.elements)
    sop_class = begun.uid(SOP_CLASS) or meta.sop_class
    return Identity(
        sop_class=sop_class,
        sop_instance=begun.uid(SOP_INSTANCE) or meta.sop_instance,
        transfer_syntax=begun.transfer_syntax,
        dataset_offset=begun.dataset_offset,
        is_dicomdir=MEDIA_DIRECTORY in (sop_class, meta.sop_class) or 0x00041220 in begun.dataset,
    )
