"""Every file that ships with pydicom is read as pydicom reads it, or refused with the reason that is right."""

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from appliance.dicom import part10
from appliance.dicom.meta import FileMeta
from appliance.errors import Malformed, NotDicom

DATA = Path(pydicom.__file__).parent / "data"
FILES = sorted(path for path in DATA.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"})

# Each looked at by hand; the words must stand in the message.
REFUSED = {
    "MR_truncated.dcm": (Malformed, "(7FE0,0010) at byte 1488 is longer than what holds it"),
    "rtplan_truncated.dcm": (Malformed, "(300A,00B0) at byte 1410 is longer than what holds it"),
    # says explicit, and is implicit
    "SC_rgb_jpeg.dcm": (Malformed, "(0008,0008) at byte 356 has no value representation"),
    # begins with a private sequence of group 0001: nothing tells its syntax
    "meta_missing_tsyntax.dcm": (Malformed, "names no transfer syntax"),
    # its offsets were taken out, the lengths around them left as they were
    "DICOMDIR-nooffset": (Malformed, "(FFFE,E000) at byte 10860 is longer than its sequence"),
    # a stray byte stands before the first element
    "no_meta.dcm": (NotDicom, "neither"),
}
TEXTS = {".json", ".txt", ".md", ".dump", ".icc", ".gz"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_of_pydicom_is_read_and_written_as_pydicom_reads_it_or_refused_with_the_right_reason(path: Path) -> None:
    body = path.read_bytes()
    try:
        read = part10.read(io.BytesIO(body))
    except (NotDicom, Malformed) as refusal:
        kind, words = REFUSED.get(path.name, (NotDicom, "neither"))
        assert type(refusal) is kind
        assert words in str(refusal)
        assert path.name in REFUSED or path.suffix in TEXTS or path.name == "README"
        return

    written = io.BytesIO()
    part10.write(FileMeta.of(read.meta.elements), read.dataset, read.transfer_syntax, read.source, written)

    expected = _as_pydicom_sees(body, read)
    assert _as_pydicom_sees(written.getvalue(), read) == expected
    assert len(expected) == len(read.dataset.elements) - _group_lengths(read)
    assert path.name not in REFUSED


def _as_pydicom_sees(body: bytes, read: part10.Part10) -> Dataset:
    data = pydicom.dcmread(io.BytesIO(body), force=True)
    plain = Dataset()
    plain.update({element.tag: element for element in data if element.tag.element != 0 and element.tag.group != 2})
    for element in plain.iterall():
        if isinstance(element.value, bytes):
            element.value += bytes(len(element.value) % 2)
    return plain


def _group_lengths(read: part10.Part10) -> int:
    return sum(1 for tag in read.dataset.elements if tag & 0xFFFF == 0)
