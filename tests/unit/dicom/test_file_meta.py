"""File Meta: what the door writes before a Data Set, recovery reads back, whatever the peer called itself."""

import io
import struct

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.dicom import part10
from appliance.dicom.meta import FileMeta, provenance_from_meta, provenance_to_meta
from appliance.errors import Malformed, NotDicom
from appliance.model import UNLISTED, Provenance
from tests.make import make

_provenances = st.builds(
    Provenance,
    source=st.from_regex(r"\A[A-Za-z0-9_]{1,16}\Z"),
    project=st.text(),
    calling_ae=st.text(max_size=16),
    called_ae=st.text(max_size=16),
    peer=st.sampled_from(["", "192.0.2.7", "2001:db8::1"]),
    clinic=st.text(),
    item=st.integers(0, 2**40),
)


@given(_provenances, st.text(max_size=70), st.text(max_size=70))
def test_the_provenance_travels_in_the_file_whatever_the_peer_called_itself(
    provenance: Provenance, sop_class: str, sop_instance: str
) -> None:
    meta = provenance_to_meta(provenance, sop_class, sop_instance, make.EXPLICIT)

    again = FileMeta.decode(io.BytesIO(meta.encode() + b"\x08\0\x05\0CS\0\0"))

    assert provenance_from_meta(again) == provenance
    assert again.transfer_syntax == make.EXPLICIT


def test_pydicom_reads_what_was_written() -> None:
    meta = provenance_to_meta(
        Provenance("CT1", calling_ae="SCANNER", called_ae="EDGE", peer="192.0.2.7"), make.CT, "1.2.3", make.IMPLICIT
    )

    told = pydicom.dcmread(io.BytesIO(meta.encode())).file_meta

    assert told.FileMetaInformationGroupLength == len(meta.encode()) - 132 - 12
    assert told.FileMetaInformationVersion == b"\0\1"
    assert (told.MediaStorageSOPClassUID, told.MediaStorageSOPInstanceUID) == (make.CT, "1.2.3")
    assert told.TransferSyntaxUID == make.IMPLICIT
    assert told.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert told.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert told.SendingApplicationEntityTitle == told.SourceApplicationEntityTitle == "SCANNER"
    assert told.ReceivingApplicationEntityTitle == "EDGE"
    assert told.SendingPresentationAddress == "dicom://192.0.2.7"


def test_what_says_nothing_is_not_written() -> None:
    told = pydicom.dcmread(io.BytesIO(FileMeta(make.CT, "1.2.3", make.IMPLICIT).encode())).file_meta

    assert [element.tag.element for element in told] == [0x00, 0x01, 0x02, 0x03, 0x10, 0x12, 0x13]


def test_a_file_of_another_maker_has_the_provenance_that_its_file_meta_tells() -> None:
    body = make.file(
        make.ct(),
        SendingApplicationEntityTitle="SCANNER",
        PrivateInformationCreatorUID="1.2.3",
        PrivateInformation=b'{"source": "CT1", "clinic": "a"}',
    )

    provenance = provenance_from_meta(FileMeta.decode(io.BytesIO(body)))

    assert provenance == Provenance(UNLISTED, calling_ae="SCANNER")


@pytest.mark.parametrize(
    "private",
    [
        b"",
        b"{",
        b"[]",
        b"7",
        b'"x"',
        b"\xff\xfe",
        b'{"source": "../../etc"}',
        b'{"source": 7}',
        b'{"item": true}',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_damaged_provenance_is_unlisted_and_never_raises(private: bytes) -> None:
    provenance = provenance_from_meta(FileMeta(make.CT, "1.2", make.EXPLICIT, private=private))

    assert provenance == Provenance(UNLISTED)


def test_a_long_private_information_is_read() -> None:
    meta = FileMeta(make.CT, "1.2", make.EXPLICIT, private=b"x" * 100_000)

    assert FileMeta.decode(io.BytesIO(meta.encode() + bytes(50))) == meta


def test_file_meta_without_a_group_length_or_with_a_wrong_one_is_read() -> None:
    body = bytearray(make.file(make.ct(size=2)))
    right = FileMeta.decode(io.BytesIO(body))

    struct.pack_into("<L", body, 140, 7)
    assert FileMeta.decode(io.BytesIO(body)) == right
    del body[132:144]
    assert FileMeta.decode(io.BytesIO(body)) == right


def test_a_file_without_file_meta_has_none() -> None:
    with pytest.raises(NotDicom):
        FileMeta.decode(io.BytesIO(make.file(make.ct(), meta=False, preamble=False)))


@pytest.mark.parametrize("length", [140, 150, 160, 200])
def test_file_meta_that_is_cut_is_malformed(length: int) -> None:
    body = make.file(make.ct())[:length]

    with pytest.raises(Malformed):
        FileMeta.decode(io.BytesIO(body))


def test_an_element_of_file_meta_that_claims_more_than_the_file_is_malformed() -> None:
    body = bytes(128) + b"DICM" + struct.pack("<HH2sHL", 2, 0x102, b"OB", 0, 0x7FFFFFFF)

    with pytest.raises(Malformed):
        part10.read(io.BytesIO(body))
