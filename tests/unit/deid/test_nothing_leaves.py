"""The promise of the engine, end to end: what was planted does not come out, and what refers still refers."""

import io

import pydicom
import pytest
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified
from appliance.deid.ruleset import load_rules
from tests.make import make, secrets
from tests.make.deidentified import outcome_of, passed, written


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


MAKERS = {"ct": make.ct, "mr": make.mr, "sr": make.sr, "pr": make.presentation_state, "us": make.us}
SYNTAXES = {
    "implicit": make.IMPLICIT,
    "explicit": make.EXPLICIT,
    "big endian": make.BIG_ENDIAN,
    "deflated": make.DEFLATED,
}


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_no_secret_planted_in_any_listed_private_or_unknown_place_is_in_the_result(maker, syntax, rules):
    planted = secrets.everywhere(maker())
    planted.data.pop(0x00420011)  # a document at the top is withheld, see test_what_is_withheld
    body = make.file(
        planted.data, syntax, preamble=b"SECRETPREAMBLE".ljust(128), SourceApplicationEntityTitle="SECRETAE"
    )

    result = written(body, rules, accepted={"burned-in-risk"})

    inflated = str(pydicom.dcmread(io.BytesIO(result))).encode()
    assert secrets.found(result + inflated, [*planted.words, "SECRETPREAMBLE", "SECRETAE"]) == []


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_the_pixels_leave_bit_for_bit(syntax, rules):
    data = make.ct(size=64)

    result = passed(data, rules, syntax)

    assert result.PixelData == pydicom.dcmread(io.BytesIO(make.file(data, syntax))).PixelData


def test_encapsulated_pixels_leave_bit_for_bit(rules):
    data = make.fragmented(make.ct(frames=3))

    result = passed(data, rules, make.JPEG_BASELINE)

    assert result.PixelData == data.PixelData


def test_references_between_instances_of_one_study_survive(rules):
    first, second = make.ct(number=1), make.ct(number=2)
    report = make.sr()
    reference = pydicom.Dataset()
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = make.CT, second.SOPInstanceUID
    item = pydicom.Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "IMAGE"
    item.ReferencedSOPSequence = Sequence([reference])
    report.ContentSequence.append(item)
    first.ReferencedImageSequence[0].ReferencedSOPInstanceUID = second.SOPInstanceUID

    one, two, three = (passed(data, rules) for data in (first, second, report))

    assert one.StudyInstanceUID == two.StudyInstanceUID == three.StudyInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.ReferencedImageSequence[0].ReferencedSOPInstanceUID == two.SOPInstanceUID
    assert three.ContentSequence[-1].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == two.SOPInstanceUID
    assert three.StudyInstanceUID == three.ContentSequence[1].ContentSequence[2].UID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID != first.SOPInstanceUID


def test_two_patients_who_share_an_original_uid_share_its_pseudonym(rules):
    one = passed(make.ct(patient_id="A1"), rules)
    two = passed(make.ct(patient_id="B2", FrameOfReferenceUID=make.ct().FrameOfReferenceUID), rules)

    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID
    assert one.PatientID != two.PatientID


def test_intervals_survive_in_dates_date_times_and_reports(rules):
    scan = make.ct(StudyDate="20240229", AcquisitionDateTime="20240305101112.5+0100", SeriesDate="20231231")
    report = make.sr(StudyDate="20240310")

    one, two = passed(scan, rules), passed(report, rules)

    days = [
        pydicom.valuerep.DA(str(text)[:8]).toordinal()
        for text in (one.StudyDate, one.AcquisitionDateTime, one.SeriesDate, two.StudyDate)
    ]
    assert [day - days[0] for day in days] == [0, 5, -60, 10]
    assert str(one.AcquisitionDateTime).endswith("101112.5+0100")
    assert one.StudyDate != "20240229"
    assert one.StudyTime == "101112"


def test_the_same_original_gives_the_same_bytes_and_another_key_other_names(rules):
    body = make.file(make.ct())

    first, again, other = written(body, rules), written(body, rules), written(body, rules, key=b"another key " * 3)

    assert first == again
    assert pydicom.dcmread(io.BytesIO(first)).PatientID != pydicom.dcmread(io.BytesIO(other)).PatientID


def test_the_report_and_the_reasons_hold_no_value_of_the_original(rules):
    planted = secrets.everywhere(make.ct())
    planted.data.pop(0x00420011)

    outcome = outcome_of(make.file(planted.data), rules, accepted={"burned-in-risk"})

    assert isinstance(outcome, Deidentified)
    assert secrets.found(str(outcome.report.as_json()).encode(), planted.words) == []
    assert secrets.found(repr(outcome.minted).encode(), planted.words) == []
