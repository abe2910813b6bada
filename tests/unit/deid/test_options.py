"""Every option of Annex E by itself, row by row of the Standard's table: what its column says is what happens.

Where a column is blank the option changes nothing; a row of code K stays as it was, one of code C is cleaned.
"""

import io
from functools import cache

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.plan import BASIC_CODE, CARRIED_OUT, OPTION_CODES
from appliance.deid.standard import load_standard
from tests.make import make
from tests.make.deidentified import rules_from, written
from tools.profile_table import OPTIONS

SET = {0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00100020, 0x00080060}
PUBLISHED = {0x00080106, 0x00080107, 0x0040DB06, 0x0040DB07}  # dates of documents: moved, they would tell the offset
MARKS = {0x00120062, 0x00120063, 0x00120064, 0x00280303}
TEXT = "nodule Schmalzried"  # the first word is medical, the second nobody's
# What identifies by itself must not be the text that others hold.
PLACES = ("InstitutionName", "InstitutionAddress", "PatientAddress", "BranchOfService", "PatientReligious",
          "ReferringPhysicianAddress")  # fmt: skip
VALUES = {
    "AE": "SCHMALZRIED", "AS": "061Y", "AT": 0x00100010, "CS": "CODE", "DA": "20200102", "DS": "1.5",
    "DT": "20200102101112+0100", "FD": 1.5, "FL": 1.5, "IS": "15", "LO": TEXT, "LT": TEXT, "OB": b"ab", "OW": b"ab",
    "PN": "Quirl^Ida", "SH": "Schmalzried", "SL": 15, "SS": 15, "ST": TEXT, "TM": "101112", "UC": TEXT,
    "UI": "1.3.6.1.4.1.99999.1.2", "UL": 15, "UN": b"ab", "UR": "http://x", "US": 15, "UT": TEXT,
}  # fmt: skip


@cache
def rows():
    """(tag, {option: code}) of every row that belongs in a Data Set; test_profile_table: they are the Standard's."""
    return [
        (tag, dict(row.options))
        for tag, row in load_standard().rows.items()
        if tag not in PUBLISHED and tag >> 16 >= 8 and keyword_for_tag(tag)
    ]


@cache
def original():
    data = make.ct()
    for tag, _ in rows():
        if tag in SET or tag >= 0xFFF00000:
            continue
        vr = dictionary_VR(tag).split(" or ")[0]
        if tag == 0x00080201:
            value = "+0100"
        elif vr == "SQ":
            item = Dataset()
            item.SliceThickness, item.TextValue = "1.5", TEXT
            value = Sequence([item])
        else:
            value = "Schmalzriedhaus" if keyword_for_tag(tag).startswith(PLACES) else VALUES[vr]
        data.add_new(tag, vr, value)
    return make.file(data)


@cache
def result(folder, *options):
    rules = rules_from(f"Profile: Basic\nOptions: [{', '.join(options)}]\n", folder)
    return pydicom.dcmread(io.BytesIO(written(original(), rules, accepted={"burned-in-risk", "document"})))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("options")


@pytest.mark.parametrize("option", sorted(set(OPTIONS.values()) & CARRIED_OUT))
def test_an_option_does_what_its_column_says_and_nothing_else(option, folder):
    before = pydicom.dcmread(io.BytesIO(original()))
    basic, done = result(folder), result(folder, option)
    wrong = []
    for tag, row in rows():
        if tag in SET | MARKS or tag not in before:
            continue
        code, vr = row.get(option), before[tag].VR
        was, kept, plain = before[tag].value, done.get(tag), basic.get(tag)
        now = None if kept is None else kept.value
        if not code:
            if (option, tag) == ("CleanGraphics", 0x00700006):  # what was drawn in letters: the row above it says C
                continue
            same = now == (None if plain is None else plain.value)
            fits = same or (vr == "SQ" and (now is None) == (plain is None))  # inside, other rows count
        elif code == "K":
            fits = now is not None and (len(now) == 1 if vr == "SQ" else now == was)
        else:
            fits = cleaned(vr, was, now, before, done, basic, tag)
        if not fits:
            wrong.append((f"{tag:08X}", keyword_for_tag(tag), code, str(was)[:40], str(now)[:40]))
    assert wrong == []
    assert sum(1 for _, row in rows() if option in row) > 0 or option == "RetainSafePrivate"


def cleaned(vr, was, now, before, done, basic, tag):
    """Whether a value is what code C makes of it."""
    if vr == "DA":
        return now not in (None, "", was) and len(now) == 8
    if vr == "DT":
        return now is not None and now[8:] == was[8:] and now[:8] != was[:8]
    if vr in ("TM",) or tag == 0x00080201:
        return now == was
    if vr == "SQ":
        return now is not None and len(now) == 1
    if vr == "AE":
        return now not in (None, "", was) and "SCHMALZRIED" not in now
    if vr in ("LO", "LT", "ST", "UC", "UT"):
        return now == "nodule"
    return now is None or "chmalzried" not in str(now).lower()


def test_dates_of_code_c_all_move_by_the_same_days(folder):
    before, done = (
        pydicom.dcmread(io.BytesIO(original())),
        result(folder, "RetainLongitudinalModifiedDates"),
    )
    moved = {
        done[tag].value[:8]
        for tag, row in rows()
        if row.get("RetainLongitudinalModifiedDates") == "C" and tag in before and before[tag].VR in ("DA", "DT")
    }

    assert len(moved) == 1
    assert done.LongitudinalTemporalInformationModified == "MODIFIED"


@pytest.mark.parametrize("option", sorted(CARRIED_OUT))
def test_the_code_of_an_option_is_claimed_when_it_is_carried_out_and_no_other(option, folder):
    claimed = [item.CodeValue for item in result(folder, option).DeidentificationMethodCodeSequence]

    assert claimed == sorted({BASIC_CODE[0], OPTION_CODES[option][0]})
    assert result(folder).DeidentificationMethodCodeSequence[0].CodeValue == BASIC_CODE[0]
