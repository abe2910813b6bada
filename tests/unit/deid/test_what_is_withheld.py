"""What must not, or cannot, be passed on is refused for the right reason, and accepted reasons let it pass."""

import struct

import pytest

from appliance.deid.outcome import Deidentified, Excluded, Refused
from appliance.deid.ruleset import load_rules
from appliance.reasons import Reason
from tests.make import make
from tests.make.deidentified import outcome_of, passed, rules_from
from tests.make.secrets import unknown


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def reason_of(data, rules, **how):
    outcome = outcome_of(make.file(data), rules, **how)
    assert isinstance(outcome, Refused), outcome
    return outcome.reason


@pytest.mark.parametrize("number", ["", "  ", None])
def test_an_instance_without_a_patient_id_is_refused(number, rules):
    assert reason_of(make.ct(PatientID=number), rules) is Reason.NO_PATIENT_ID


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID"])
def test_an_instance_without_one_of_its_uids_is_refused_and_the_tag_named(keyword, rules):
    outcome = outcome_of(make.file(make.ct(**{keyword: None})), rules)

    assert isinstance(outcome, Refused) and outcome.reason is Reason.MISSING_UID
    assert outcome.detail.startswith("Missing or no UID: (00")


def test_a_private_sop_class_is_refused_unless_the_site_lists_it(rules, tmp_path):
    data = make.ct()
    data.SOPClassUID = make.PRIVATE_CLASS
    (tmp_path / "r.yaml").write_text(f"SopClasses: ['{make.PRIVATE_CLASS}']")

    assert reason_of(data, rules) is Reason.UNKNOWN_SOP_CLASS
    assert passed(data, load_rules(tmp_path / "r.yaml")).SOPClassUID == make.PRIVATE_CLASS


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.3.10", "1.2.840.10008.5.1.4.38.1", "1.2.840.10008.1.1"])
def test_what_is_no_composite_instance_of_a_patient_is_never_forwarded(uid, rules):
    data = make.ct()
    data.SOPClassUID = uid

    assert reason_of(data, rules) is Reason.NOT_FORWARDABLE


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (make.ct(BurnedInAnnotation="YES"), Reason.BURNED_IN_RISK),
        (make.secondary_capture(), Reason.BURNED_IN_RISK),
        (make.us(), Reason.BURNED_IN_RISK),
        (make.us(frames=3), Reason.BURNED_IN_RISK),
        (make.pdf(), Reason.DOCUMENT),
        (make.ct(ConversionType="DF"), Reason.BURNED_IN_RISK),
        (make.ct(SeriesDescription="Dose Report"), Reason.BURNED_IN_RISK),
        (make.ct(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), Reason.BURNED_IN_RISK),
        (make.ct(DateOfSecondaryCapture="20240101"), Reason.BURNED_IN_RISK),
    ],
)
def test_what_may_show_a_name_in_its_pixels_waits_until_a_person_accepts_it(data, reason, rules):
    outcome = outcome_of(make.file(data), rules)

    assert isinstance(outcome, Refused) and outcome.reason is reason
    assert outcome.detail.startswith("By rule, line ")
    assert isinstance(outcome_of(make.file(data), rules, accepted={reason.value, "identifier-left"}), Deidentified)


def test_a_mark_that_was_written_as_unknown_bytes_counts(rules):
    data = make.ct()
    data[0x00280301] = unknown(0x00280301, b"YES ")

    assert reason_of(data, rules) is Reason.BURNED_IN_RISK


@pytest.mark.parametrize("data", [make.ct(), make.mr(), make.sr(), make.presentation_state()])
def test_what_is_not_risky_passes(data, rules):
    assert isinstance(outcome_of(make.file(data), rules), Deidentified)


def test_what_the_rules_do_not_forward_is_excluded_not_refused(tmp_path):
    (tmp_path / "r.yaml").write_text(
        "Labels: [{Name: mr, DICOMQueryFilter: Modality StrEquals MR}]\nScopeToForward: {Labels: ALL, ExceptLabels: mr}"
    )
    only_others = load_rules(tmp_path / "r.yaml")

    assert outcome_of(make.file(make.mr()), only_others) == Excluded("ScopeToForward")
    assert isinstance(outcome_of(make.file(make.ct()), only_others), Deidentified)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageType", ["ORIGINAL", "PRIMARY", "INES"]),
        ("SoftwareVersions", "invented, ines"),
        ("SoftwareVersions", "InventedInes"),
        ("SoftwareVersions", "for ACC4711"),
        ("Manufacturer", "Made for P000123"),
        ("SoftwareVersions", "17.03.1950"),
        ("SoftwareVersions", "x1950-03-17"),
        ("ConvolutionKernel", "REFERRER"),
        ("Manufacturer", "St.  ELSEWHERE"),
        ("SequenceName", make.ct().StudyInstanceUID[-12:]),
    ],
)
def test_an_identifier_that_stands_where_the_profile_keeps_is_found(keyword, value, rules):
    data = make.ct(**{keyword: value})
    if keyword == "SequenceName":
        data.SequenceName, data.ManufacturerModelName = "A", f"ref {make.ct().StudyInstanceUID}"

    outcome = outcome_of(make.file(data), rules)

    assert isinstance(outcome, Refused) and outcome.reason is Reason.IDENTIFIER_LEFT
    assert outcome.detail.startswith("It stands in (00")
    assert isinstance(outcome_of(make.file(data), rules, accepted={"identifier-left"}), Deidentified)


@pytest.mark.parametrize(
    ("charset", "name"), [("ISO_IR 100", "Müllér^Ännchen"), ("ISO_IR 192", "Ωμέγα^Άννα"), ("GB18030", "王^小东")]
)
@pytest.mark.parametrize("form", [str, str.upper, lambda text: text.replace("^", " - ")])
def test_a_name_is_found_in_any_character_set_and_case(charset, name, form, rules):
    data = make.ct(patient=name, charset=charset, Manufacturer=form(name))

    assert reason_of(data, rules) is Reason.IDENTIFIER_LEFT


def test_a_name_is_found_in_the_other_usual_spelling(rules):
    assert reason_of(make.ct(patient="Müller^Jörg", Manufacturer="JOERG"), rules) is Reason.IDENTIFIER_LEFT


def test_a_name_is_found_in_bytes_of_numbers_and_in_what_stays_in_the_file(rules):
    small = make.ct()
    small.add_new(0x00281201, "OW", "Quasimodo".encode("utf-16-le") + bytes(14))
    large = make.ct()
    large.add_new(0x00281201, "OW", bytes(6000) + b"QUASIMODO " + bytes(90000))
    small.PatientName = large.PatientName = "Zwirnlein^Quasimodo"

    for data in (small, large):
        outcome = outcome_of(make.file(data), rules)
        assert outcome == Refused(Reason.IDENTIFIER_LEFT, "It stands in (0028,1201).")


def test_an_equal_date_that_the_engine_made_is_no_hit(rules):
    data = make.ct(PatientBirthDate="20200101")
    offset = passed(data, rules).StudyDate
    data.PatientBirthDate = offset

    assert isinstance(outcome_of(make.file(data), rules), Deidentified)


def test_words_of_the_trade_are_no_hit_for_a_patient_who_is_called_so(rules):
    data = make.ct(patient="Long^Head", Manufacturer="Siemens", BodyPartExamined="HEAD", InstitutionName="SIEMENS")

    assert isinstance(outcome_of(make.file(data), rules), Deidentified)


def test_sequences_nested_in_unknown_bytes_without_end_are_refused(rules):
    creator, tag = b"Philips Imaging DD 001", 0x2001105F  # Stack Sequence, on the safe list
    inside = b""
    for _ in range(120):
        body = struct.pack("<HHL", 0x2001, 0x10, len(creator)) + creator + inside
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(body)) + body
        inside = struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(item)) + item
    data = make.ct()
    data.add_new(0x20010010, "LO", creator.decode())
    data[tag] = unknown(tag, inside[8:])

    assert reason_of(data, rules) is Reason.MALFORMED


def test_a_document_that_somebody_read_and_accepted_leaves_as_it_is_unless_it_names_the_patient(rules):
    clean, naming = make.pdf(EncapsulatedDocument=b"%PDF-1.4 clean. "), make.pdf()

    assert passed(clean, rules, accepted={"document"}).EncapsulatedDocument == b"%PDF-1.4 clean. "
    assert reason_of(naming, rules, accepted={"document"}) is Reason.IDENTIFIER_LEFT


def test_more_text_than_can_be_cleaned_waits_and_goes_on_without_it(rules, tmp_path):
    much, enough = make.sr(text="nodule " * 700_000), make.sr(text="nodule " * 1000)

    outcome = outcome_of(make.file(much), rules)

    assert outcome == Refused(Reason.TEXT_TOO_LONG, "With (0040,A160) it is more than 4 MiB.")
    assert isinstance(outcome_of(make.file(enough), rules), Deidentified)
    without = rules_from(
        "Transformations:\n- Scope: {Labels: ALL}\n  DeleteTags: [{TagPatterns: '*/TextValue', Action: Remove}]\n",
        tmp_path,
    )
    assert isinstance(outcome_of(make.file(much), without), Deidentified)
