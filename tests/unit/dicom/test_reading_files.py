"""Reading: every syntax, every nesting, every limit. Bytes are made by hand where pydicom would not make them."""

import io
import struct
import tracemalloc
from pathlib import Path
from typing import BinaryIO

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.dicom import part10
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Element
from appliance.dicom.part10 import TooLargeToRead
from appliance.errors import Malformed, NotDicom
from tests.make import make

NATIVE = [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.DEFLATED]
COMPRESSED = [make.RLE, make.JPEG_BASELINE, make.UNKNOWN]
NAME, PATIENT_ID, SOP_INSTANCE = 0x00100010, 0x00100020, 0x00080018
REFERENCES, REFERENCED = 0x00081140, 0x00081155
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0" + bytes(4), b"\xfe\xff\xdd\xe0" + bytes(4)
UNDEFINED = b"\xff\xff\xff\xff"


def explicit(tag: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    """An element in explicit VR little endian."""
    size = len(value) if length is None else length
    if vr in (b"SQ", b"UN", b"OB", b"OW", b"UT"):
        return struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr, 0, size) + value
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, size) + value


def implicit(tag: int, value: bytes, length: int | None = None) -> bytes:
    """An element in implicit VR."""
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(body: bytes, *, defined: bool = True) -> bytes:
    return ITEM + struct.pack("<L", len(body)) + body if defined else ITEM + UNDEFINED + body + ITEM_END


def a_file(body: bytes, syntax: str = make.EXPLICIT) -> io.BytesIO:
    """A file of these bytes as its Data Set."""
    empty = make.file(Dataset(), syntax)
    return io.BytesIO(empty[:-2] + body if syntax == make.DEFLATED else empty + body)


def text(data: DataSet, tag: int) -> str:
    element = data.get(tag)
    assert element is not None
    assert isinstance(element.value, bytes)
    return element.value.decode("utf-8").rstrip(" \0")


@pytest.mark.parametrize("preamble", [True, False])
@pytest.mark.parametrize("syntax", NATIVE + COMPRESSED)
def test_every_transfer_syntax_is_read(syntax: str, preamble: bool) -> None:
    data = make.ct(patient="Müller^Änne")

    read = part10.read(io.BytesIO(make.file(data, syntax, preamble=preamble)))

    assert read.transfer_syntax == syntax
    assert text(read.dataset, NAME) == "Müller^Änne"
    assert read.uid(SOP_INSTANCE) == data.SOPInstanceUID
    assert read.preamble == (bytes(128) if preamble else b"")
    assert (
        text(read.dataset.elements[REFERENCES].items[0], REFERENCED)
        == data.ReferencedImageSequence[0][REFERENCED].value
    )
    assert read.dataset.little_endian == (syntax != make.BIG_ENDIAN)
    assert read.trailing == 0


@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN])
def test_a_data_set_without_file_meta_tells_its_syntax_by_its_first_element(syntax: str) -> None:
    read = part10.read(io.BytesIO(make.file(make.ct(), syntax, meta=False, preamble=False)))

    assert read.transfer_syntax == syntax
    assert read.meta.elements == {}
    assert read.dataset_offset == 0
    assert text(read.dataset, PATIENT_ID) == "P000123"


def test_the_pixels_stay_in_the_file_and_where_they_lie_is_told() -> None:
    data = make.ct(size=8)
    body = make.file(data)

    pixels = part10.read(io.BytesIO(body)).dataset.elements[PIXEL_DATA].value

    assert isinstance(pixels, Bulk)
    assert body[pixels.offset : pixels.offset + pixels.length] == data.PixelData


def test_fragments_stay_in_the_file_without_their_delimiter() -> None:
    data = make.fragmented(make.ct(frames=3))
    body = make.file(data, make.JPEG_BASELINE)

    pixels = part10.read(io.BytesIO(body)).dataset.elements[PIXEL_DATA].value

    assert isinstance(pixels, Bulk)
    assert pixels.encapsulated
    assert body[pixels.offset : pixels.offset + pixels.length] + SEQUENCE_END == data.PixelData + SEQUENCE_END
    assert body[pixels.offset : pixels.offset + 4] == ITEM


def test_a_long_value_stays_in_the_file_at_any_depth_and_a_short_one_does_not() -> None:
    inner = explicit(0x00091001, b"OB", bytes(5000)) + explicit(0x00091002, b"OB", bytes(50))
    body = explicit(0x00081140, b"SQ", item(explicit(0x00081140, b"SQ", item(inner))))

    read = part10.read(a_file(body)).dataset.elements[0x00081140].items[0].elements[0x00081140].items[0]

    assert isinstance(read.elements[0x00091001].value, Bulk)
    assert read.elements[0x00091002].value == bytes(50)


def test_a_long_text_does_not_stay_in_the_file() -> None:
    body = explicit(0x00081190, b"UT", b"x" * 200_000) + explicit(0x00100020, b"LO", b"ID")

    read = part10.read(a_file(body)).dataset

    assert text(read, 0x00081190) == "x" * 200_000
    assert text(read, PATIENT_ID) == "ID"


@pytest.mark.parametrize("item_defined", [True, False])
@pytest.mark.parametrize("defined", [True, False])
@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT])
def test_sequences_and_items_may_have_a_length_or_a_delimiter(syntax: str, defined: bool, item_defined: bool) -> None:
    explicitly = syntax == make.EXPLICIT
    inner = explicit(REFERENCED, b"UI", b"1.2.") if explicitly else implicit(REFERENCED, b"1.2.")
    items = item(inner, defined=item_defined) * 2 + item(b"", defined=item_defined) + (b"" if defined else SEQUENCE_END)
    length = None if defined else 0xFFFFFFFF
    body = explicit(REFERENCES, b"SQ", items, length) if explicitly else implicit(REFERENCES, items, length)
    behind = explicit(PATIENT_ID, b"LO", b"ID") if explicitly else implicit(PATIENT_ID, b"ID")

    read = part10.read(a_file(body + behind, syntax)).dataset

    assert [len(found.elements) for found in read.elements[REFERENCES].items] == [1, 1, 0]
    assert text(read, PATIENT_ID) == "ID"


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.BIG_ENDIAN])
def test_an_unknown_of_undefined_length_holds_implicit_little_endian_items(syntax: str) -> None:
    inner = item(implicit(NAME, b"In^I"), defined=False) + SEQUENCE_END
    head = (0x0009, 0x1001, b"UN", 0, 0xFFFFFFFF)
    body = struct.pack("<HH2sHL" if syntax == make.EXPLICIT else ">HH2sHL", *head) + inner

    element = part10.read(a_file(body, syntax)).dataset.elements[0x00091001]

    assert element.vr == "UN"
    assert text(element.items[0], NAME) == "In^I"
    assert element.items[0].elements[NAME].vr == "PN"
    assert element.items[0].little_endian


def test_a_private_sequence_is_read_in_explicit_and_by_its_delimiter_in_implicit_vr() -> None:
    in_explicit = explicit(0x00091001, b"SQ", item(explicit(NAME, b"PN", b"In^I")))
    in_implicit = implicit(0x00091001, item(implicit(NAME, b"In^I")) + SEQUENCE_END, 0xFFFFFFFF)

    for body, syntax in ((in_explicit, make.EXPLICIT), (in_implicit, make.IMPLICIT)):
        read = part10.read(a_file(body + b"", syntax)).dataset
        assert text(read.elements[0x00091001].items[0], NAME) == "In^I"


def test_an_implicit_item_in_an_explicit_private_sequence_is_read_as_its_maker_meant_it() -> None:
    body = explicit(0x00091001, b"SQ", item(implicit(NAME, b"In^I") + implicit(PATIENT_ID, b"ID")))

    read = part10.read(a_file(body)).dataset.elements[0x00091001].items[0]

    assert (text(read, NAME), text(read, PATIENT_ID)) == ("In^I", "ID")


def test_a_value_representation_of_tomorrow_is_read_as_unknown() -> None:
    body = struct.pack("<HH2sHL", 0x0009, 0x1001, b"QX", 0, 4) + b"abcd" + explicit(PATIENT_ID, b"LO", b"ID")

    read = part10.read(a_file(body)).dataset

    assert read.elements[0x00091001] == Element(0x00091001, "UN", b"abcd")
    assert text(read, PATIENT_ID) == "ID"


def test_an_implicit_value_has_the_vr_of_the_dictionary_and_private_ones_are_unknown() -> None:
    body = b"".join(
        implicit(tag, value)
        for tag, value in [
            (0x00080000, bytes(4)),
            (0x00080020, b"20240101"),
            (0x00090010, b"MAKER "),
            (0x00091001, b"??"),
            (0x00280106, bytes(2)),
            (0x60000010, bytes(2)),
            (0x60023000, bytes(2)),
        ]
    )

    read = part10.read(a_file(body, make.IMPLICIT)).dataset

    assert [element.vr for element in read] == ["UL", "DA", "LO", "UN", "US", "US", "OW"]


def test_character_sets_are_inherited_by_items_that_have_none_of_their_own() -> None:
    own = item(explicit(0x00080005, b"CS", b"ISO_IR 144") + explicit(0x00081140, b"SQ", item(b"")))
    body = explicit(0x00080005, b"CS", b"\\ISO 2022 IR 87 ") + explicit(REFERENCES, b"SQ", own + item(b""))

    read = part10.read(a_file(body)).dataset

    with_own, without = read.elements[REFERENCES].items
    assert read.charsets == without.charsets == ("", "ISO 2022 IR 87")
    assert with_own.charsets == with_own.elements[REFERENCES].items[0].charsets == ("ISO_IR 144",)


# --- trailing bytes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.RLE])
@pytest.mark.parametrize("tail", [b"\0", bytes(8), bytes(70_000), b"appended by someone", SEQUENCE_END, b"\xff" * 9])
def test_bytes_behind_the_pixels_are_counted_and_are_no_part_of_the_tree(syntax: str, tail: bytes) -> None:
    data = make.ct(size=4)

    read = part10.read(io.BytesIO(make.file(data, syntax, trailing=tail)))

    assert read.trailing == len(tail)
    assert max(read.dataset.elements) == PIXEL_DATA


def test_bytes_behind_a_deflated_data_set_are_counted_but_for_its_own_padding() -> None:
    body = make.file(make.sr(), make.DEFLATED)

    assert part10.read(io.BytesIO(body)).trailing == 0
    assert part10.read(io.BytesIO(body + b"secret")).trailing in (6, 7)


def test_trailing_padding_is_an_element() -> None:
    body = make.file(make.ct(size=4), trailing=explicit(0xFFFCFFFC, b"OB", b"hidden"))

    read = part10.read(io.BytesIO(body))

    assert read.trailing == 0
    assert read.dataset.elements[0xFFFCFFFC].value == b"hidden"


def test_only_zeros_may_follow_a_data_set_without_pixels() -> None:
    report = make.sr()

    assert part10.read(io.BytesIO(make.file(report, trailing=bytes(20)))).trailing == 20
    with pytest.raises(Malformed):
        part10.read(io.BytesIO(make.file(report, trailing=b"appended by someone")))


def test_a_signature_cut_behind_the_pixels_is_malformed_and_no_trailing_bytes() -> None:
    body = make.file(make.ct(size=4), trailing=explicit(0xFFFAFFFA, b"SQ", item(b"")[:6], 8))

    with pytest.raises(Malformed):
        part10.read(io.BytesIO(body))


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"x", b"PK\3\4 zip", bytes(4000), b"%PDF-1.7 ...", b"\xff\xd8\xff\xe0 a photo", b"a" * 500]
)
def test_what_is_no_dicom_file_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(NotDicom):
        part10.read(io.BytesIO(body))


@pytest.mark.parametrize("syntax", NATIVE + COMPRESSED)
def test_a_file_cut_anywhere_is_malformed_unless_it_is_cut_between_elements(syntax: str) -> None:
    whole = make.file(make.with_private(make.sr() if syntax in NATIVE else make.ct(size=4)), syntax)
    ends = _element_ends(whole)

    for length in range(340, len(whole)):
        if length not in ends:
            with pytest.raises(Malformed):
                part10.read(io.BytesIO(whole[:length]))


def _element_ends(whole: bytes) -> set[int]:
    """Where a cut leaves a shorter Data Set that is sound: pydicom tells where its elements begin."""
    data = pydicom.dcmread(io.BytesIO(whole))
    starts = {element.file_tell for element in data if hasattr(element, "file_tell")} | {len(whole)}
    offset = part10.read(io.BytesIO(whole)).dataset_offset
    found = {offset}
    for element in list(data):
        long = element.VR in ("SQ", "UN", "OB", "OW", "UT", "UC", "UR")
        head = 8 if data.original_encoding[0] or not long else 12
        found |= {start - head for start in starts if start is not None}
    # In big endian a tag begins with a zero: cut behind it, the file ends in a zero, which may trail any Data Set.
    return found | {end + 1 for end in found if data.original_encoding == (False, False)}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (explicit(PATIENT_ID, b"LO", b"ID", 40), "(0010,0020)"),
        (explicit(PATIENT_ID, b"lo", b"ID"), "no value representation"),
        (explicit(PATIENT_ID, b"LO", b"ID") + explicit(PATIENT_ID, b"LO", b"IX"), "appears twice"),
        (explicit(REFERENCES, b"SQ", b"abcdefgh"), "where an item should"),
        (explicit(REFERENCES, b"SQ", item(b"")[:4], 4), "cut"),
        (explicit(REFERENCES, b"SQ", ITEM + b"\x40\0\0\0", 8), "longer than its sequence"),
        (explicit(REFERENCES, b"SQ", item(b""), 0xFFFFFFFF), "no end"),
        (explicit(REFERENCES, b"SQ", ITEM + UNDEFINED), "no end"),
        (explicit(REFERENCES, b"SQ", ITEM + UNDEFINED + ITEM_END[:4] + b"\1\0\0\0" + SEQUENCE_END), "length"),
        (explicit(PATIENT_ID, b"UT", b"abcd", 0xFFFFFFFF), "no length"),
        (explicit(PIXEL_DATA, b"OB", item(b"ab"), 0xFFFFFFFF), "no end to its fragments"),
        (explicit(PIXEL_DATA, b"OB", b"\0" * 8 + SEQUENCE_END, 0xFFFFFFFF), "where a fragment should"),
        (ITEM_END, "where an element should"),
        (explicit(0x00000002, b"UI", b"1.2."), "may not be"),
    ],
)
def test_bytes_that_contradict_themselves_are_malformed_and_the_message_says_where(body: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words.replace("(", r"\(").replace(")", r"\)")):
        part10.read(a_file(body))


def test_no_message_holds_a_value() -> None:
    secret = b"SECRET^NAME "
    broken = explicit(NAME, b"PN", secret) + explicit(PATIENT_ID, b"LO", secret, 400)

    with pytest.raises(Malformed) as refusal:
        part10.read(a_file(broken))

    assert "SECRET" not in str(refusal.value)


def test_a_repeated_element_that_says_the_same_is_read_once() -> None:
    body = explicit(PATIENT_ID, b"LO", b"ID") * 2

    assert list(part10.read(a_file(body)).dataset.elements) == [PATIENT_ID]


def test_elements_out_of_order_are_read() -> None:
    body = explicit(PATIENT_ID, b"LO", b"ID") + explicit(SOP_INSTANCE, b"UI", b"1.2.")

    assert list(part10.read(a_file(body)).dataset.elements) == [PATIENT_ID, SOP_INSTANCE]


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("defined", [True, False])
def test_sequences_nested_too_deep_are_refused_and_nothing_overflows(defined: bool) -> None:
    body = b""
    if defined:
        for _ in range(200):
            body = explicit(REFERENCES, b"SQ", item(body))
    else:
        body = (explicit(REFERENCES, b"SQ", ITEM + UNDEFINED, 0xFFFFFFFF)) * 200_000

    with pytest.raises(TooLargeToRead, match="deeper"):
        part10.read(a_file(body))


def test_a_header_beyond_the_limit_is_too_large_and_one_below_is_read() -> None:
    body = explicit(0x00081190, b"UT", b"x" * 300_000)

    assert part10.read(a_file(body), max_header=301_000).dataset
    with pytest.raises(TooLargeToRead):
        part10.read(a_file(body), max_header=299_000)


def test_many_small_elements_beyond_the_limit_are_too_large() -> None:
    items = item(explicit(REFERENCED, b"UI", b"")) * 100_000

    with pytest.raises(TooLargeToRead):
        part10.read(a_file(explicit(REFERENCES, b"SQ", items)), max_header=1_000_000)


def test_more_elements_than_the_limit_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.dicom.scan.MAX_ELEMENTS", 100)

    assert part10.read(a_file(explicit(REFERENCES, b"SQ", item(b"") * 99))).dataset
    with pytest.raises(TooLargeToRead, match="elements"):
        part10.read(a_file(explicit(REFERENCES, b"SQ", item(b"") * 101)))


@pytest.mark.parametrize("unit", [bytes(8), implicit(PATIENT_ID, b"")])
def test_a_file_of_repetitions_is_refused_in_time(unit: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance.dicom.scan.MAX_ELEMENTS", 10_000)
    body = implicit(PATIENT_ID, b"") + unit * 1_000_000 + b"x"

    with pytest.raises(Malformed):
        part10.read(a_file(body, make.IMPLICIT))


def test_a_deflated_data_set_that_inflates_beyond_the_limit_is_too_large() -> None:
    data = make.ct(size=1024)

    with pytest.raises(TooLargeToRead, match="inflated"):
        part10.read(io.BytesIO(make.file(data, make.DEFLATED)), max_header=1_000_000)


def test_many_values_left_in_the_file_do_not_count_as_header() -> None:
    body = b"".join(explicit(0x00091000 + n, b"OB", bytes(5000)) for n in range(1, 200))

    assert len(part10.read(a_file(body), max_header=70_000).dataset.elements) == 199


def test_half_a_gigabyte_is_read_without_holding_it(tmp_path: Path) -> None:
    path = _large(tmp_path / "large.dcm", 500 * 1024 * 1024)

    tracemalloc.start()
    with path.open("rb") as file:
        read = part10.read(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    pixels = read.dataset.elements[PIXEL_DATA].value
    assert isinstance(pixels, Bulk)
    assert pixels.length == 500 * 1024 * 1024
    assert read.dataset.elements[0xFFFCFFFC].value == b"last"
    assert peak < 2 * 1024 * 1024


def _large(path: Path, length: int) -> Path:
    """A file with a hole for pixels and an element behind."""
    data = make.ct(size=4)
    del data.PixelData
    with path.open("wb") as file:
        file.write(make.file(data))
        file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OW", 0, length))
        file.seek(length, 1)
        file.write(explicit(0xFFFCFFFC, b"OB", b"last"))
    return path


def test_reading_stops_behind_the_last_tag_that_is_wanted() -> None:
    body = make.file(make.ct())
    wanted: BinaryIO = io.BytesIO(body[: body.index(b"\x10\x00\x10\x00PN") + 20])

    read = part10.read(wanted, until=SOP_INSTANCE)

    assert max(read.dataset.elements) == SOP_INSTANCE


def test_a_sequence_with_no_pixels_but_an_icon_is_read() -> None:
    data = make.ct(size=4)
    icon = Dataset()
    make.pixels(icon, size=2)
    data.IconImageSequence = Sequence([icon])

    read = part10.read(io.BytesIO(make.file(data))).dataset.elements[0x00880200].items[0]

    assert isinstance(read.elements[PIXEL_DATA].value, Bulk)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (implicit(PATIENT_ID, b"ID", 40), "longer than what holds it"),
        (implicit(PATIENT_ID, b"ID") + implicit(PATIENT_ID, b"IX"), "appears twice"),
        (implicit(PATIENT_ID, b"ID") + ITEM_END, "where an element should"),
        (implicit(PATIENT_ID, b"ID", 0xFFFFFFFF) + SEQUENCE_END, "no length"),
        (implicit(REFERENCES, item(implicit(NAME, b"In^I"))[:-4], 20), "longer than what holds it"),
        (implicit(PATIENT_ID, b"ID") + bytes(20) + b"x", "begins zeros"),
    ],
)
def test_implicit_bytes_that_contradict_themselves_are_malformed(body: bytes, words: str) -> None:
    with pytest.raises(Malformed, match=words):
        part10.read(a_file(body, make.IMPLICIT))


class Trickle(io.BytesIO):
    """A file that gives less than it is asked for, as an unbuffered one may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size if size is None or size < 1000 else 1000)


def test_a_file_that_gives_less_than_it_is_asked_for_is_read_all_the_same() -> None:
    body = explicit(0x00081190, b"UT", b"x" * 200_000) + explicit(PATIENT_ID, b"LO", b"ID")

    read = part10.read(Trickle(a_file(body).getvalue())).dataset

    assert text(read, PATIENT_ID) == "ID"


class Shrinking(io.BytesIO):
    """A file that is cut while it is read."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() > 60_000:
            return super().read(10) if self.tell() < 70_000 else b""
        return super().read(size)


@pytest.mark.parametrize("first", [65_000, 80_000])
def test_a_file_that_becomes_shorter_while_it_is_read_is_malformed(first: int) -> None:
    body = explicit(0x00081190, b"UT", b"x" * first) + explicit(0x00104000, b"UT", b"x" * 80_000)

    with pytest.raises(Malformed, match="shorter"):
        part10.read(Shrinking(a_file(body).getvalue()))


def test_a_file_that_is_only_a_prefix_is_malformed() -> None:
    with pytest.raises(Malformed):
        part10.read(io.BytesIO(bytes(128) + b"DICM"))


def test_an_item_that_is_empty_or_of_undefined_length_in_an_explicit_sequence_is_not_taken_for_implicit() -> None:
    body = explicit(REFERENCES, b"SQ", item(b"", defined=False) + item(explicit(NAME, b"PN", b"I"), defined=False))

    assert [len(found.elements) for found in part10.read(a_file(body)).dataset.elements[REFERENCES].items] == [0, 1]
