"""What is promised of an instance: never what a later look would take back, and No in every doubt."""

import pytest

from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.standing import Standing, Verdict, verdict

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def row(state, outside="", reason="", *, id="a", sop_class=CT):
    return Standing(id, sop_class, State(state), outside, reason)


def said(promise, *rows, has_original=True):
    return verdict(promise, CT, rows, lambda _id: has_original)


WAITS, COMMITTED, FAILED = Verdict.WAITS, Verdict.COMMITTED, Verdict.FAILED


@pytest.mark.parametrize(
    ("standing", "in_custody", "delivered"),
    [
        (row("RECEIVED"), COMMITTED, WAITS),
        (row("RECEIVED", "FORWARDED"), COMMITTED, WAITS),  # a new round of what was delivered
        (row("HELD", reason="no-identity"), COMMITTED, WAITS),
        (row("QUARANTINED", reason="malformed"), COMMITTED, FAILED),
        (row("QUARANTINED", reason=Reason.ORIGINAL_MISSING.value), FAILED, FAILED),
        (row("PASSED"), COMMITTED, WAITS),
        (row("PASSED", "REJECTED"), COMMITTED, FAILED),
        (row("PASSED", "FORWARDED"), COMMITTED, COMMITTED),
        (row("DISCARDED", reason="excluded-by-rule"), FAILED, FAILED),
        (row("DISCARDED", "REJECTED", "by-operator"), FAILED, FAILED),
        (row("DISCARDED", reason="duplicate"), FAILED, FAILED),  # of one whose row is gone
    ],
)
def test_each_state_has_its_answer(standing, in_custody, delivered):
    assert said("in-custody", standing) is in_custody
    assert said("delivered", standing) is delivered


@pytest.mark.parametrize("promise", ["in-custody", "delivered"])
def test_what_is_not_here_is_unknown_and_another_class_is_a_conflict(promise):
    assert verdict(promise, CT, [], lambda _id: True) is Verdict.UNKNOWN
    assert verdict(promise, CT, [row("PASSED", "FORWARDED", sop_class=MR)], lambda _id: True) is Verdict.OTHER_CLASS


def test_custody_of_a_row_whose_file_is_gone_is_not_claimed_unless_it_was_delivered():
    assert said("in-custody", row("RECEIVED"), has_original=False) is FAILED
    assert said("in-custody", row("PASSED", "FORWARDED"), has_original=False) is COMMITTED


@pytest.mark.parametrize("promise", ["in-custody", "delivered"])
def test_the_latest_version_decides_and_a_duplicate_stands_for_its_first(promise):
    delivered, again = row("PASSED", "FORWARDED"), row("DISCARDED", reason="duplicate", id="b")
    excluded = row("DISCARDED", reason="excluded-by-rule", id="b")

    assert said(promise, delivered, again) is COMMITTED
    assert said(promise, delivered, excluded) is FAILED
    assert said(promise, excluded, again) is FAILED
