"""The account of an instance: what went, changed and stayed, in words that hold no value, whoever wrote the value."""

import io
import json

import pytest

from appliance.deid.account import account_of, places_in, study_name
from appliance.deid.instance import deidentify
from appliance.deid.outcome import Deidentified
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.ruleset import load_rules
from appliance.dicom import part10
from appliance.model import Provenance
from tests.make import make, secrets
from tests.make.deidentified import outcome_of, rules_from

PSEUDONYMS = KeyedPseudonyms(b"k" * 32, "st")


def account(data, rules, accepted=()):
    """The account of an instance that leaves under these rules; "" if it is withheld."""
    original = part10.read(io.BytesIO(make.file(data)))
    done = deidentify(
        original,
        rules=rules,
        pseudonyms=PSEUDONYMS,
        provenance=Provenance("CT1"),
        accepted=frozenset(accepted),
        domain="site",
    )
    return account_of(original.dataset, done, rules) if isinstance(done, Deidentified) else ""


def test_it_names_what_was_carried_out_and_what_stayed_by_tag():
    told = json.loads(account(make.ct(), load_rules(None)))

    assert told["profile"] is True and told["dates"] == "MODIFIED"
    assert told["codes"][0] == "113100"
    assert ["(0010,0010)", "new name", "Basic Profile Z"] in told["elements"]
    assert "(0028,0010)" in told["stayed"] and "(0010,0010)" not in told["stayed"]
    assert told["kept"] >= len(told["stayed"])


def test_safe_private_elements_are_told_by_creator_and_others_never(tmp_path):
    data = make.ct()
    safe = data.private_block(0x2001, "Philips Imaging DD 001", create=True)
    safe.add_new(0x03, "FL", 1.5)
    mine = data.private_block(0x0029, "Zwirnlein^Quasimodo", create=True)
    mine.add_new(0x01, "DS", "1")
    rules = rules_from("Options: [RetainSafePrivate]\nKeep: ['00291001']\n", tmp_path)

    told = account(data, rules)

    assert json.loads(told)["private"] == [
        ["(0029,xx01)", "another creator"],
        ["(2001,xx03)", "Philips Imaging DD 001"],
    ]
    assert secrets.found(told.encode(), ["Zwirnlein", "Quasimodo"]) == []


@pytest.mark.parametrize("with_rules", [False, True])
def test_it_holds_nothing_of_an_original_with_a_secret_in_every_place(tmp_path, with_rules):
    planted = secrets.everywhere(make.ct())
    del planted.data.EncapsulatedDocument
    rules = rules_from("Keep: [Rows]\nClean: [StudyDescription]\n", tmp_path) if with_rules else load_rules(None)

    told = account(planted.data, rules)

    assert len(json.loads(told)["elements"]) > 50
    assert secrets.found(told.encode(), planted.words) == []


def test_an_earlier_mark_of_the_dates_is_no_word_of_ours(tmp_path):
    data = make.ct(LongitudinalTemporalInformationModified="MODIFIED")

    told = account(data, rules_from("Profile: none\n", tmp_path), accepted={"identifier-left"})

    assert json.loads(told)["dates"] == ""


def test_of_a_detail_only_tags_and_lines_of_rules_are_told():
    detail = "By rule, line 12: Mr Zwirnlein asked. It stands in (0008,103E)."

    assert places_in(detail) == "line 12, (0008,103E)"


def test_a_study_that_does_not_leave_has_the_name_that_it_would_have(tmp_path):
    rules = load_rules(None)
    data = make.ct(StudyInstanceUID="1.2.3")

    assert study_name("1.2.3", rules, PSEUDONYMS) == PSEUDONYMS.uid("1.2.3")
    kept = rules_from("Options: [RetainUIDs]\n", tmp_path)
    assert study_name("1.2.3", kept, PSEUDONYMS) == "1.2.3" == outcome_of(make.file(data), kept).study
