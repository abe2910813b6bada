"""Requests for commitment are read strictly, and reports say of each instance what became of it."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from appliance.dicom.commitment import SYNTAXES, Asked, Reference, event_of, read_asked
from appliance.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from appliance.errors import Malformed

CT = "1.2.840.10008.5.1.4.1.1.2"


def request(transaction="9.1", references=(("1.2", "1.2.1"),), *, syntax=EXPLICIT_LITTLE):
    """The Action Information as pydicom writes it."""
    wanted = Dataset()
    if transaction is not None:
        wanted.TransactionUID = transaction
    wanted.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        wanted.ReferencedSOPSequence.append(item)
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = syntax != EXPLICIT_BIG, syntax == IMPLICIT_LITTLE
    write_dataset(out, wanted)
    return out.getvalue()


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_request_is_read_in_each_of_its_transfer_syntaxes(syntax):
    data = request("9.1", [("1.2", "1.2.1"), ("1.2", "1.2.22"), ("1.2", "1.2.1")], syntax=syntax)

    asked = read_asked(data, syntax)

    assert asked == Asked("9.1", (Reference("1.2", "1.2.1"), Reference("1.2", "1.2.22")))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        request(None),
        request(""),
        request("9.1", []),
        request("9.1", [("1.2", "")]),
        request("9.1", [("", "1.2.1")]),
        request()[:-1],
        request() + b"\xff",
        request()[10:],
        request().replace(b"1.2.1", b"Name^"),
    ],
)
def test_a_request_without_its_uids_or_cut_off_is_malformed(data):
    with pytest.raises(Malformed) as raised:
        read_asked(data, EXPLICIT_LITTLE)

    assert "Name" not in str(raised.value)


@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_no_bytes_raise_anything_else(data, syntax):
    try:
        read_asked(data, syntax)
    except Malformed:
        return


@given(st.integers(0, 200), st.integers(0, 255), st.sampled_from(SYNTAXES))
def test_no_changed_byte_of_a_request_raises_anything_else(at, byte, syntax):
    data = bytearray(request("9.1", [("1.2", "1.2.1"), ("1.3", "1.2.22")], syntax=syntax))
    data[at % len(data)] = byte

    try:
        read_asked(bytes(data), syntax)
    except Malformed:
        return


@pytest.mark.parametrize("syntax", [IMPLICIT_LITTLE, EXPLICIT_LITTLE])
def test_a_report_is_read_by_another_program_as_it_is_meant(syntax):
    asked = Asked("9.1", tuple(Reference(CT, f"1.2.{number}") for number in (1, 22, 333)))

    event = event_of(asked, {asked.references[1]: 0x0112})

    body = io.BytesIO(event.encoded(syntax))
    said = read_dataset(body, is_implicit_VR=syntax == IMPLICIT_LITTLE, is_little_endian=True)
    assert event.kind == 2
    assert said.TransactionUID == "9.1"
    assert [each.ReferencedSOPInstanceUID for each in said.ReferencedSOPSequence] == ["1.2.1", "1.2.333"]
    (failed,) = said.FailedSOPSequence
    assert (failed.ReferencedSOPClassUID, failed.ReferencedSOPInstanceUID, failed.FailureReason) == (
        CT,
        "1.2.22",
        0x112,
    )


def test_a_sequence_without_an_item_is_left_out():
    asked = Asked("9.1", (Reference(CT, "1.2.1"),))

    all_well, none_well = event_of(asked, {}), event_of(asked, {asked.references[0]: 0x0110})

    assert (all_well.kind, none_well.kind) == (1, 2)
    assert (0x00081198 in all_well.information, 0x00081199 in none_well.information) == (False, False)
