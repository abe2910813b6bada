"""UN of defined length that holds a sequence: found when it is one, and only then."""

import io
import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.dicom import part10
from appliance.dicom.element import Bulk, DataSet, Element
from appliance.dicom.unknown import sequence_in_unknown
from tests.make import make

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
UNDEFINED = b"\xff\xff\xff\xff"
NAME = struct.pack("<HHL", 0x0010, 0x0010, 4) + b"In^I"


def item(body: bytes, *, defined: bool = True) -> bytes:
    return ITEM + struct.pack("<L", len(body)) + body if defined else ITEM + UNDEFINED + body + ITEM_END


def asked(value: bytes) -> list[DataSet] | None:
    return sequence_in_unknown(Element(0x00091001, "UN", value), io.BytesIO())


@pytest.mark.parametrize("end", [b"", SEQUENCE_END])
@pytest.mark.parametrize("defined", [True, False])
def test_items_are_found_with_and_without_lengths(defined: bool, end: bytes) -> None:
    found = asked(item(NAME, defined=defined) * 2 + end)

    assert found is not None
    assert [one.elements[0x00100010].value for one in found] == [b"In^I", b"In^I"]
    assert found[0].elements[0x00100010].vr == "PN"


def test_a_sequence_within_is_found() -> None:
    inner = struct.pack("<HHL", 0x0008, 0x1140, 0xFFFFFFFF) + item(NAME, defined=False) + SEQUENCE_END

    found = asked(item(inner, defined=False))

    assert found is not None
    assert found[0].elements[0x00081140].items[0].elements[0x00100010].value == b"In^I"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"PLAIN TEXT OF SOMEONE, LONG ENOUGH ",
        item(b""),
        item(NAME)[:-1],
        item(NAME) + b"x",
        item(NAME) + SEQUENCE_END + b"\0\0",
        item(NAME + NAME[:2] + b"\0\0" + NAME[4:]),
        ITEM + b"\x40\0\0\0" + NAME,
        ITEM + UNDEFINED + NAME,
        item(NAME + b"\x10\0\x10\0PN\4\0In^I"),
    ],
    ids=range(10),
)
def test_what_is_no_sequence_is_none(value: bytes) -> None:
    assert asked(value) is None


def test_a_long_one_is_found_in_the_file_and_its_large_values_stay_there() -> None:
    large = struct.pack("<HHL", 0x0009, 0x1002, 9000) + bytes(9000)
    data = make.sr()
    data.add_new(0x00091001, "UN", item(NAME) + item(large))
    body = make.file(data)

    element = part10.read(io.BytesIO(body)).dataset.elements[0x00091001]
    found = sequence_in_unknown(element, io.BytesIO(body), charsets=("ISO_IR 192",))

    assert isinstance(element.value, Bulk)
    assert found is not None
    assert found[0].elements[0x00100010].value == b"In^I"
    assert found[0].charsets == ("ISO_IR 192",)
    value = found[1].elements[0x00091002].value
    assert isinstance(value, Bulk)
    assert body[value.offset : value.offset + value.length] == bytes(9000)


def test_the_one_that_pydicom_makes_of_a_private_sequence_is_found() -> None:
    inner = Dataset()
    inner.PatientName, inner.ReferencedImageSequence = "In^I", Sequence([make.code("1", "2", "3")])
    holder = Dataset()
    holder.ReferencedStudySequence = Sequence([inner])
    value = make.data_set(holder, make.IMPLICIT)[8:]

    found = asked(value)

    assert found is not None
    assert found[0].elements[0x00081140].items[0].elements[0x00080104].value == b"3 "


def test_items_that_were_read_already_are_given_back() -> None:
    items = [DataSet()]

    assert sequence_in_unknown(Element(0x00091001, "UN", items), io.BytesIO()) is items


def test_fragments_are_none() -> None:
    assert sequence_in_unknown(Element(0x7FE00010, "UN", Bulk(0, 100, True)), io.BytesIO(item(NAME))) is None
