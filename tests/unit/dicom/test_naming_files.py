"""What a file is, from its beginning; and what the directory of a medium lists."""

import io
import struct
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.dicom.media import listed_files
from appliance.dicom.sniff import Identity, identify
from appliance.errors import Malformed, NotDicom
from tests.make import make

DIRECTORY = "1.2.840.10008.1.3.10"


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.DEFLATED, make.UNKNOWN])
def test_a_file_is_named(tmp_path: Path, syntax: str, preamble: bool) -> None:
    data = make.ct()
    body = make.file(data, syntax, preamble=preamble)
    path = make.stored(tmp_path / "x.dcm", data, syntax, preamble=preamble)

    offset = len(body) - len(make.data_set(data, syntax))
    assert identify(path) == Identity(data.SOPClassUID, data.SOPInstanceUID, syntax, offset, False)


def test_a_file_without_file_meta_is_named() -> None:
    data = make.ct()

    found = identify(io.BytesIO(make.file(data, make.IMPLICIT, meta=False, preamble=False)))

    assert found == Identity(data.SOPClassUID, data.SOPInstanceUID, make.IMPLICIT, 0, False)


def test_the_data_set_is_believed_before_file_meta() -> None:
    data = make.ct()

    assert identify(io.BytesIO(make.file(data, MediaStorageSOPInstanceUID="1.9"))).sop_instance == data.SOPInstanceUID
    del data.SOPInstanceUID
    assert identify(io.BytesIO(make.file(data, MediaStorageSOPInstanceUID="1.9"))).sop_instance == "1.9"


def test_only_the_beginning_is_read(tmp_path: Path) -> None:
    body = make.file(make.ct())
    beginning = body[: body.index(b"\x08\x00\x20\x00DA") + 20]

    assert identify(io.BytesIO(beginning)).sop_class == make.CT


def test_a_large_deflated_file_is_named_by_its_beginning() -> None:
    assert identify(io.BytesIO(make.file(make.ct(size=2048), make.DEFLATED))).sop_class == make.CT


def test_what_is_no_dicom_file_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "README.txt"
    path.write_text("Hello")

    with pytest.raises(NotDicom):
        identify(path)


def a_directory(*file_ids: list[str] | str | None) -> Dataset:
    data, records = Dataset(), []
    data.FileSetID = "DISC"
    for file_id in file_ids:
        record = Dataset()
        record.OffsetOfTheNextDirectoryRecord = 400  # to itself, or to nowhere: not followed
        record.DirectoryRecordType = "IMAGE"
        if file_id is not None:
            record.ReferencedFileID = file_id
        records.append(record)
    data.DirectoryRecordSequence = Sequence(records)
    return data


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT])
def test_the_directory_of_a_medium_lists_each_file_once_in_its_order(syntax: str) -> None:
    body = make.file(
        a_directory(None, ["DICOM", "B1"], ["DICOM", "A1"], "SINGLE", ["DICOM", "B1"]),
        syntax,
        MediaStorageSOPClassUID=DIRECTORY,
    )

    assert listed_files(io.BytesIO(body)) == [("DICOM", "B1"), ("DICOM", "A1"), ("SINGLE",)]
    assert identify(io.BytesIO(body)).is_dicomdir


def test_a_directory_without_file_meta_is_known_for_one() -> None:
    body = make.file(a_directory("A"), make.IMPLICIT, meta=False, preamble=False)

    assert identify(io.BytesIO(body)).is_dicomdir


def test_an_image_is_no_directory() -> None:
    with pytest.raises(Malformed):
        listed_files(io.BytesIO(make.file(make.ct())))


def test_a_broken_directory_is_malformed() -> None:
    body = bytearray(make.file(a_directory("A"), MediaStorageSOPClassUID=DIRECTORY))
    at = body.index(struct.pack("<HH2s", 4, 0x1220, b"SQ"))
    struct.pack_into("<L", body, at + 8, 0x1000)

    with pytest.raises(Malformed):
        listed_files(io.BytesIO(body))
