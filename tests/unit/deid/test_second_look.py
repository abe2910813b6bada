"""The second look by itself: what is a clue, where it is searched, and what is no hit."""

import base64
import gzip
import io
import zlib

import pytest

from appliance.deid.clues import Clues, clues_of, folded, vocabulary
from appliance.deid.verify import SecondLook, pieces
from appliance.dicom.element import Bulk, DataSet, Element

CLUES = Clues(
    words={"zwirnlein", "kim", "王", "山田", "popov"},
    phrases={"st. elsewhere"},
    numbers={"4711", "ab-77/31", "12345678", "00881234"},
    dates={"19500317"},
    short={"42"},
)
LOOK = SecondLook(CLUES, frozenset({"1.2.3.4.5"}), frozenset({"20240229"}))


def hit(vr, value, look=LOOK, expected=frozenset()):
    data = DataSet(charsets=("ISO_IR 192",))
    data.put(Element(0x00081111, "SQ", [DataSet({0x00181020: Element(0x00181020, vr, value)}, True, ("ISO_IR 192",))]))
    return look.first_hit(data, expected, lambda bulk: [])


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("LO", b"for ZWIRNLEIN"), ("LO", b"xzwirnleinx"), ("CS", b"KIM"), ("SH", b"x_kim_1"),
        ("LO", "dr 王小".encode()),
        ("LT", b"at St.   Elsewhere"), ("LO", b"no 4711."), ("LO", b"AB-77/31x"), ("DS", b"12345678"),
        ("IS", b"19500317"),
        ("LO", b"born 17.03.1950"), ("LO", b"3/1950, 03/17/1950"), ("LO", b"1950-03-17"), ("LO", b"seen 20240229"),
        ("LO", b"born 17. March 1950"), ("LT", b"* 17.3.50"), ("LO", "17. März 1950".encode()), ("LO", b"3/17/50"),
        ("LO", b"MAR 17, 1950"), ("LO", b"17 mars 1950"), ("DS", b"19500317101500"), ("OB", b"x19500317x"),
        ("LO", b"AB 77-31"), ("LO", b"12.34.56.78"), ("LO", b"for MRN 042"), ("LT", b"Pat.-Nr.: 42"),
        ("LO", b"#0x id 42"), ("LO", "для ПОПОВА, Попов".encode()), ("LO", b"Popov"), ("LO", b"nr 881234"),
        ("OB", gzip.compress(b"<n>Zwirnlein</n>", mtime=0)), ("UN", b"xx" + zlib.compress(b"Zwirnlein 1") + b"\0"),
        ("LT", base64.b64encode(b"<name>Zwirnlein</name>")),
        ("OB", gzip.compress(base64.b64encode(b"born 19500317.."))),
        ("UI", b"1.2.3.4.5\0"), ("LT", b"see 1.2.3.4.5, and"), ("UN", "Zwirnlein".encode("utf-16-le")),
        ("UN", "Zwirnlein".encode("utf-16-be")), ("OB", b"\xff\x01zwirnlein\x80"),
        ("UN", "山田太郎".encode("utf-16-le")),
        ("OW", b"\0Z\0w\0i\0r\0n\0l\0e\0i\0n"), ("DS", b"kim"),
        ("FD", b"zwirnlein"),
    ],
)  # fmt: skip
def test_a_clue_is_found_in_any_place_and_form(vr, value):
    assert hit(vr, value) == "(0008,1111)[0].(0018,1020)"


@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("LO", b"kimono"), ("LO", b"14711"), ("DS", b"4711"), ("IS", b"4711"), ("TM", b"004711"), ("LO", b"1.2.3.4.56"),
        ("UI", b"11.2.3.4.5"), ("LO", b"1950"), ("DS", b"112345678"),
        ("FD", b"12345678"[:7] + b"x"),
        ("LO", b"17.03.1951"), ("LO", b"29.2.24"), ("LO", b"42"), ("DS", b"42"), ("LO", b"id 421"), ("LO", b"kid 42"),
        ("OB", gzip.compress(b"nobody", mtime=0)), ("UN", b"\x78\x9c no stream"), ("UN", b"\x1f\x8b\x08 neither"),
        ("LT", b"QUJDREVGR0hJSktMTU5PUFFSU1Q"), ("LT", b"ABCDEFGHIJKLMNOPQRSTU"), ("LO", b"1234 5679"),
        ("OW", b"a kim bc"), ("OW", "王".encode("utf-16-le") * 3), ("LO", b""),
    ],
)  # fmt: skip
def test_what_only_resembles_a_clue_is_no_hit(vr, value):
    assert hit(vr, value) is None


def test_what_the_engine_placed_is_not_searched_and_its_twin_is():
    placed, twin = Element(0x00080020, "LO", b"zwirnlein"), Element(0x00080021, "LO", b"zwirnlein")
    data = DataSet({0x00080020: placed, 0x00080021: twin})

    assert LOOK.first_hit(data, {id(placed)}, lambda bulk: []) == "(0008,0021)"
    assert LOOK.first_hit(data, {id(placed), id(twin)}, lambda bulk: []) is None


@pytest.mark.parametrize("at", [0, (1 << 20) - 4, 3 << 20])
def test_large_values_are_searched_in_pieces_and_across_them(at):
    body = bytes(at) + b"Zwirnlein" + bytes(5 << 20)
    element, pixels = Element(0x00281201, "OW", Bulk(7, len(body))), Element(0x7FE00010, "OW", Bulk(7, len(body)))
    file = io.BytesIO(bytes(7) + body)

    assert LOOK.first_hit(DataSet({0x00281201: element}), set(), lambda bulk: pieces(file, bulk)) == "(0028,1201)"
    assert LOOK.first_hit(DataSet({0x7FE00010: pixels}), set(), lambda bulk: pieces(file, bulk)) is None


def test_clues_come_from_any_depth_and_from_all_that_identifies():
    item = DataSet({0x00081050: Element(0x00081050, "PN", b"Physician^Phil")})
    original = DataSet(
        {
            0x00080050: Element(0x00080050, "SH", b"ACC4711\\A1"),
            0x00080080: Element(0x00080080, "LO", b"St. Elsewhere"),
            0x00081084: Element(0x00081084, "SQ", [item]),
            0x00100010: Element(0x00100010, "PN", "Müller-Lüdenscheidt^Jo^Al=ミュラー^".encode()),
            0x00100020: Element(0x00100020, "LO", b"ID"),
            0x00100030: Element(0x00100030, "DA", b"1950.03.17"),
            0x7FE00010: Element(0x7FE00010, "OW", Bulk(0, 9)),
        },
        True,
        ("ISO_IR 192",),
    )

    clues = clues_of(original, frozenset())

    assert {"muller", "mueller", "ludenscheidt", "luedenscheidt", "physician", "phil"} <= clues.words
    assert {"muellerluedenscheidt", "philphysician", "st. elsewhere"} <= clues.phrases
    assert clues.numbers == {"acc4711"}
    assert clues.dates == {"19500317"}
    assert "jo" not in clues.words


@pytest.mark.parametrize("date", [b"", b"19000101", b"1950", b"unknown"])
def test_a_birth_date_that_says_nothing_is_no_clue(date):
    assert clues_of(DataSet({0x00100030: Element(0x00100030, "DA", date)}), frozenset()).dates == set()


def test_words_of_dicom_itself_are_no_clue_alone():
    words = vocabulary()
    named = DataSet(
        {
            0x00100010: Element(0x00100010, "PN", b"Head^Long^Quasimodo"),
            0x00080080: Element(0x00080080, "LO", b"Siemens"),
        }
    )

    clues = clues_of(named, words)

    assert clues.words == {"quasimodo"}
    assert clues.phrases == {"headlong", "longhead"}


def test_comparing_folds_case_accents_and_widths():
    assert folded("ÉÀÇ Straße \uff21\uff22") == "eac strasse ab"


def test_large_values_are_looked_into_for_packed_ones_and_clean_ones_pass():
    packed, clean = bytes(5000) + gzip.compress(b"for Zwirnlein", mtime=0), bytes(9000)
    element = Element(0x00281201, "OW", Bulk(0, 5000))

    assert LOOK.first_hit(DataSet({0x00281201: element}), set(), lambda bulk: [packed]) == "(0028,1201)"
    assert LOOK.first_hit(DataSet({0x00281201: element}), set(), lambda bulk: [clean, clean]) is None


def test_moved_dates_in_a_cleaned_text_are_no_hit_but_the_birth_date_and_names_are():
    def first(value):
        element = Element(0x00104000, "LT", value)
        return LOOK.first_hit(DataSet({0x00104000: element}), set(), lambda bulk: [], dated={id(element)})

    assert first(b"seen 29.02.2024") is None
    assert first(b"born 17.03.1950") == "(0010,4000)"
    assert first(b"for Kim 29.02.2024") == "(0010,4000)"


def test_nothing_is_found_when_nothing_is_known():
    look = SecondLook(Clues(), frozenset())

    assert hit("LO", b"Zwirnlein 17.03.1950, 4711", look) is None
