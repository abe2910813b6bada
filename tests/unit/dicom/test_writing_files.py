"""Writing: what was read comes out the same, in order, with nothing of the old preamble, lengths or trailing bytes."""

import hashlib
import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.dicom import part10
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Element
from appliance.dicom.encode import pieces_of
from appliance.dicom.encoding import EXPLICIT_LITTLE
from appliance.dicom.meta import FileMeta
from appliance.errors import Malformed
from tests.make import make

SYNTAXES = [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.DEFLATED, make.RLE, make.UNKNOWN]


def rewritten(body: bytes) -> tuple[bytes, str]:
    read = part10.read(io.BytesIO(body))
    target = io.BytesIO()
    digest = part10.write(FileMeta.of(read.meta.elements), read.dataset, read.transfer_syntax, read.source, target)
    return target.getvalue(), digest


def written(data: DataSet, syntax: str = make.EXPLICIT, source: bytes = b"") -> part10.Part10:
    target = io.BytesIO()
    part10.write(FileMeta("1.2", "1.2.3", syntax), data, syntax, io.BytesIO(source), target)
    return part10.read(target)


def data_set(*elements: Element, little_endian: bool = True) -> DataSet:
    return DataSet({element.tag: element for element in elements}, little_endian)


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize(
    "data", [make.with_private(make.ct(frames=3)), make.us(), make.sr(), make.presentation_state()]
)
def test_pydicom_reads_the_same_from_what_was_written(data: Dataset, syntax: str) -> None:
    body = make.file(data, syntax)

    again, digest = rewritten(body)

    assert pydicom.dcmread(io.BytesIO(again)) == pydicom.dcmread(io.BytesIO(body))
    offset = part10.read(io.BytesIO(again)).dataset_offset
    assert digest == hashlib.sha256(again[offset:]).hexdigest() == part10.digest(io.BytesIO(again), offset)


@pytest.mark.parametrize("table", ["basic", "none", "extended"])
def test_fragments_and_offset_tables_survive_byte_for_byte(table: str) -> None:
    data = make.fragmented(make.ct(frames=4), extended=table == "extended", table=table == "basic")
    data.add_new(0xFFFCFFFC, "OB", b"behind")

    again = pydicom.dcmread(io.BytesIO(rewritten(make.file(data, make.JPEG_BASELINE))[0]))

    assert again.PixelData == data.PixelData
    assert again.get("ExtendedOffsetTable") == data.get("ExtendedOffsetTable")
    assert again[0xFFFC, 0xFFFC].value == b"behind"


def test_nothing_of_the_old_preamble_file_meta_or_trailing_bytes_is_written() -> None:
    body = make.file(
        make.ct(),
        preamble=b"SECRET".ljust(128, b"x"),
        trailing=b"SECRET",
        SourceApplicationEntityTitle="SECRET",
        PrivateInformationCreatorUID="1.2",
        PrivateInformation=b"SECRET",
    )
    read = part10.read(io.BytesIO(body))
    target = io.BytesIO()

    part10.write(FileMeta("1.2", "1.2.3", make.EXPLICIT), read.dataset, make.EXPLICIT, read.source, target)

    assert b"SECRET" not in target.getvalue()
    assert target.getvalue()[:132] == bytes(128) + b"DICM"


def test_group_lengths_are_dropped_at_every_depth() -> None:
    length = Element(0x00080000, "UL", bytes(4))
    again = written(data_set(length, Element(0x00081140, "SQ", [data_set(length)]))).dataset

    assert list(again.elements) == [0x00081140]
    assert not again.elements[0x00081140].items[0].elements


def test_elements_are_written_in_order() -> None:
    again = written(data_set(Element(0x00100020, "LO", b"ID"), Element(0x00080060, "CS", b"CT"))).dataset

    assert list(again.elements) == [0x00080060, 0x00100020]


@pytest.mark.parametrize(("vr", "padded"), [("LO", b"odd "), ("UI", b"odd\0"), ("OB", b"odd\0"), ("UN", b"odd\0")])
def test_an_odd_length_is_padded_as_its_vr_asks(vr: str, padded: bytes) -> None:
    assert written(data_set(Element(0x00091001, vr, b"odd"))).dataset.elements[0x00091001].value == padded


def test_an_odd_value_left_in_the_file_is_padded() -> None:
    again = written(data_set(Element(PIXEL_DATA, "OB", Bulk(1, 3))), source=b"xabcx")

    value = again.dataset.elements[PIXEL_DATA].value
    assert isinstance(value, Bulk)
    again.source.seek(value.offset)
    assert again.source.read() == b"abc\0"


def test_a_value_too_long_for_its_vr_is_written_as_unknown() -> None:
    again = written(data_set(Element(0x00104000, "LT", b"x" * 70_000))).dataset.elements[0x00104000]

    assert again.vr == "UN"


@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT])
def test_the_items_of_an_unknown_stay_a_sequence_that_a_reader_can_tell(syntax: str) -> None:
    inner = data_set(Element(0x00100010, "PN", b"In^I"))

    again = written(data_set(Element(0x00091001, "UN", [inner])), syntax).dataset.elements[0x00091001]

    assert again.vr == "UN"
    assert again.items[0].elements[0x00100010].value == b"In^I"


def test_the_items_of_an_unknown_in_big_endian_stay_little_endian() -> None:
    inner = data_set(Element(0x00280010, "US", b"\1\0"))

    again = written(data_set(Element(0x00091001, "UN", [inner]), little_endian=False), make.BIG_ENDIAN)

    assert again.dataset.elements[0x00091001].items[0].elements[0x00280010].value == b"\1\0"


def test_a_sequence_of_little_endian_items_in_a_big_endian_tree_is_written_as_unknown() -> None:
    inner = data_set(Element(0x00280010, "US", b"\1\0"))

    again = written(data_set(Element(0x00081140, "SQ", [inner]), little_endian=False), make.BIG_ENDIAN)

    assert again.dataset.elements[0x00081140].vr == "UN"
    assert again.dataset.elements[0x00081140].items[0].elements[0x00280010].value == b"\1\0"


def test_sequences_and_items_beyond_four_gigabytes_have_delimiters() -> None:
    huge = Element(PIXEL_DATA, "OW", Bulk(0, 3 * 2**30))
    deep = data_set(Element(0x00081140, "SQ", [data_set(huge), data_set(huge)]))

    pieces = pieces_of(data_set(Element(0x00081140, "SQ", [deep])), EXPLICIT_LITTLE)

    heads = b"".join(piece for piece in pieces if isinstance(piece, bytes))
    assert heads.count(b"\x40\x11SQ\0\0\xff\xff\xff\xff") == 2
    assert heads.count(b"\xfe\xff\x00\xe0\xff\xff\xff\xff") == 1
    assert heads.endswith(
        b"\xfe\xff\xdd\xe0" + bytes(4) + b"\xfe\xff\x0d\xe0" + bytes(4) + b"\xfe\xff\xdd\xe0" + bytes(4)
    )


def test_a_tree_of_the_other_byte_order_is_refused() -> None:
    with pytest.raises(ValueError, match="byte order"):
        written(data_set(Element(0x00280010, "US", b"\0\1"), little_endian=False), make.EXPLICIT)


def test_file_meta_names_the_transfer_syntax_that_was_written_whatever_it_said() -> None:
    target = io.BytesIO()

    part10.write(FileMeta("1.2", "1.2.3", "1.9"), data_set(), make.IMPLICIT, io.BytesIO(), target)

    assert FileMeta.decode(target).transfer_syntax == make.IMPLICIT


def test_a_source_that_became_shorter_is_malformed() -> None:
    with pytest.raises(Malformed, match="shorter"):
        written(data_set(Element(PIXEL_DATA, "OW", Bulk(0, 100))), source=b"short")


def test_an_icon_within_a_sequence_is_copied(tmp_path: Path) -> None:
    data, icon = make.ct(), Dataset()
    make.pixels(icon, size=64)
    data.IconImageSequence = Sequence([icon])

    again, _ = rewritten(make.file(data))

    assert pydicom.dcmread(io.BytesIO(again)).IconImageSequence[0].PixelData == icon.PixelData


@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT, make.DEFLATED])
def test_a_value_with_a_source_of_its_own_is_written_from_there(syntax: str) -> None:
    read = part10.read(io.BytesIO(make.file(make.ct(), syntax)))
    pixels = read.dataset.elements[PIXEL_DATA]
    read.dataset.put(Element(PIXEL_DATA, pixels.vr, Bulk(6, 4, source=io.BytesIO(b"beforePIXLbehind"))))
    target = io.BytesIO()

    part10.write(FileMeta.of(read.meta.elements), read.dataset, syntax, read.source, target)

    assert pydicom.dcmread(io.BytesIO(target.getvalue())).PixelData == b"PIXL"
