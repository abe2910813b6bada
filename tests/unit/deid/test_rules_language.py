"""Every slip in a rules file is an error with its line and what to write instead; the schema for editors agrees."""

import io
import json
import re
from pathlib import Path

import pytest
import yaml

from appliance.deid import blocks, language, scopes
from appliance.deid.outcome import Deidentified, Excluded, Held, Refused
from appliance.deid.pixels import devices, policy
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.ruleset import ALL, load_rules
from appliance.dicom import part10
from appliance.errors import ConfigError
from appliance.model import Provenance
from appliance.reasons import Reason
from tests.make import make
from tests.make.deidentified import outcome_of, passed, rules_from
from tests.make.seed_rules import COMPLETE, SHIPPED
from tools.rules_schema import schema

ROOT = Path(__file__).parents[3]
README = (ROOT / "rules" / "README.md").read_text()


@pytest.fixture
def rules(tmp_path):
    return lambda text: rules_from(text, tmp_path)


def block(rule):
    """A file with one rule, in its fourth line."""
    return f"Profile: Basic\nTransformations:\n- Scope: {{Labels: ALL}}\n  {rule}\n"


WRONG_BLOCKS = [
    ("Scpe: {}", "line 4: 'Scpe' is not known here. Did you mean 'Scope'?"),
    ("DeleteTag: []", "Did you mean 'DeleteTags'?"),
    ("DeleteTags: {}", "DeleteTags must be a list, not a mapping"),
    ("DeleteTags: [{TagPatterns: StudyID}]", "line 4: Action is missing: Remove or Empty"),
    ("DeleteTags: [{TagPatterns: StudyID, Action: Delete}]", "Action cannot be 'Delete'"),
    ("DeleteTags: [{Action: Remove}]", "TagPatterns is missing"),
    ("DeleteTags: [{TagPatterns: [], Action: Remove}]", "TagPatterns is empty"),
    ("DeleteTags: [{TagPatterns: StudyIdd, Action: Remove}]", "'StudyIdd' is no keyword"),
    ("DeleteTags: [{TagPatterns: StudyID, ExceptTagPatterns: '{QQ}', Action: Remove}]", "no value representation QQ"),
    ("DeleteTags: [{TagPatterns: 5, Action: Remove}]", "TagPatterns must be a list, not a number"),
    ("DeleteTags: [{TagPatterns: '*/SOPInstanceUID', Action: Remove}]", "00080018 names the instance"),
    ("ShiftDateTime: [{TagPatterns: '*/{DA}'}]", "ShiftBy is missing"),
    ("ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 0}]", "ShiftBy must be a whole number from 1"),
    ("ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: yes}]", "ShiftBy must be a whole number"),
    ("ShiftDateTime: [{TagPatterns: StudyID, ShiftBy: 3}]", "StudyID is no date or time"),
    ("ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 3, ReuseMapping: SameStdy}]", "Did you mean 'SameStudy'?"),
    ("ShiftDateTime: [{TagPatterns: '*/{DA}', ShiftBy: 3, ReuseMapping: Never}]", "ReuseMapping cannot be 'Never'"),
    ("RandomizeText: [{TagPatterns: OtherPatientIDsSequence}]", "holds no text"),
    ("RandomizeText: [{TagPatterns: Rows}]", "holds no text"),
    ("RandomizeText: [{TagPatterns: StudyID, Split: true}]", "Split must be the text between"),
    ("RandomizeText: [{TagPatterns: StudyID, Split: ''}]", "Split must be the text between"),
    ("RandomizeText: [{TagPatterns: StudyID, IgnoreCase: 'on'}]", "IgnoreCase must be true or false, not a text"),
    ("RandomizeUID: [{TagPatterns: StudyID}]", "StudyID is no UID"),
    ("RandomizeUID: [{TagPatterns: StudyInstanceUID, Prefix: abc}]", "Prefix must be the beginning of a UID"),
    ("RandomizeUID: [{TagPatterns: StudyInstanceUID, Prefix: '1.02.3'}]", "Prefix must be the beginning of a UID"),
    (f"RandomizeUID: [{{TagPatterns: StudyInstanceUID, Prefix: '1.2.{'3' * 40}'}}]", "would not differ safely"),
    (
        "RandomizeUID: [{TagPatterns: StudyInstanceUID, Prefix: '1.2'}, {TagPatterns: SOPInstanceUID, Prefix: '1.3'}]",
        "two different Prefix values",
    ),
    ("RandomizeUID: [{TagPatterns: StudyInstanceUID, ReuseMapping: Always}]", "'ReuseMapping' is not known here"),
    ("Clean: [PatientName]", "PatientName is no free text"),
    ("Replace: [{TagPatterns: StudyID}]", "Value is missing"),
    ("Replace: [{TagPatterns: StudyID, Value: '{clinc}'}]", "{clinc} is not known. Did you mean 'clinic'?"),
    ("Replace: [{TagPatterns: StudyID, Value: 'a{'}]", "a brace without its other half"),
    ("Replace: [{TagPatterns: StudyID, Value: [1]}]", "Value must be a text, not a list"),
    ("Replace: [{TagPatterns: StudyID, Value: true}]", "Value must be a text, not yes/no"),
    ("Replace: [{TagPatterns: StudyID, Value: 'seventeen letters'}]", "VR SH holds 16 characters at most"),
    ("Replace: [{TagPatterns: '*/{DA}', Value: '2020-01-01'}]", "it is no value of VR DA"),
    ("Replace: [{TagPatterns: StudyInstanceUID, Value: '1.2.3'}]", "names the instance"),
    ("Replace: [{TagPatterns: ReferencedImageSequence, Value: x}]", "is a sequence; name what is inside it"),
    ("AddTags: [{Tag: StudyID, Value: x}]", "VR is missing"),
    ("AddTags: [{Tag: StudyIdd, VR: SH, Value: x}]", "'StudyIdd' is no keyword"),
    ("AddTags: [{Tag: StudyID, VR: LO, Value: x}]", "VR is LO, but the dictionary says SH"),
    ("AddTags: [{Tag: StudyID, VR: SQ, Value: x}]", "VR cannot be 'SQ'"),
    ("AddTags: [{Tag: '00020016', VR: AE, Value: x}]", "Tag cannot be added"),
    ("AddTags: [{Tag: '00100000', VR: UL, Value: '1'}]", "Tag cannot be added"),
    ("AddTags: [{Tag: 'StudyID[0]', VR: SH, Value: x}]", "Tag cannot be added"),
    ("AddTags: [{Tag: 'StudyID.StudyID', VR: SH, Value: x}]", "00200010 is no sequence"),
    ("AddTags: [{Tag: SOPInstanceUID, VR: UI, Value: '1.2.3'}]", "names the instance"),
    ("AddTags: [{Tag: Rows, VR: US, Value: '99999'}]", "too large for VR US"),
    ("AddTags: [{Tag: Rows, VR: US, Value: many}]", "no number of VR US"),
    ("AddTags: [{Tag: '00291001', VR: OB, Value: x}]", "no text can be written into an element of VR OB"),
    ("AddTags: [{Tag: StudyID, VR: SH, Value: x, OverwriteIfExists: 1}]", "must be true or false"),
    ("RemoveBurnedInAnnotations: [{}]", "Type is missing"),
    ("RemoveBurnedInAnnotations: [{Type: Auto}]", "Type cannot be 'Auto'"),
    ("RemoveBurnedInAnnotations: [{Type: Manual}]", "BoxCoordinates are missing"),
    ("RemoveBurnedInAnnotations: [{Type: OCR, BoxCoordinates: [[0, 0, 1, 1]]}]", "belong to Type: Manual"),
    ("RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[0, 0, 1]]}]", "a box has four numbers"),
    ("RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[5, 0, 5, 1]]}]", "a box is empty"),
    ("RemoveBurnedInAnnotations: [{Type: Manual, BoxCoordinates: [[-1, 0, 5, 1]]}]", "an edge of a box must be"),
    ("Transcode: JPEG", "Transcode must be a transfer syntax UID"),
    ("Transcode: 1.2.840.10008.1.1", "Transcode must be a transfer syntax UID"),
    ("Transcode: 1.2.3.4", "Transcode must be a transfer syntax UID"),
]


@pytest.mark.parametrize(("rule", "says"), WRONG_BLOCKS)
def test_a_slip_in_a_transformation_is_an_error_with_its_line(rule, says, rules):
    with pytest.raises(ConfigError, match=re.escape(says)) as wrong:
        rules(block(rule))

    assert wrong.value.line == 4


WRONG_FILES = [
    ("Transformations: [{Keep: [StudyID]}]", "line 1: Scope is missing"),
    ("Transformations: [{Scope: {ExceptLabels: ALL}}]", "Labels is missing"),
    ("Transformations: {}", "Transformations must be a list"),
    ("Labels:\n- {Name: A, DICOMQueryFilter: Modality Exists}", "line 2: the label 'A' is used by no scope"),
    (
        "Labels: [{Name: A, DICOMQueryFilter: Modality Exists}]\nCategories:\n- {Name: C, Labels: A}",
        "line 3: the category 'C' is used by no scope",
    ),
    ("Categories: [{Name: C}]", "Labels is missing"),
    ("Labels: [{Name: A}]\nCategories: [{Name: C, Labels: A}, {Name: C, Labels: A}]", "'C' exists already"),
    ("ScopeToForward: {Categories: C}", "the category 'C' is not defined under Categories."),
    (
        "Categories: [{Name: Case, Labels: ALL}]\nScopeToForward: {Categories: Cas}",
        "line 2: the category 'Cas' is not defined under Categories. Did you mean 'Case'?",
    ),
    ("Labels: [{Name: A}]\nScopeToForward: {Labels: [A], ExceptLabels: A}", "means no instance at all"),
    ("Labels: [{Name: A, DICOMQueryFilter: 5}]", "DICOMQueryFilter must be a text"),
    ("Hold: [{Labels: ALL}]", "Why is missing"),
    ("Destinations: [{Labels: ALL}]", "Name is missing"),
    (
        "Destinations:\n- {Name: a, Labels: ALL}\n- {Name: a, Labels: ALL}",
        "line 3: the destination 'a' stands here twice",
    ),
    ("Keep: 5", "Keep must be a list"),
    ("Keep: [{TagPattern: StudyID}]", "Did you mean 'TagPatterns'?"),
    ("Replace: StudyID", "Replace must be a list"),
    ("Profile: none\nDateShiftDays: {From: 1, To: 2}", "line 2: DateShiftDays belongs to the profile"),
    ("Vocabularies: {a: [1]}", "line 1"),
]


@pytest.mark.parametrize(("text", "says"), WRONG_FILES)
def test_a_slip_elsewhere_is_an_error_with_its_line(text, says, rules):
    with pytest.raises(ConfigError, match=re.escape(says)) as wrong:
        rules(text)

    assert wrong.value.line is not None


# --- what is our own --------------------------------------------------------------------------------------------------


def test_the_readmes_example_can_be_used_and_names_every_key(rules):
    (example,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)

    assert isinstance(outcome_of(make.file(make.ct()), rules(example)), Deidentified)
    entries = (*blocks.KEYS.values(), policy.LOOK_KEYS, devices.DEVICE_KEYS, tuple(policy.Text))
    for word in (*language.KEYS, *blocks.KEYS, *(key for keys in entries for key in keys)):
        assert f"`{word}" in README or f"{word}:" in README or f" {word}`" in README, word


def test_categories_are_their_labels(rules):
    read = rules(
        "Labels:\n- {Name: CT, DICOMQueryFilter: Modality StrEquals CT}\n"
        "- {Name: MR, DICOMQueryFilter: Modality StrEquals MR}\n"
        "Categories: [{Name: Slices, Labels: [CT, MR]}]\nScopeToForward: {Labels: ALL, ExceptCategories: Slices}\n"
    )

    found = [type(outcome_of(make.file(data), read)) for data in (make.ct(), make.mr(), make.sr())]

    assert found == [Excluded, Excluded, Deidentified]


def test_what_is_held_waits_until_a_list_names_the_patient(rules, monkeypatch):
    read = rules(
        "Labels: [{Name: Trial, DICOMQueryFilter: StudyDescription StrEquals *trial*}]\n"
        "Hold:\n- {Labels: Trial, Why: the trial office sends the list}\n"
    )
    body = make.file(make.ct(StudyDescription="A trial of something"))

    held = outcome_of(body, read)
    assert isinstance(held, Held) and held.reason is Reason.NO_IDENTITY_YET and held.patient == ("site", "P000123")
    assert held.detail == "By rule, line 3: the trial office sends the list."
    assert isinstance(outcome_of(make.file(make.ct()), read), Deidentified)
    assert isinstance(outcome_of(body, read, accepted=["no-identity-yet"]), Deidentified)
    monkeypatch.setattr(KeyedPseudonyms, "is_listed", lambda self, domain, number: (domain, number) == held.patient)
    assert isinstance(outcome_of(body, read), Deidentified)


def test_a_destination_gets_what_its_scope_covers_and_others_everything(rules):
    read = rules("Labels: [{Name: CT}]\nDestinations: [{Name: b, Labels: CT}]")

    assert read.destinations_for(frozenset({ALL}), ("a", "b")) == ("a",)
    assert read.destinations_for(frozenset({ALL, "CT"}), ("a", "b")) == ("a", "b")
    with pytest.raises(ConfigError, match=r"'b' is not in the configuration\. Did you mean"):
        read.demand_destinations(("bb",))
    with pytest.raises(ConfigError, match=r"'b' is not in the configuration\.$"):
        read.demand_destinations(())


def test_without_a_profile_nothing_is_claimed_and_everything_else_stays(rules):
    data = make.with_private(make.ct())

    result = passed(data, rules("Profile: none"), accepted=["identifier-left"])

    assert result.PatientAddress == "Lane 7" and result[0x00291001].value == data.PatientName
    assert "PatientIdentityRemoved" not in result and "DeidentificationMethodCodeSequence" not in result
    assert result.DeidentificationMethod.endswith(", no profile")


def test_a_rule_keeps_nothing_from_the_second_look_but_what_it_names(rules):
    data = make.ct(StudyDescription="Invented Ines, knee", SeriesDescription="Invented again")
    kept = outcome_of(make.file(data), rules("Profile: none\nKeep: [StudyDescription, '*/{PN}', 'Patient*']"))

    assert isinstance(kept, Refused) and kept.reason is Reason.IDENTIFIER_LEFT
    assert "(0008,1030)" not in kept.detail


@pytest.mark.parametrize("clinic", ["north", ""])
def test_a_fact_that_is_not_there_is_empty(clinic, rules):
    read = rules("Replace: [{TagPatterns: InstitutionName, Value: '{clinic}'}]")

    done = outcome_of(make.file(make.ct()), read, provenance=Provenance("N", clinic=clinic))

    assert isinstance(done, Deidentified)
    assert done.dataset.get(0x00080080).value.strip() == clinic.encode()


def test_a_calling_ae_title_that_fits_nothing_makes_the_instance_wait(rules):
    read = rules("Replace: [{TagPatterns: InstitutionName, Value: '{calling_ae}'}]")

    refused = outcome_of(make.file(make.ct()), read, provenance=Provenance("N", calling_ae="A\x1b[31m"))

    assert isinstance(refused, Refused) and "control characters" in refused.detail


# --- the schema -------------------------------------------------------------------------------------------------------


def errors(value, wanted, at="$"):
    """What of a value a JSON schema does not allow: the part of the language that ours uses."""
    if "anyOf" in wanted:
        if not any(not list(errors(value, each, at)) for each in wanted["anyOf"]):
            yield f"{at}: none of the choices"
        return
    types = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    names = [wanted["type"]] if isinstance(wanted.get("type"), str) else wanted.get("type", [])
    if names and not any(
        isinstance(value, types[name]) and (type(value) is not bool or name == "boolean") for name in names
    ):
        yield f"{at}: is no {names}"
        return
    if "enum" in wanted and value not in wanted["enum"]:
        yield f"{at}: {value} is none of the words"
    if isinstance(value, str) and (
        len(value) < wanted.get("minLength", 0) or not re.search(wanted.get("pattern", ""), value)
    ):
        yield f"{at}: does not fit"
    if type(value) is int and not wanted.get("minimum", value) <= value <= wanted.get("maximum", value):
        yield f"{at}: out of range"
    if isinstance(value, list):
        if not wanted.get("minItems", 0) <= len(value) <= wanted.get("maxItems", len(value)):
            yield f"{at}: wrong number of items"
        for number, each in enumerate(value):
            yield from errors(each, wanted.get("items", {}), f"{at}[{number}]")
    if isinstance(value, dict):
        yield from (f"{at}: {name} is missing" for name in wanted.get("required", []) if name not in value)
        for name, each in value.items():
            inside = wanted.get("properties", {}).get(name, wanted.get("additionalProperties", {}))
            if inside is False:
                yield f"{at}: {name} is not known"
            elif isinstance(inside, dict):
                yield from errors(each, inside, f"{at}.{name}")


def test_the_schema_is_what_the_program_says():
    assert json.loads((ROOT / "rules" / "schema.json").read_text()) == json.loads(json.dumps(schema()))


@pytest.mark.parametrize(
    "text",
    [
        COMPLETE,
        SHIPPED,
        (ROOT / "rules" / "default.yaml").read_text(),
        "Keep: StudyID",
        "Keep: [{TagPatterns: StudyID}]",
    ],
)
def test_the_schema_allows_what_the_program_reads(text, rules):
    rules(text)

    assert list(errors(yaml.safe_load(text), schema())) == []


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (rule, says)
        for rule, says in WRONG_BLOCKS
        if "not known here" in says or "cannot be '" in says or " a list" in says
    ],
)
def test_the_schema_refuses_unknown_keys_and_words_too(rule, says):
    assert list(errors(yaml.safe_load(block(rule)), schema())), says


def test_the_packaged_rules_and_the_schema_agree_on_options():
    assert load_rules(None).options <= set(schema()["properties"]["Options"]["items"]["enum"])


def test_labels_are_remembered_for_equal_values_and_never_for_others(rules):
    ruled = rules(
        "Labels:\n"
        "- {Name: CT, DICOMQueryFilter: Modality StrEquals CT}\n"
        "- {Name: many, DICOMQueryFilter: NumberOfFrames NbGreater 1 OR ImageComments Exists}\n"
        "- {Name: asked, DICOMQueryFilter: RequestAttributesSequence.RequestedProcedureID StrEquals R1}\n"
        "- {Name: image, DICOMQueryFilter: PixelData Exists}\n"
        "- {Name: implicit, DICOMQueryFilter: TransferSyntaxUID StrEquals 1.2.840.10008.1.2}\n"
        "ScopeToForward: {Labels: [CT, many, asked, image, implicit]}\n"
    )
    asked = [make.code("1", "DCM", "one")]
    asked[0].RequestedProcedureID = "R1"
    made = [
        (make.ct(), make.EXPLICIT, {"CT", "image"}),
        (make.ct(seed=2), make.EXPLICIT, {"CT", "image"}),
        (make.ct(), make.IMPLICIT, {"CT", "image", "implicit"}),
        (make.mr(), make.EXPLICIT, {"image"}),
        (make.ct(NumberOfFrames=2), make.EXPLICIT, {"CT", "image", "many"}),
        (make.ct(ImageComments="x" * 300), make.EXPLICIT, {"CT", "image", "many"}),
        (make.ct(RequestAttributesSequence=asked), make.EXPLICIT, {"CT", "image", "asked"}),
        (make.sr(), make.EXPLICIT, set()),
    ]
    for _ in range(2):
        for data, syntax, expected in made:
            original = part10.read(io.BytesIO(make.file(data, syntax)))
            assert ruled.labels_of(original.dataset, original.meta) == {ALL, *expected}


def test_no_more_labels_are_remembered_than_there_is_room_for(rules, monkeypatch):
    monkeypatch.setattr(scopes, "_MOST_REMEMBERED", 2)
    ruled = rules(
        "Labels:\n- {Name: first, DICOMQueryFilter: InstanceNumber NbEquals 1}\nScopeToForward: {Labels: first}\n"
    )
    for number in (1, 2, 3, 4, 1):
        original = part10.read(io.BytesIO(make.file(make.ct(number=number))))
        assert ruled.labels_of(original.dataset, original.meta) == ({ALL, "first"} if number == 1 else {ALL})
