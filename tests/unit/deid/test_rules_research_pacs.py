"""A Research PACS configuration loads unchanged and means what its documents say, without its program's faults."""

import hashlib
from datetime import datetime

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified, Excluded, Refused
from appliance.deid.ruleset import ALL
from appliance.errors import ConfigError
from appliance.reasons import Reason
from tests.make import make
from tests.make.deidentified import outcome_of, passed, rules_from, written
from tests.make.seed_rules import COMPLETE, SHIPPED


@pytest.fixture
def rules(tmp_path):
    return lambda text: rules_from(text, tmp_path)


def ordered_ct(**more):
    """A CT with the sequence that the complete example adds to."""
    data = make.ct(**more)
    data.RequestAttributesSequence = Sequence([Dataset()])
    return data


def block(*lines):
    """A file with one block for every instance, and no profile."""
    return "Profile: none\nTransformations:\n- Scope: {Labels: ALL}\n" + "".join(f"  {line}\n" for line in lines)


# --- loading ----------------------------------------------------------------------------------------------------------


def test_the_complete_example_loads_and_is_carried_out(rules):
    data = ordered_ct()
    patient_before, study_before = data.PatientName, data.StudyInstanceUID

    result = passed(data, rules(COMPLETE))

    assert result.StudyInstanceUID.startswith("1.2.826.0.1.3680043.10.") and result.StudyInstanceUID != study_before
    assert result.PatientName != patient_before and str(result.PatientName).count("^") == 1
    assert result.StudyDate != "20240229" and result.StudyDate == result.SeriesDate
    assert result.PatientIdentityRemoved == "YES"
    assert result.RequestAttributesSequence[0].ScheduledProcedureStepID == "X"
    assert "PatientAddress" not in result, "the default profile applies unless the file says Profile: none"


def test_the_complete_example_discards_paperwork_and_withholds_what_it_would_mask(rules):
    assert isinstance(outcome_of(make.file(make.pdf()), rules(COMPLETE)), Excluded)
    masked = outcome_of(make.file(make.us(RequestAttributesSequence=Sequence([Dataset()]))), rules(COMPLETE))
    assert isinstance(masked, Refused) and masked.reason is Reason.BURNED_IN_RISK
    assert masked.detail == "By rule, line 43: RemoveBurnedInAnnotations. Nobody here can look."


def test_the_shipped_default_loads_and_leaves_no_name_and_no_broken_reference(rules):
    data = make.ct()

    result = passed(data, rules(SHIPPED))

    assert result.SOPInstanceUID != data.SOPInstanceUID
    assert str(result.PatientName) != str(data.PatientName)
    assert "PatientAddress" not in result


def test_the_shipped_default_without_a_profile_is_stopped_by_the_second_look(rules):
    outcome = outcome_of(make.file(make.ct()), rules("Profile: none\n" + SHIPPED))

    assert isinstance(outcome, Refused) and outcome.reason is Reason.IDENTIFIER_LEFT


def test_one_text_or_a_list_of_them_mean_the_same_everywhere(rules):
    one = rules("Labels: [{Name: A, DICOMQueryFilter: Modality Exists}]\nScopeToForward: {Labels: A}")
    two = rules("Labels: [{Name: A, DICOMQueryFilter: Modality Exists}]\nScopeToForward: {Labels: [A]}")

    assert one.forward == two.forward


@pytest.mark.parametrize(
    ("documented", "coded"),
    [
        ("NotLabels: Paper", "ExceptLabels: Paper"),
        ("ExceptCategories: Papers", "ExceptLabels: Paper"),
        ("NotCategories: Papers", "ExceptLabels: Paper"),
    ],
)
def test_the_documents_spellings_exclude_what_they_say(documented, coded, rules):
    paper = (
        "Labels: [{Name: Paper, DICOMFilterQuery: Modality StrEquals OT}]\n"
        "Categories: [{Name: Papers, Labels: Paper}]\nDestinations: [{Name: x, Categories: Papers}]\n"
        "ScopeToForward: {Labels: ALL, %s}"
    )

    assert rules(paper % documented).forward == rules(paper % coded).forward
    assert not rules(paper % documented).forward.covers(frozenset({ALL, "Paper"}))


def test_commas_and_dots_between_the_parts_of_a_path_mean_the_same(rules):
    text = block("DeleteTags: [{TagPatterns: '%s', Action: Remove}]")

    dotted = rules(text % "RequestAttributesSequence.ScheduledProcedureStepID").blocks
    documented = rules(text % "RequestAttributesSequence,ScheduledProcedureStepID").blocks

    assert dotted == documented


def test_a_comma_inside_of_a_creator_stays_a_comma(rules):
    read = rules(block("DeleteTags: [{TagPatterns: '0029{A, INC}XX', Action: Remove}]"))

    assert str(read.blocks[0].deletes[0].selector.patterns[0]) == "0029{A, INC}XX"


def test_a_label_without_a_filter_is_everyones(rules):
    read = rules("Labels: [{Name: Any}, {Name: Empty, DICOMQueryFilter: ''}]\nScopeToForward: {Labels: Any}")

    assert isinstance(outcome_of(make.file(make.ct()), read), Deidentified)


def test_labels_see_the_file_meta(rules):
    read = rules(
        "Labels: [{Name: Explicit, DICOMQueryFilter: 'TransferSyntaxUID StrEquals 1.2.840.10008.1.2.1'}]\n"
        "ScopeToForward: {Labels: ALL, ExceptLabels: Explicit}"
    )

    assert isinstance(outcome_of(make.file(make.ct(), make.EXPLICIT), read), Excluded)
    assert isinstance(outcome_of(make.file(make.ct(), make.IMPLICIT), read), Deidentified)


# --- the faults of part C that are the language's ---------------------------------------------------------------------


def test_c5_the_parts_of_a_name_are_replaced_one_by_one(rules):
    read = rules(
        "Transformations:\n- Scope: {Labels: ALL}\n"
        "  RandomizeText: [{TagPatterns: '*/{PN}', Split: '^', IgnoreCase: true, ReuseMapping: Always}]\n"
    )

    one = str(passed(make.ct(patient="john^smith"), read).PatientName).split("^")
    two = str(passed(make.ct(patient="SMITH^John", patient_id="P2"), read).PatientName).split("^")

    assert one == two[::-1] and len(set(one)) == 2


def test_c6_a_text_that_looks_like_a_date_does_not_get_a_dates_new_value(rules):
    read = rules(
        "Transformations:\n- Scope: {Labels: ALL}\n"
        "  ShiftDateTime: [{TagPatterns: StudyDate, ShiftBy: 30, ReuseMapping: Always}]\n"
        "  RandomizeText: [{TagPatterns: StudyID, ReuseMapping: Always}]\n"
    )

    result = passed(make.ct(StudyID="20240229"), read)

    assert result.StudyID != result.StudyDate and not result.StudyID.isdigit()


def test_c6_the_same_instance_is_a_scope_of_its_own(rules):
    text = "Transformations:\n- Scope: {Labels: ALL}\n  RandomizeText: [{TagPatterns: StudyID, ReuseMapping: %s}]\n"
    first, second = make.ct(number=1), make.ct(number=2)

    within_instance = [passed(data, rules(text % "SameInstance")).StudyID for data in (first, second)]
    within_study = [passed(data, rules(text % "SameStudy")).StudyID for data in (first, second)]

    assert len(set(within_instance)) == 2 and len(set(within_study)) == 1


def test_c7_sequences_are_deleted_with_all_that_is_in_them(rules):
    data = make.with_private(make.ct())
    inside = Dataset()
    inside.PatientID = "SECRET1"
    data.OtherPatientIDsSequence = Sequence([inside])
    read = rules(block("DeleteTags: [{TagPatterns: ['OtherPatientIDsSequence', '*/XXX@XXXX'], Action: Remove}]"))

    body = written(make.file(data), read, accepted=[Reason.IDENTIFIER_LEFT.value])

    assert b"SECRET1" not in body and b"PHANTOM PRIVATE" not in body
    assert body.count(b"Invented^Ines") == 1, "of the top; the one inside the private sequence is gone"


def test_c8_a_private_element_that_is_excepted_keeps_its_creator(rules):
    data = make.with_private(make.with_private(make.ct(patient="Else^Someone"), "SAFE CREATOR"), "OTHER")
    read = rules(
        block("DeleteTags: [{TagPatterns: '*/XXX@XXXX', ExceptTagPatterns: '*/0029{SAFE CREATOR}03', Action: Remove}]")
    )

    result = passed(data, read, accepted=[Reason.IDENTIFIER_LEFT.value])

    assert [element.tag for element in result if element.tag.is_private] == [0x00290010, 0x00291003]
    assert result[0x00290010].value == "SAFE CREATOR"


@pytest.mark.parametrize("profile", ["", "Profile: none\n"])
def test_c9_file_meta_and_preamble_are_our_own(profile, rules):
    body = make.file(
        make.ct(),
        preamble=b"SECRET" * 21 + b"SE",
        SourceApplicationEntityTitle="SECRETAE",
        PrivateInformationCreatorUID="1.2.3",
        PrivateInformation=b"SECRET",
    )

    assert b"SECRET" not in written(body, rules(profile), accepted=[Reason.IDENTIFIER_LEFT.value])


def test_c10_references_follow_the_uids_that_a_rule_replaces(rules):
    first, second = make.ct(number=1), make.ct(number=2)
    second.ReferencedImageSequence[0].ReferencedSOPInstanceUID = first.SOPInstanceUID

    one, two = (passed(data, rules(COMPLETE.replace('- {Tag: "Req', "# "))) for data in (first, second))

    assert two.ReferencedImageSequence[0].ReferencedSOPInstanceUID == one.SOPInstanceUID
    assert one.FrameOfReferenceUID == two.FrameOfReferenceUID != first.FrameOfReferenceUID


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("Scopetoforward: {Labels: ALL}", "Did you mean 'ScopeToForward'"),
        ("ScopeToForward: {Labels: ALL, Excludes: A}", "'Excludes' is not known here"),
        ("ScopeToForward: {Labels: ALL, ExceptLabels: Papper}", "'Papper' is not defined under Labels"),
        ("Labels: [{Name: A, DICOMQueryFilter: Modalty StrEquals OT}]", "no 'Modalty'"),
        ("Categories: [{Name: C, Labels: [A]}]", "the label 'A' is not defined"),
    ],
)
def test_c11_a_slip_of_the_pen_is_an_error_and_excludes_nobody_by_chance(slip, says, rules):
    with pytest.raises(ConfigError, match=says):
        rules(slip)


def test_c12_a_filter_that_says_not_equal_works(rules):
    read = rules(
        "Labels: [{Name: Others, DICOMQueryFilter: (Modality StrNotEquals CT) AND Rows NbGreater 1}]\n"
        "ScopeToForward: {Labels: Others}"
    )

    assert isinstance(outcome_of(make.file(make.mr()), read), Deidentified)
    assert isinstance(outcome_of(make.file(make.ct()), read), Excluded)


def test_c13_dates_of_one_patient_keep_their_order_and_none_stays(rules):
    text = "Transformations:\n- Scope: {Labels: ALL}\n  ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 400%s}]\n"
    data = make.ct(SeriesDate="20240301", ContentDate="1990.01.02")

    for reuse in ("", ", ReuseMapping: SamePatient"):
        result = passed(data, rules(text % reuse))

        moved = [datetime.strptime(day, "%Y%m%d") for day in (result.StudyDate, result.SeriesDate)]  # noqa: DTZ007
        assert (moved[1] - moved[0]).days == 1 and result.StudyDate != "20240229"
        assert result.ContentDate not in ("", "1990.01.02"), "the old form is read, and no file is lost"


def test_c14_an_instance_without_pixels_in_the_scope_of_a_mask_is_not_lost(rules):
    read = rules(
        "Transformations:\n- Scope: {Labels: ALL}\n"
        "  RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 0, 640, 60]]}]\n"
    )

    assert isinstance(outcome_of(make.file(make.sr()), read), Deidentified)


def test_c15_an_image_that_nobody_searched_for_text_does_not_count_as_clean(rules):
    read = rules("Transformations:\n- Scope: {Labels: ALL}\n  RemoveBurnedInAnnotations: [{Type: OCR}]\n")

    withheld = outcome_of(make.file(make.ct()), read)

    assert isinstance(withheld, Refused) and withheld.reason is Reason.BURNED_IN_RISK


def test_c16_a_report_names_rules_and_lines_and_no_value(rules):
    outcome = outcome_of(make.file(ordered_ct()), rules(COMPLETE))
    assert isinstance(outcome, Deidentified)

    told = str(outcome.report.as_json())

    assert f"RandomizeText, line {COMPLETE[: COMPLETE.index('*/{PN}')].count(chr(10)) + 1}" in told
    assert "Invented" not in told and "20240229" not in told


def test_c17_a_number_of_two_hospitals_stays_two(rules):
    read = rules(
        "Transformations:\n- Scope: {Labels: ALL}\n  RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always}]\n"
    )

    one, two = (passed(make.ct(), read, domain=domain).PatientID for domain in ("north", "south"))

    assert one != two


def test_c17_what_stands_for_a_patient_number_can_be_found_again(rules):
    read = rules(
        "Transformations:\n- Scope: {Labels: ALL}\n  RandomizeText: [{TagPatterns: PatientID, ReuseMapping: Always}]\n"
    )
    outcome = outcome_of(make.file(make.ct()), read)
    assert isinstance(outcome, Deidentified)

    minted = [each for each in outcome.minted if each.kind == "text"]

    assert [(each.domain, each.original) for each in minted] == [("site", "P000123")]
    assert minted[0].pseudonym.encode() == outcome.dataset.get(0x00100020).value.strip()


def test_c19_nothing_is_transcoded_by_a_detour(rules):
    read = rules("Transformations: [{Scope: {Labels: ALL}, Transcode: 1.2.840.10008.1.2.1}]")

    result = passed(make.ct(), read, make.IMPLICIT)

    assert result.file_meta.TransferSyntaxUID == make.EXPLICIT


def test_c18_what_was_once_asked_for_an_instance_is_not_done_to_it_again(tmp_path):
    body = make.file(make.ct())
    for name in ("tried", "now"):
        (tmp_path / name).mkdir()
    now = rules_from("Profile: Basic\n", tmp_path / "now")
    before = written(body, now)

    written(body, rules_from("Profile: none\nReplace: [{TagPatterns: StudyID, Value: X}]\n", tmp_path / "tried"),
            accepted={"identifier-left"})  # fmt: skip

    assert written(body, now) == before


def test_c37_nobody_without_the_key_can_compute_a_pseudonym(rules):
    data, read = make.ct(), rules("Profile: Basic\n")
    one, other = passed(data, read), passed(data, read, key=b"another key, thirty-two bytes...")
    computed = {
        hashlib.new(kind, text.encode()).hexdigest().upper()
        for kind in ("md5", "sha1", "sha256")
        for text in (data.PatientID, data.SOPInstanceUID, f"site{data.PatientID}", f"st-{data.PatientID}")
    }

    for keyword in ("PatientID", "SOPInstanceUID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert one.get(keyword) not in (data.get(keyword), other.get(keyword)), keyword
    number = int(one.SOPInstanceUID.removeprefix("2.25."))
    assert not any(f"{number:032X}" in digest for digest in computed)


def test_c38_what_no_block_means_is_de_identified_all_the_same(rules):
    read = rules(
        "Labels:\n- {Name: MR, DICOMQueryFilter: Modality StrEquals MR}\n"
        "Transformations:\n- Scope: {Labels: MR}\n  DeleteTags: [{TagPatterns: StudyID, Action: Remove}]\n"
    )
    result = passed(make.ct(), read)

    assert result.PatientIdentityRemoved == "YES"
    assert "Invented" not in str(result)
