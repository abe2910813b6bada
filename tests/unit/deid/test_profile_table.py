"""The table that the engine acts by is the Standard's, row by row, and every row is acted on."""

import csv
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.deid.plan import OPTION_CODES, Act, Place, code_for, dictionary_vrs
from appliance.deid.standard import is_other_class, is_storage_class, load_standard
from tools.profile_table import OPTIONS, profile_lines, safe_private_lines

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
TABLE = REFERENCE / "ps3.15-table-e.1-1.csv"
ADDITIONS = REFERENCE / "ps3.15-table-e.1-1-additions-2024c-to-2026c.csv"
SAFE = REFERENCE / "ps3.15-table-e.3.10-1-safe-private.csv"
CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.fixture(scope="module")
def standard():
    return load_standard()


def shipped(name):
    return files("appliance.deid").joinpath("data", name).read_text(encoding="utf-8").splitlines()[1:]


@pytest.mark.skipif(not TABLE.exists(), reason="NOT RUN: the reference tables are not beside this checkout")
def test_every_row_and_column_is_the_reference_table_s():
    assert shipped("profile.txt") == profile_lines(TABLE, ADDITIONS)
    assert shipped("safe_private.txt") == safe_private_lines(SAFE)
    with TABLE.open(newline="", encoding="utf-8") as file:
        columns = set(next(csv.reader(file)))
    assert set(OPTIONS) <= columns


def test_the_table_has_as_many_rows_of_each_code_as_the_standard():
    rows = [line.split("\t") for line in shipped("profile.txt")]
    codes = Counter(basic for _, basic, *_ in rows)
    cells = Counter(cell for row in rows if row[2] != "-" for cell in row[2].split(","))

    assert len(rows) == 621 + 35
    assert codes == {
        "X": 384 + 32, "D": 92 + 1, "U": 54 + 1, "Z": 42, "X/D": 22 + 1,
        "X/Z": 11, "X/Z/D": 8, "Z/D": 6, "X/Z/U*": 2,
    }  # fmt: skip
    assert cells == {
        "RetainSafePrivate=C": 1, "RetainUIDs=K": 59, "RetainDeviceIdentity=K": 46, "RetainDeviceIdentity=C": 11,
        "RetainInstitutionIdentity=K": 10, "RetainPatientCharacteristics=K": 9, "RetainPatientCharacteristics=C": 4,
        "RetainLongitudinalFullDates=K": 165, "RetainLongitudinalModifiedDates=C": 165, "CleanDescriptors=C": 125,
        "CleanStructuredContent=C": 3, "CleanGraphics=C": 4,
    }  # fmt: skip
    assert len(shipped("safe_private.txt")) == 479


def test_no_row_is_kept_by_the_basic_profile_alone(standard):
    place = Place(standard, frozenset(), standard.top_nodes(CT))

    kept = [f"{tag:08X}" for tag in standard.rows if place.step(tag).act in (Act.KEEP, Act.TIME, Act.ZONE, Act.SHIFT)]

    assert kept == []


def test_every_option_of_the_table_has_a_code_of_cid_7050():
    assert set(OPTIONS.values()) <= set(OPTION_CODES)
    assert sorted(code for code, _ in OPTION_CODES.values()) == [str(number) for number in range(113101, 113113)]


@pytest.mark.parametrize(
    ("basic", "by_type"),
    [
        ("X", "DZXX"), ("X/Z", "DZXZ"), ("X/D", "DDXD"), ("Z/D", "DZZD"), ("X/Z/D", "DZXD"),
        ("Z", "DZZZ"), ("D", "DDDD"), ("U", "UUUU"),
    ],
)  # fmt: skip
def test_a_combination_is_decided_by_the_type_and_without_one_by_the_rightmost_code(basic, by_type):
    assert "".join(code_for(basic, kind) for kind in ("1", "2", "3", None)) == by_type


@pytest.mark.parametrize("kind", ["1", "2", "3", None])
def test_references_to_images_stay_with_new_uids(kind):
    assert code_for("X/Z/U*", kind) == "U*"


def test_types_come_from_the_iod_and_its_sequences(standard):
    ct = Place(standard, frozenset(), standard.top_nodes(CT))
    unknown = Place(standard, frozenset(), None)

    assert ct.step(0x00080022).act is Act.REMOVE  # Acquisition Date, X/Z, Type 3 in CT
    assert unknown.step(0x00080022).act is Act.EMPTY
    assert ct.step(0x00080023).act is Act.EMPTY  # Content Date, Z/D, Type 2C in CT
    assert unknown.step(0x00080023).act is Act.DUMMY
    assert unknown.step(0x00080082).act is Act.DUMMY
    assert unknown.inside(0x00081140) is unknown  # bounded, however deep a file nests


def test_attributes_that_no_dictionary_knows_go(standard):
    place = Place(standard, frozenset(), None)

    assert dictionary_vrs(0x0008FFF8) == ()
    assert place.step(0x0008FFF8).act is Act.REMOVE


@pytest.mark.parametrize(
    "tag", [0x00080000, 0x00020010, 0x00041511, 0x50000010, 0x60020022, 0xFFFAFFFA, 0xFFFCFFFC, 0x7F000010, 0x04000500]
)
def test_structure_curves_overlays_signatures_and_encrypted_identities_go(tag, standard):
    assert Place(standard, frozenset(OPTION_CODES), None).step(tag).act is Act.REMOVE


def test_published_dates_are_never_shifted_or_they_would_tell_the_offset(standard):
    place = Place(standard, frozenset({"RetainLongitudinalModifiedDates"}), standard.top_nodes(CT))

    assert place.step(0x00080020).act is Act.SHIFT
    assert place.inside(0x00081032).step(0x00080106).act is Act.DUMMY  # Context Group Version


def test_sop_classes_are_told_apart():
    assert is_storage_class(CT) and not is_other_class(CT)
    assert is_other_class("1.2.840.10008.1.3.10")  # DICOMDIR
    assert is_other_class("1.2.840.10008.1.1")  # Verification
    assert is_other_class("1.2.840.10008.1.20.1")  # Storage Commitment
    assert is_other_class("1.2.840.10008.5.1.4.38.1")  # Hanging Protocol
    assert not is_storage_class("1.2.3.4") and not is_other_class("1.2.3.4")


def test_tags_in_the_data_are_tags():
    for line in shipped("profile.txt"):
        assert re.match(r"[0-9A-F]{8}\t|50xxxxxx\t|60xx[34]000\t|private\t", line), line
