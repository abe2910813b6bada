"""A rules file is closed: what is not understood is an error with file and line, never ignored."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from appliance.deid import ruleset
from appliance.deid.ruleset import ALL, DEFAULT_OPTIONS, load_rules
from appliance.errors import ConfigError
from appliance.reasons import Reason


@pytest.fixture
def rules_of(tmp_path):
    def read(text):
        (tmp_path / "rules.yaml").write_text(text)
        return load_rules(tmp_path / "rules.yaml")

    return read


def test_the_packaged_default_is_the_file_that_people_read():
    packaged = load_rules(None)

    assert packaged.options == DEFAULT_OPTIONS
    assert len(packaged.quarantine) + len(packaged.pixels.looks) == len(packaged.labels)
    assert {entry.reason for entry in packaged.quarantine} == {Reason.DOCUMENT}
    assert re.fullmatch(r"[0-9a-f]{64}", packaged.digest)


def test_the_packaged_copy_is_no_second_file():
    packaged = files("appliance.deid").joinpath("data", "default.yaml")

    assert packaged.read_text() == (Path(__file__).parents[3] / "rules" / "default.yaml").read_text()


def test_an_empty_file_means_the_default_profile(rules_of):
    rules = rules_of("")

    assert rules.options == DEFAULT_OPTIONS
    assert rules.forward.covers(frozenset({ALL}))


def test_comments_and_order_do_not_change_the_digest_but_meaning_does(rules_of):
    one = rules_of("SopClasses: ['1.2.3']\nProfile: Basic\n")
    two = rules_of("# words\nProfile: Basic\nSopClasses: ['1.2.3']\n")
    three = rules_of("Profile: Basic\nSopClasses: ['1.2.4']\n")

    assert one.digest == two.digest != three.digest


def test_other_packaged_devices_are_other_rules(rules_of, monkeypatch):
    before = rules_of("Profile: Basic\n")
    monkeypatch.setattr(ruleset, "packaged_meaning", lambda: [{"Name": "one more"}])

    assert rules_of("Profile: Basic\n").digest != before.digest


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Profil: Basic", "line 1: 'Profil' is not known here. Did you mean 'Profile'"),
        ("Profile: None", "line 1: Profile cannot be 'None'. Did you mean 'none'"),
        ("Profile: none\nOptions: []", "line 2: Options belongs to the profile"),
        ("Options: RetainUIDs", "line 1: Options must be a list"),
        (
            "Options:\n  - RetainUIDs\n  - RetainUid",
            "line 3: the option 'RetainUid' is not known. Did you mean 'RetainUIDs'",
        ),
        ("Options: [CleanRecognizableVisualFeatures]", "is not carried out by this version"),
        ("Options: [RetainLongitudinalFullDates, RetainLongitudinalModifiedDates]", "Choose one"),
        ("Options: [5]", "an option must be a text"),
        ("DateShiftDays: {From: 1}", "needs From and To"),
        ("DateShiftDays: {From: 1, To: x}", "whole number of days"),
        ("DateShiftDays: {From: 0, To: 0}", "leaves every date as it was"),
        ("DateShiftDays: {From: 1, Til: 2}", "'Til' is not known here"),
        ("SopClasses: [CT]", "digits and dots"),
        ("Labels: [{DICOMQueryFilter: Modality Exists}]", "line 1: Name is missing"),
        ("Labels:\n- {Name: ALL, DICOMQueryFilter: Modality Exists}", "line 2: the label 'ALL' exists already"),
        ("Labels: [{Name: A, DICOMQueryFilter: Modality Frobs CT}]", "line 1: DICOMQueryFilter"),
        ("ScopeToForward: {}", "Labels is missing"),
        ("ScopeToForward: {Labels: Nobody}", "the label 'Nobody' is not defined"),
        ("ScopeToForward: {Labels: ALL, NoLabels: ALL}", "'NoLabels' is not known here"),
        ("ScopeToForward: {Labels: ALL, NotLabels: ALL}", "means no instance at all"),
        ("ScopeToForward: {Labels: ALL, ExceptLabels: [], NotLabels: []}", "mean the same. Keep one"),
        ("Quarantine: [{Labels: ALL}]", "Why is missing"),
        ("Quarantine: [{Labels: ALL, Why: x, Reason: unexpected}]", "the reason 'unexpected' is not known here"),
        ("- 1", "a mapping"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(rules_of, text, says):
    with pytest.raises(ConfigError) as wrong:
        rules_of(text)

    assert says in str(wrong.value)
    assert "rules.yaml line" in str(wrong.value)


def test_missing_and_unreadable_files_are_said(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_rules(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"Profile: B\xe4sic")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_rules(tmp_path / "latin.yaml")


def test_every_destination_is_meant_until_rules_say_less(rules_of):
    assert rules_of("").destinations_for(frozenset({ALL}), ("a", "b")) == ("a", "b")
