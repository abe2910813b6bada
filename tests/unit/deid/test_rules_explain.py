"""What became of each element is told with the rule or column that decided, before and after."""

import io

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.explain import LONGEST, explained, shown
from appliance.deid.instance import deidentify
from appliance.deid.outcome import Deidentified
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.ruleset import load_rules
from appliance.dicom import part10
from appliance.dicom.element import Bulk, DataSet, Element
from appliance.model import Provenance
from tests.make import make
from tests.make.deidentified import KEY, rules_from


def lines_of(data, rules, accepted=frozenset()):
    """The lines by path."""
    original = part10.read(io.BytesIO(make.file(data)))
    done = deidentify(
        original,
        rules=rules,
        pseudonyms=KeyedPseudonyms(KEY, "st"),
        provenance=Provenance("CT1"),
        accepted=frozenset(accepted),
        domain="site",
    )
    assert isinstance(done, Deidentified), done
    lines = explained(original, done, rules)
    assert [line.path for line in lines if "." not in line.path] == sorted(
        line.path for line in lines if "." not in line.path
    )
    return {line.path: line for line in lines}


@pytest.fixture(scope="module")
def default():
    return load_rules(None)


def test_every_element_has_a_line_with_column_or_option(default):
    lines = lines_of(make.ct(), default)

    found = {path: (line.name, line.action, line.cause) for path, line in lines.items()}
    assert found["(0010,0010)"] == ("PatientName", "new name", "Basic Profile Z")
    assert found["(0010,1040)"] == ("PatientAddress", "removed", "Basic Profile X")
    assert found["(0010,0040)"] == ("PatientSex", "keep", "RetainPatientCharacteristics")
    assert found["(0008,0060)"] == ("Modality", "keep", "not listed")
    assert found["(0008,1140)[0].(0008,1155)"][:2] == ("ReferencedSOPInstanceUID", "new uid")
    assert found["(0012,0063)"] == ("DeidentificationMethod", "add", "mark")
    assert found["(0012,0064)[0].(0008,0100)"] == ("CodeValue", "add", "mark")


def test_rules_are_named_with_their_line(tmp_path):
    rules = rules_from("Replace:\n- {TagPatterns: InstitutionName, Value: Here}\nKeep: [StudyID]\n", tmp_path)

    lines = lines_of(make.ct(), rules)

    assert (lines["(0008,0080)"].action, lines["(0008,0080)"].cause) == ("replace", "Replace, line 2")
    assert (lines["(0008,0080)"].before, lines["(0008,0080)"].after) == ("St. Elsewhere", "Here")
    assert lines["(0020,0010)"].cause == "Keep, line 3"


def test_private_elements_are_named_by_their_creator(default):
    data = make.with_private(make.ct())
    data.add_new(0x00310001, "LO", "no creator")
    block = data.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "700")

    lines = lines_of(data, default)

    assert (lines["(0029,1001)"].name, lines["(0029,1001)"].action) == ("PHANTOM PRIVATE", "removed")
    assert lines["(0019,100C)"].cause == "RetainSafePrivate"
    assert lines["(0019,0010)"].cause == "creator of what stays"
    assert lines["(0031,0001)"].name == ""


def test_without_a_profile_that_is_the_cause(tmp_path):
    rules = rules_from("Profile: none", tmp_path)
    data = make.ct(DeidentificationMethod="earlier")

    lines = lines_of(data, rules, accepted=["identifier-left"])

    assert lines["(0010,0010)"].cause == "Profile: none"
    assert lines["(0012,0063)"].action == "replace"


def test_a_sequence_that_lost_an_item_is_still_told(tmp_path):
    data = make.ct()
    first, second = Dataset(), Dataset()
    first.StudyID, second.AccessionNumber = "S", "A"
    data.RequestAttributesSequence = Sequence([first, second])
    rules = rules_from(
        "Profile: none\nTransformations:\n- Scope: {Labels: ALL}\n"
        "  DeleteTags: [{TagPatterns: RequestAttributesSequence, ExceptTagPatterns: '*/StudyID', Action: Remove}]\n",
        tmp_path,
    )

    lines = lines_of(data, rules, accepted=["identifier-left"])

    assert lines["(0040,0275)[1].(0008,0050)"].action == "removed"
    assert lines["(0040,0275)"].after == "1 item"


def test_values_are_shown_as_people_read_them():
    holder = DataSet(charsets=("ISO_IR 192",))

    assert shown(None, holder) == ""
    assert shown(Element(0x00100010, "PN", "Müller".encode()), holder) == "Müller"
    assert shown(Element(0x00280010, "US", b"\x00\x02\x01\x00"), holder) == "512\\1"
    assert shown(Element(0x00280010, "US", b""), holder) == ""
    assert shown(Element(0x00020001, "OB", b"\0\1\2"), holder) == "3 bytes"
    assert shown(Element(0x7FE00010, "OW", Bulk(0, 512)), holder) == "512 bytes"
    assert shown(Element(0x00081140, "SQ", [DataSet(), DataSet()]), holder) == "2 items"
    assert shown(Element(0x00104000, "LT", b"x" * 300), holder) == "x" * LONGEST + "…"
