"""What each transformation does to a value, to several, to none, at depth, and to what it does not fit."""

import io
import re
from datetime import datetime

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.instance import deidentify
from appliance.deid.outcome import Deidentified, Refused
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.times import moved_moment, moved_time
from appliance.dicom import part10
from appliance.dicom.element import DataSet, Element
from appliance.model import Provenance
from appliance.reasons import Reason
from tests.make import make, secrets
from tests.make.deidentified import KEY, outcome_of, passed, rules_from
from tests.make.seed_rules import COMPLETE

ACCEPTED = [Reason.IDENTIFIER_LEFT.value]  # what these tests are about is not the second look


def a_block(profile, lines):
    """A file with one block for every instance; its first rule is in line 5."""
    options = "" if profile == "none" else "Options: []"
    head = f"Profile: {profile}\n{options}\nTransformations:\n- Scope: {{Labels: ALL}}\n"
    return head + "".join(f"  {line}\n" for line in lines)


@pytest.fixture
def done(tmp_path):
    """The instance after one block of transformations alone, or with the profile."""

    def apply(data, *lines, profile="none", syntax=make.EXPLICIT, **how):
        rules = rules_from(a_block(profile, lines), tmp_path)
        return passed(data, rules, syntax, **{"accepted": ACCEPTED, **how})

    return apply


@pytest.fixture
def outcome(tmp_path):
    """What becomes of the instance under one block."""

    def apply(data, *lines, profile="Basic", syntax=make.EXPLICIT, **how):
        rules = rules_from(a_block(profile, lines), tmp_path)
        return outcome_of(make.file(data, syntax), rules, **how)

    return apply


def nested(data, **inside):
    """Put attributes into an item of a sequence that no profile touches."""
    item = Dataset()
    for name, value in inside.items():
        setattr(item, name, value)
    data.PurposeOfReferenceCodeSequence = Sequence([item])
    return data


def days(one, two):
    return (datetime.strptime(two, "%Y%m%d") - datetime.strptime(one, "%Y%m%d")).days  # noqa: DTZ007 - days only


# --- ShiftDateTime ----------------------------------------------------------------------------------------------------


def test_dates_of_a_patient_move_by_one_number_of_days_and_never_by_none(done):
    moves = set()
    for key in range(40):
        data = make.ct(SeriesDate="20240301")
        result = done(data, "ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 2}]", key=b"key %028d" % key)
        moves.add(days("20240229", result.StudyDate))
        assert days(result.StudyDate, result.SeriesDate) == 1

    assert moves == {-2, -1, 1, 2}


@pytest.mark.parametrize(
    ("reuse", "same"),
    [
        ("Always", ["patient", "study", "series", "instance"]),
        ("SamePatient", ["study", "series", "instance"]),
        ("SameStudy", ["series", "instance"]),
        ("SameSeries", ["instance"]),
        ("SameInstance", []),
    ],
)
def test_reuse_mapping_says_within_what_the_shift_is_the_same(reuse, same, done):
    rule = f"ShiftDateTime: [{{TagPatterns: StudyDate, ShiftBy: 30000, ReuseMapping: {reuse}}}]"
    others = {
        "patient": make.ct(patient_id="P9", number=2),
        "study": make.ct(study="other", series="other", number=2),
        "series": make.ct(series="other", number=2),
        "instance": make.ct(number=2),
    }

    first = done(make.ct(), rule).StudyDate
    found = {name for name, data in others.items() if done(data, rule).StudyDate == first}

    assert found == set(same)


def test_times_and_moments_move_by_seconds_and_keep_their_form(done):
    data = make.ct(StudyTime="235959.123456", SeriesTime="1230", ContentTime="23")
    data.AcquisitionDateTime = "20240229235959.5+0130"

    result = done(data, "ShiftDateTime: [{TagPatterns: ['*/{TM}', '*/{DT}'], ShiftBy: 30}]")

    assert re.fullmatch(r"\d{6}\.123456", result.StudyTime) and result.StudyTime != "235959.123456"
    assert re.fullmatch(r"\d{4}", result.SeriesTime) and result.SeriesTime != "1230"
    assert result.ContentTime in ("22", "00")
    assert re.fullmatch(r"2024(0229|0301)\d{6}\.5\+0130", result.AcquisitionDateTime)
    assert result.StudyDate == "20240229", "no date moves with a time"


@pytest.mark.parametrize(
    ("value", "seconds", "moved"),
    [
        ("235959", 2, "000001"),
        ("000000", -1, "235959"),
        ("12:30:00", 61, "12:31:01"),
        ("1230", 29, "1231"),
        ("1230", -29, "1229"),
        ("12", 1, "13"),
        ("120060", 1, "120100"),
        ("2460", 1, None),
        ("noon", 1, None),
        ("1230-1240", 1, None),
    ],
)
def test_a_time_moves_round_midnight_in_its_own_precision(value, seconds, moved):
    assert moved_time(value, seconds) == moved


@pytest.mark.parametrize(
    ("value", "seconds", "moved"),
    [
        ("20240229235959", 1, "20240301000000"),
        ("20240301000000.25-0500", -1, "20240229235959.25-0500"),
        ("20240229", 5, "20240301"),
        ("2024022912", -5, "2024022911"),
        ("202402291230", 5, "202402291231"),
        ("202402", 5, None),
        ("20240230", 5, None),
        ("99991231235959", 5, None),
        ("00010101000000", -5, None),
    ],
)
def test_a_moment_moves_in_its_own_precision(value, seconds, moved):
    assert moved_moment(value, seconds) == moved


def test_every_value_moves_and_empty_ones_stay_empty(done):
    data = make.ct(SeriesDate="")
    data.DateOfLastCalibration = ["20240101", "20240108"]

    result = done(data, "ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 30}]")

    assert result.SeriesDate == ""
    assert days(*result.DateOfLastCalibration) == 7
    assert result.DateOfLastCalibration[0] != "20240101"


@pytest.mark.parametrize("value", ["1990.01.02", "19900102"])
def test_dates_of_the_old_form_move_too(value, done):
    data = make.ct()
    data[0x00080021].value = ""
    data.add_new(0x00080022, "LO", value)
    data[0x00080022].VR = "DA"

    result = done(data, "ShiftDateTime: [{TagPatterns: AcquisitionDate, ShiftBy: 30}]")

    assert result.AcquisitionDate and result.AcquisitionDate != value


def test_what_is_no_date_does_not_stay_and_loses_no_file(done):
    data = make.ct()
    data.add_new(0x00080022, "LO", "SMITH 20")
    data[0x00080022].VR = "DA"

    result = done(data, "ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 30}]")

    assert result.AcquisitionDate == ""


def test_the_last_rule_that_means_an_element_wins_and_acts_on_the_original(done):
    data = make.ct()

    both = done(
        data,
        "ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 30}, {TagPatterns: StudyDate, ShiftBy: 31}]",
    )
    last = done(data, "ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 31}]")

    assert both.StudyDate == last.StudyDate


# --- RandomizeText ----------------------------------------------------------------------------------------------------


def test_a_text_becomes_letters_and_digits_and_differs_by_value(done):
    rule = "RandomizeText: [{TagPatterns: StudyDescription, ReuseMapping: Always}]"

    one, two = (done(make.ct(StudyDescription=text), rule).StudyDescription for text in ("Knee", "Hip"))

    assert re.fullmatch("[A-Z0-9]{12}", one) and one != two


def test_without_reuse_every_place_gets_its_own_and_repeating_gives_the_same(done):
    data = make.ct(StudyDescription="Same", SeriesDescription="Same")
    rule = "RandomizeText: [{TagPatterns: '*/*Description'}]"

    one, again, other = done(data, rule), done(data, rule), done(make.ct(number=2, StudyDescription="Same"), rule)

    assert len({one.StudyDescription, one.SeriesDescription, other.StudyDescription}) == 3
    assert again.StudyDescription == one.StudyDescription


@pytest.mark.parametrize(("ignore", "same"), [("true", True), ("false", False)])
def test_ignore_case(ignore, same, done):
    rule = f"RandomizeText: [{{TagPatterns: PatientName, IgnoreCase: {ignore}, ReuseMapping: Always}}]"

    one, two = (done(make.ct(patient=name), rule).PatientName for name in ("SMITH", "Smith"))

    assert (one == two) is same


def test_split_keeps_what_joins_and_what_is_empty(done):
    data = make.ct(patient="Yamada^^Tarou=山田^^太郎", StudyDescription="a, b")

    result = done(
        data,
        "RandomizeText: [{TagPatterns: PatientName, Split: '^'}, {TagPatterns: StudyDescription, Split: ', '}]",
    )

    part = "[A-Z0-9]{12}"
    assert re.fullmatch(f"{part}\\^\\^{part}={part}\\^\\^{part}", str(result.PatientName))
    assert re.fullmatch(f"{part}, {part}", result.StudyDescription)


def test_more_parts_than_the_vr_has_room_for_become_one(done):
    result = done(make.ct(StudyID="a.b.c"), "RandomizeText: [{TagPatterns: StudyID, Split: '.'}]")

    assert re.fullmatch("[A-Z0-9]{12}", result.StudyID)


def test_each_vr_gets_a_value_that_it_allows(done):
    data = make.ct()
    data.AcquisitionDateTime, data.RetrieveAETitle, data.RetrieveURL = "20240229", "AE1", "http://a/b"
    data.InstanceNumber = 7

    result = done(
        data,
        "RandomizeText: [{TagPatterns: [StudyDate, StudyTime, AcquisitionDateTime, PatientAge, RetrieveAETitle, "
        "RetrieveURL, InstanceNumber, SliceThickness, BodyPartExamined, StudyInstanceUID]}]",
    )

    assert re.fullmatch(r"19\d{6}", result.StudyDate) and re.fullmatch(r"\d{6}", result.StudyTime)
    assert re.fullmatch(r"\d{14}", result.AcquisitionDateTime) and re.fullmatch(r"0\d\dY", result.PatientAge)
    assert re.fullmatch("[A-Z0-9]{12}", result.RetrieveAETitle) and result.RetrieveURL.startswith("urn:")
    assert int(result.InstanceNumber) != 7 and result.StudyInstanceUID.startswith("2.25.")


def test_the_character_set_and_creators_and_the_sop_class_are_left_alone(done):
    data = make.with_private(make.ct(patient="Ä^Ö"))

    result = done(data, "RandomizeText: [{TagPatterns: ['*/{CS}', '*/{LO}', '*/{UI}'], ReuseMapping: Always}]")

    assert result.SpecificCharacterSet == "ISO_IR 192" and result[0x00290010].value == "PHANTOM PRIVATE"
    assert result.SOPClassUID == data.SOPClassUID and result.SOPInstanceUID != data.SOPInstanceUID
    assert str(result.PatientName) == "Ä^Ö"


def test_binary_values_are_emptied(done):
    data = make.ct()
    data.LongitudinalTemporalOffsetFromEvent = 3.5

    result = done(data, "RandomizeText: [{TagPatterns: 'LongitudinalTemporalOffset*'}]")

    assert result["LongitudinalTemporalOffsetFromEvent"].is_empty


def test_unknown_vrs_are_read_by_their_tag(done):
    data = make.ct()
    data[0x00081080] = secrets.unknown(0x00081080, b"Secret diagnosis")
    inside = secrets.implicit(0x00100010, b"Secret^Name ")
    item = b"\xfe\xff\x00\xe0" + len(inside).to_bytes(4, "little") + inside
    data[0x00081115] = secrets.unknown(0x00081115, item)

    result = done(
        data,
        "RandomizeText: [{TagPatterns: ['AdmittingDiagnosesDescription', '+/PatientName']}]",
    )

    assert "Secret" not in str(result)
    assert result.ReferencedSeriesSequence[0].PatientName


# --- RandomizeUID -----------------------------------------------------------------------------------------------------


def test_uids_are_new_everywhere_and_the_meta_follows(done):
    data = nested(make.ct(), SOPInstanceUID="1.2.3.4")

    result = done(data, "RandomizeUID: [{TagPatterns: '*/SOPInstanceUID'}]")

    assert result.SOPInstanceUID == result.file_meta.MediaStorageSOPInstanceUID != data.SOPInstanceUID
    assert result.PurposeOfReferenceCodeSequence[0].SOPInstanceUID != "1.2.3.4"
    assert result.StudyInstanceUID == data.StudyInstanceUID


def test_an_exception_wins(done):
    data = nested(make.ct(), SOPInstanceUID="1.2.3.4")

    result = done(data, "RandomizeUID: [{TagPatterns: '*/SOPInstanceUID', ExceptTagPatterns: [SOPInstanceUID]}]")

    assert result.SOPInstanceUID == data.SOPInstanceUID
    assert result.PurposeOfReferenceCodeSequence[0].SOPInstanceUID != "1.2.3.4"


def test_what_says_the_kind_of_a_thing_and_well_known_uids_stay(done):
    data = make.ct(FrameOfReferenceUID="1.2.840.10008.1.4.1.1")

    result = done(data, "RandomizeUID: [{TagPatterns: '*/{UI}'}]")

    assert result.SOPClassUID == data.SOPClassUID
    assert result.FrameOfReferenceUID == "1.2.840.10008.1.4.1.1"
    assert result.ReferencedImageSequence[0].ReferencedSOPClassUID == make.CT


def test_a_prefix_is_the_root_of_every_new_uid_and_they_stay_short(done):
    prefix = "1.2.826.0.1.3680043.10.511.3"

    result = done(make.ct(), f"RandomizeUID: [{{TagPatterns: SOPInstanceUID, Prefix: '{prefix}'}}]", profile="Basic")

    for uid in (result.SOPInstanceUID, result.StudyInstanceUID, result.FrameOfReferenceUID):
        assert uid.startswith(prefix + ".") and uid.is_valid and len(uid) <= 64


# --- Replace and AddTags ----------------------------------------------------------------------------------------------


def test_the_institution_is_the_clinic(done):
    data, came = make.ct(), Provenance("NORTH", "main", "CT7", "EDGE", "10.0.0.1", "north")
    clinic, scanner = (
        "{TagPatterns: InstitutionName, Value: '{clinic}'}",
        "{TagPatterns: StationName, Value: '{calling_ae}'}",
    )
    rule = f"Replace: [{clinic}, {scanner}]"

    result = done(data, rule, profile="Basic", provenance=came)

    assert (result.InstitutionName, result.StationName) == ("north", "CT7")


def test_replace_changes_what_is_there_only_and_add_tags_adds(done):
    data = make.ct(InstitutionName=None)

    replaced = done(data, "Replace: [{TagPatterns: InstitutionName, Value: '{source}'}]", profile="Basic")
    added = done(data, "AddTags: [{Tag: InstitutionName, VR: LO, Value: '{source} {{x}}'}]", profile="Basic")

    assert "InstitutionName" not in replaced
    assert added.InstitutionName == "CT1 {x}"


@pytest.mark.parametrize(("overwrite", "value"), [("true", "New"), ("false", "St. Elsewhere")])
def test_an_element_that_exists_is_overwritten_only_if_told(overwrite, value, done):
    rule = f"AddTags: [{{Tag: InstitutionName, VR: LO, Value: New, OverwriteIfExists: {overwrite}}}]"

    assert done(make.ct(), rule).InstitutionName == value


def test_what_is_added_overwrites_what_was_randomised_and_is_deleted_by_a_later_type(done):
    rules = (
        "DeleteTags: [{TagPatterns: StationName, Action: Remove}]",
        "AddTags: [{Tag: StudyID, VR: SH, Value: '7', OverwriteIfExists: true}, {Tag: StationName, VR: SH, Value: x}]",
        "RandomizeText: [{TagPatterns: StudyID}]",
    )

    result = done(make.ct(StationName=None), *rules)

    assert result.StudyID == "7" and "StationName" not in result


@pytest.mark.parametrize(
    ("tag", "items"), [("[0]", ["x", None]), ("[1]", [None, "x"]), ("[%]", ["x", "x"]), ("", ["x", "x"])]
)
def test_an_element_is_added_into_one_item_or_into_all(tag, items, done):
    data = make.ct()
    data.RequestAttributesSequence = Sequence([Dataset(), Dataset()])

    result = done(
        data,
        f"AddTags: [{{Tag: 'RequestAttributesSequence{tag}.ScheduledProcedureStepID', VR: SH, Value: x}}]",
        profile="Basic",
    )

    added = [item.get("ScheduledProcedureStepID") for item in result.RequestAttributesSequence]
    assert added == items


@pytest.mark.parametrize(
    ("tag", "says"),
    [
        ("RequestAttributesSequence.StudyID", "(0040,0275) is not there"),
        ("ReferencedImageSequence[3].StudyID", "(0008,1140) has no item 3"),
    ],
)
def test_where_the_sequence_is_missing_the_instance_waits_and_the_line_is_named(tag, says, outcome):
    refused = outcome(make.ct(), f"AddTags: [{{Tag: '{tag}', VR: SH, Value: x}}]")

    assert isinstance(refused, Refused) and refused.reason is Reason.RULE
    assert refused.detail.startswith("By rule, line 5: AddTags: ") and says in refused.detail


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN])
def test_numbers_are_written_as_their_vr_says(syntax, done):
    data = make.ct()
    data.PixelData = None
    del data.PixelData

    result = done(
        data,
        "AddTags: [{Tag: ReferencedFrameNumbers, VR: US, Value: '1\\3'}, {Tag: RecommendedDisplayFrameRateInFloat, "
        "VR: FL, Value: '2.5'}]",
        syntax=syntax,
    )

    assert list(result.ReferencedFrameNumbers) == [1, 3]
    assert result.RecommendedDisplayFrameRateInFloat == 2.5


def test_a_text_is_written_in_the_instances_character_set_or_not_at_all(done, outcome):
    rule = "Replace: [{TagPatterns: InstitutionName, Value: 'Zürich'}]"

    assert done(make.ct(), rule).InstitutionName == "Zürich"
    assert done(make.ct(charset="ISO_IR 100"), rule).InstitutionName == "Zürich"
    refused = outcome(make.ct(charset=None), rule)
    assert isinstance(refused, Refused) and "character set" in refused.detail


def test_a_value_that_does_not_fit_the_element_that_it_meets_makes_it_wait(outcome):
    refused = outcome(make.ct(), "Replace: [{TagPatterns: '*/Study*', Value: 'Nobody'}]")

    assert isinstance(refused, Refused) and refused.reason is Reason.RULE
    assert re.search(r"line 5: Replace: \(0008,00\d\d\): it is no value of VR", refused.detail)


# --- Keep -------------------------------------------------------------------------------------------------------------


def test_what_is_kept_stays_and_the_profile_is_no_longer_claimed(done, outcome):
    rule = "Keep: [StudyDescription]"

    result = done(make.ct(), rule, profile="Basic", accepted=[])

    assert result.StudyDescription == "Study of something" and "SeriesDescription" not in result
    assert "DeidentificationMethodCodeSequence" not in result
    assert "with exceptions" in result.DeidentificationMethod
    assert isinstance(outcome(make.ct(StudyDescription="About Invented Ines"), rule), Deidentified)


def test_keeping_what_the_profile_keeps_anyway_takes_nothing_from_the_claim(done):
    result = done(make.ct(), "Keep: [Modality]", profile="Basic")

    assert "113100" in [item.CodeValue for item in result.DeidentificationMethodCodeSequence]


def test_a_kept_sequence_stays_and_is_cleaned_inside(done):
    data = make.ct()
    data.RequestAttributesSequence = Sequence([Dataset()])
    data.RequestAttributesSequence[0].ScheduledProcedureStepDescription = "Secret"
    data.RequestAttributesSequence[0].ScheduledProtocolCodeSequence = Sequence([make.code("1", "DCM", "Thing")])

    result = done(data, "Keep: [RequestAttributesSequence]", profile="Basic")

    assert "ScheduledProcedureStepDescription" not in result.RequestAttributesSequence[0]
    assert result.RequestAttributesSequence[0].ScheduledProtocolCodeSequence


def test_a_path_that_is_named_is_kept_open_and_a_wild_one_is_not(done):
    data = make.ct()
    data.RequestAttributesSequence = Sequence([Dataset()])
    data.RequestAttributesSequence[0].ScheduledProcedureStepID = "STEP"

    named = done(data, "Keep: [RequestAttributesSequence.ScheduledProcedureStepID]", profile="Basic")
    wild = done(data, "Keep: ['*/ScheduledProcedureStepID']", profile="Basic")

    assert named.RequestAttributesSequence[0].ScheduledProcedureStepID == "STEP"
    assert "RequestAttributesSequence" not in wild


def test_kept_private_elements_and_sequences_bring_their_creator(done):
    data = make.with_private(make.ct())

    result = done(data, "Keep: ['0029{PHANTOM PRIVATE}02', '0029{PHANTOM PRIVATE}03']", profile="Basic")

    assert result[0x00290010].value == "PHANTOM PRIVATE" and result[0x00291003].value == bytes(range(10))
    assert str(result[0x00291002].value[0].PatientName) != str(data.PatientName), "cleaned inside"
    assert 0x00291001 not in result


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("Keep: [StudyDate]", "UNMODIFIED"),
        ("ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 9}]", "MODIFIED"),
        ("Keep: [StudyDescription]", "REMOVED"),
        ("Clean: [StudyDescription]", "REMOVED"),
    ],
)
def test_what_became_of_the_dates_is_told_as_it_is(rule, says, tmp_path):
    rules = rules_from(f"Options: []\nTransformations:\n- Scope: {{Labels: ALL}}\n  {rule}\n", tmp_path)

    assert passed(make.ct(), rules).LongitudinalTemporalInformationModified == says


# --- Clean ------------------------------------------------------------------------------------------------------------


def test_clean_keeps_what_the_vocabulary_knows_and_the_second_look_still_looks(done):
    data = make.ct(StudyDescription="CT abdomen, asked for by Invented", SeriesDescription="Zwirnlein")

    result = done(data, "Clean: [StudyDescription, '*/SeriesDescription']", profile="Basic", accepted=[])

    assert "abdomen" in result.StudyDescription and "Invented" not in result.StudyDescription
    assert result.SeriesDescription == ""
    assert "with exceptions" in result.DeidentificationMethod


def test_cleaning_what_the_profile_cleans_takes_nothing_from_the_claim(tmp_path):
    rules = rules_from("Options: [CleanDescriptors]\nClean: [StudyDescription]", tmp_path)

    assert "113100" in [item.CodeValue for item in passed(make.ct(), rules).DeidentificationMethodCodeSequence]


# --- DeleteTags -------------------------------------------------------------------------------------------------------


def test_remove_and_empty(done):
    data = nested(make.ct(), StudyID="S")

    result = done(
        data,
        "DeleteTags: [{TagPatterns: '*/StudyID', Action: Remove}, {TagPatterns: [StationName, "
        "ReferencedImageSequence], Action: Empty}]",
    )

    assert "StudyID" not in result and "StudyID" not in result.PurposeOfReferenceCodeSequence[0]
    assert result.StationName == "" and list(result.ReferencedImageSequence) == []


def test_removing_wins_over_emptying_and_over_keeping(done):
    result = done(
        make.ct(),
        "Keep: [StudyID]",
        "DeleteTags: [{TagPatterns: StudyID, Action: Remove}, {TagPatterns: 'Study*', Action: Empty, "
        "ExceptTagPatterns: StudyInstanceUID}]",
    )

    assert "StudyID" not in result and result.StudyDate == ""


def test_what_is_excepted_inside_a_removed_sequence_stays_alone(done):
    data = make.ct()
    inside, other = Dataset(), Dataset()
    inside.StudyID, inside.AccessionNumber, other.AccessionNumber = "S", "A", "B"
    data.RequestAttributesSequence = Sequence([inside, other])

    result = done(
        data, "DeleteTags: [{TagPatterns: RequestAttributesSequence, ExceptTagPatterns: '*/StudyID', Action: Remove}]"
    )

    assert [list(item.keys()) for item in result.RequestAttributesSequence] == [[0x00200010]]


def test_a_sequence_with_a_character_set_of_its_own_goes_as_well(done):
    data = nested(make.ct(), SpecificCharacterSet="ISO_IR 192", StudyID="S")

    result = done(data, "DeleteTags: [{TagPatterns: PurposeOfReferenceCodeSequence, Action: Remove}]")

    assert "PurposeOfReferenceCodeSequence" not in result


def test_an_excepted_sequence_keeps_all_that_is_in_it(done):
    data = make.with_private(make.ct())

    result = done(
        data,
        "DeleteTags: [{TagPatterns: '*/XXX@XXXX', ExceptTagPatterns: '*/0029{PHANTOM PRIVATE}02', Action: Remove}]",
    )

    assert result[0x00291002].value[0].PatientName == data.PatientName and 0x00291003 not in result


def test_a_creator_without_elements_goes_with_the_private_ones(done):
    data = make.ct()
    data.add_new(0x00310010, "LO", "Secret Creator")

    result = done(data, "DeleteTags: [{TagPatterns: '*/XXX@XXXX', Action: Remove}]")

    assert 0x00310010 not in result


def test_a_rule_that_takes_an_instances_uid_makes_it_wait(outcome):
    refused = outcome(make.ct(), "DeleteTags: [{TagPatterns: '*/{UI}', Action: Remove}]")

    assert isinstance(refused, Refused) and refused.reason is Reason.RULE
    assert "(0008,0016)" in refused.detail


def test_the_character_set_is_never_deleted(done):
    result = done(make.ct(patient="Ä"), "DeleteTags: [{TagPatterns: '*/{CS}', Action: Remove}]")

    assert str(result.PatientName) == "Ä" and "Modality" not in result


# --- RemoveBurnedInAnnotations and Transcode --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["{Type: OCR}", "{Type: Manual, BoxCoordinates: [[0, 0, 5, 5]]}"])
def test_an_image_that_would_be_masked_waits_unless_somebody_accepts_it(kind, outcome):
    rule = f"RemoveBurnedInAnnotations: [{kind}]"

    refused = outcome(make.ct(), rule)

    assert isinstance(refused, Refused) and refused.reason is Reason.BURNED_IN_RISK and "line 5" in refused.detail
    assert isinstance(outcome(make.ct(), rule, accepted=["burned-in-risk"]), Deidentified)


def test_an_instance_without_pixels_needs_no_mask(outcome):
    assert isinstance(outcome(make.sr(), "RemoveBurnedInAnnotations: [{Type: OCR}]"), Deidentified)


@pytest.mark.parametrize("source", [make.IMPLICIT, make.EXPLICIT, make.DEFLATED])
@pytest.mark.parametrize("target", [make.IMPLICIT, make.EXPLICIT, make.DEFLATED])
def test_native_syntaxes_become_one_another_with_the_same_values(source, target, done):
    data = make.ct(PixelRepresentation=1)
    data.add_new(0x00280106, "SS", -5)  # US or SS: what the pixels are
    pixels = data.PixelData

    result = done(data, f"Transcode: {target}", syntax=source, profile="Basic")

    assert result.file_meta.TransferSyntaxUID == target
    assert result.SmallestImagePixelValue == -5 and result.PixelData == pixels


@pytest.mark.parametrize("syntax", [make.JPEG_2000, make.BIG_ENDIAN])
def test_the_same_syntax_needs_no_codec(syntax, outcome):
    assert isinstance(outcome(make.ct(), f"Transcode: {syntax}", syntax=syntax), Deidentified)


def test_the_last_block_that_matches_says_the_syntax(tmp_path):
    rules = rules_from(
        f"Transformations:\n- {{Scope: {{Labels: ALL}}, Transcode: {make.JPEG_2000}}}\n"
        f"- {{Scope: {{Labels: ALL}}, Transcode: {make.EXPLICIT}}}\n- {{Scope: {{Labels: ALL}}}}\n",
        tmp_path,
    )

    assert passed(make.ct(), rules, make.IMPLICIT).file_meta.TransferSyntaxUID == make.EXPLICIT


# --- laws -------------------------------------------------------------------------------------------------------------


def test_another_key_gives_unrelated_values(done):
    rule = "RandomizeText: [{TagPatterns: PatientName, ReuseMapping: Always}]"

    one, two = (done(make.ct(), rule, key=key).PatientName for key in (KEY, KEY[::-1]))

    assert one != two


def test_the_original_tree_is_not_changed(tmp_path):
    data = make.with_private(make.ct())
    data.RequestAttributesSequence = Sequence([Dataset()])
    body = make.file(data)
    original, again = part10.read(io.BytesIO(body)), part10.read(io.BytesIO(body))

    deidentify(
        original,
        rules=rules_from(COMPLETE, tmp_path),
        pseudonyms=KeyedPseudonyms(KEY, "st"),
        provenance=Provenance("CT1"),
        accepted=frozenset(),
        domain="site",
    )

    assert original.dataset == again.dataset


def test_whole_numbers_need_no_quotes(done):
    assert done(make.ct(), "Replace: [{TagPatterns: StudyID, Value: 17}]").StudyID == "17"


def test_no_text_is_written_into_bytes_that_nobody_knows(outcome):
    data = make.ct()
    data.add_new(0x00290010, "LO", "MAKER")
    data[0x00291001] = secrets.unknown(0x00291001, b"abcd")

    refused = outcome(data, "Replace: [{TagPatterns: '0029{MAKER}01', Value: x}]")

    assert isinstance(refused, Refused) and "no text can be written into VR UN" in refused.detail


def test_endless_nesting_is_refused(tmp_path):
    original = part10.read(io.BytesIO(make.file(make.ct())))
    inside = DataSet()
    for _ in range(90):
        inside = DataSet({0x00081115: Element(0x00081115, "SQ", [inside])})
    original.dataset.put(inside.elements[0x00081115])

    refused = deidentify(
        original,
        rules=rules_from("Keep: [StudyID]", tmp_path),
        pseudonyms=KeyedPseudonyms(KEY, "st"),
        provenance=Provenance("CT1"),
        accepted=frozenset(),
        domain="site",
    )

    assert isinstance(refused, Refused) and refused.reason is Reason.MALFORMED


def test_what_a_file_can_invent_is_not_remembered_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.deid.transforms._MOST_REMEMBERED", 3)
    orders = rules_from("Keep: [StudyID]", tmp_path).orders(frozenset({"ALL"}))

    found = [orders.candidates(tag, "SH") for tag in (0x00200010, 1, 2, 3, 4)]

    assert found[0] and not any(found[1:]) and len(orders._candidates) == 3
