"""What a DICOM medium lists: the File IDs in its DICOMDIR. Source: PS3.3 Annex F, PS3.10 Section 8.

The records are read in the order in which they lie in the file, not by following their offsets: a chain of offsets
can be broken, or a circle, and only the files matter here.
"""

from typing import BinaryIO

from appliance.dicom import part10
from appliance.dicom.element import DataSet
from appliance.errors import Malformed

RECORDS = 0x00041220  # Directory Record Sequence
FILE_ID = 0x00041500  # Referenced File ID
_MOST_COMPONENTS = 8  # PS3.10 8.5
_MAX_DIRECTORY = 256 * 1024 * 1024


def listed_files(dicomdir: BinaryIO) -> list[tuple[str, ...]]:
    """Return the components of each Referenced File ID, in the order of the directory, each file once.

    Components are as written, for comparing with names that exist; never join them to a path to open. Raises NotDicom
    or Malformed.
    """
    directory = part10.read(dicomdir, max_header=_MAX_DIRECTORY).dataset
    records = directory.get(RECORDS)
    if records is None:
        raise Malformed("There is no Directory Record Sequence (0004,1220).")
    found = (_file_id(record) for record in records.items)
    return list(dict.fromkeys(components for components in found if components))


def _file_id(record: DataSet) -> tuple[str, ...]:
    element = record.get(FILE_ID)
    if element is None or not isinstance(element.value, bytes):
        return ()
    components = [part.strip(" \0") for part in element.value.decode("latin-1").split("\\")]
    return tuple(part for part in components if part)[:_MOST_COMPONENTS]
