"""Requests for commitment outlive whoever took them, once and as they were asked."""

import sqlite3

import pytest

from appliance.dicom.commitment import Asked, Reference
from appliance.errors import SpoolFull
from appliance.spool import commitments
from appliance.spool.commitments import Commitments, CommitmentState, InUse, NotKept, TooMany
from appliance.spool.database import Database

ONE = Asked("9.1", (Reference("1.2", "1.2.1"), Reference("1.2", "1.2.2")))
OTHER = Asked("9.1", (Reference("1.2", "1.2.3"),))


@pytest.fixture
def kept(tmp_path):
    opened = Commitments(tmp_path / "commitments.db")
    yield opened
    opened.close()


def ask(kept, asked=ONE, *, peer="CT1", at=100.0):
    kept.ask(peer, peer, "EDGE", asked, at)


def test_what_was_asked_is_there_after_a_start_anew(tmp_path, kept):
    ask(kept)

    (found,) = Commitments(tmp_path / "commitments.db").due("CT1", 100.0, 10)

    assert (found.asked, found.called_ae, found.asked_at, found.attempts) == (ONE, "EDGE", 100.0, 0)


def test_a_transaction_is_a_peers_own_and_not_to_be_used_for_others(kept):
    ask(kept)
    ask(kept, OTHER, peer="CT2")

    with pytest.raises(InUse):
        ask(kept, OTHER)

    assert [each.asked for each in kept.due("CT1", 100.0, 10)] == [ONE]


def test_what_is_reported_is_due_no_more_until_it_is_asked_again(kept):
    ask(kept)
    (request,) = kept.due("CT1", 100.0, 10)
    kept.begun([request], 101.0)

    kept.ended(request, CommitmentState.REPORTED, 102.0)
    assert kept.due("CT1", 200.0, 10) == []
    ask(kept, at=150.0)

    (again,) = kept.due("CT1", 200.0, 10)
    assert (again.attempts, again.settled) == (0, 0.0)


def test_a_report_of_before_does_not_settle_what_was_asked_again_meanwhile(kept):
    ask(kept)
    (request,) = kept.due("CT1", 100.0, 10)
    ask(kept, at=150.0)

    kept.ended(request, CommitmentState.REPORTED, 151.0)

    assert kept.counts() == {("CT1", CommitmentState.OPEN): 1}


def test_the_first_attempt_settles_and_later_ones_leave_its_moment(kept):
    ask(kept)
    for now in (110.0, 120.0):
        kept.begun(kept.due("CT1", 200.0, 10), now)

    (request,) = kept.due("CT1", 200.0, 10)
    assert (request.settled, request.attempts) == (110.0, 2)


def test_what_is_put_off_is_due_later_and_the_longest_due_comes_first(kept):
    for number in range(3):
        ask(kept, Asked(f"9.{number}", ONE.references), at=100.0 + number)
    first = kept.due("CT1", 200.0, 1)

    kept.look_again((each, 150.0) for each in first)

    assert [each.asked.transaction for each in kept.due("CT1", 149.0, 10)] == ["9.1", "9.2"]
    assert [each.asked.transaction for each in kept.due("CT1", 150.0, 10)] == ["9.1", "9.2", "9.0"]


def test_what_a_wrong_clock_put_off_for_a_day_is_due(kept):
    ask(kept, at=100.0 + 86_400)

    assert len(kept.due("CT1", 100.0, 10)) == 1


def test_no_more_are_looked_at_together_than_memory_is_meant_for(kept, monkeypatch):
    monkeypatch.setattr(commitments, "MOST_INSTANCES", 3)
    for number in range(4):
        ask(kept, Asked(f"9.{number}", ONE.references))

    assert len(kept.due("CT1", 100.0, 10)) == 2


def test_a_peer_with_too_many_open_requests_is_told_and_others_are_not(kept, monkeypatch):
    monkeypatch.setattr(commitments, "MOST_OPEN", 1)
    ask(kept)

    with pytest.raises(TooMany):
        ask(kept, Asked("9.2", ONE.references))

    ask(kept, peer="CT2")
    ask(kept)  # again: no new one


def test_open_requests_of_peers_that_are_promised_nothing_any_more_are_given_up(kept):
    ask(kept)
    ask(kept, peer="CT2")

    assert kept.give_up_others(["CT2"], 200.0) == 1

    assert kept.counts() == {("CT1", CommitmentState.GIVEN_UP): 1, ("CT2", CommitmentState.OPEN): 1}


def test_only_what_ended_long_ago_is_forgotten(kept):
    ask(kept)
    ask(kept, peer="CT2")
    kept.ended(kept.due("CT1", 100.0, 1)[0], CommitmentState.REPORTED, 200.0)

    assert (kept.forget(200.0), kept.forget(201.0)) == (0, 1)

    assert kept.counts() == {("CT2", CommitmentState.OPEN): 1}


def test_a_full_disk_and_a_damaged_file_keep_nothing_and_say_so(tmp_path, kept, monkeypatch):
    def full(_self, _connection):
        raise SpoolFull("no space")

    with monkeypatch.context() as patched:
        patched.setattr(Database, "commit", full)
        with pytest.raises(SpoolFull):
            ask(kept)
    kept.close()
    (tmp_path / "commitments.db").write_bytes(b"no database at all" * 1000)
    assert kept.due("CT1", 100.0, 10) == [], "it was set aside when it was opened, and begun anew"
    assert kept.was_set_aside is not None
    monkeypatch.setattr(Commitments, "_ask", _locked)
    with pytest.raises(NotKept):
        ask(kept)


def _locked(*_):
    raise sqlite3.OperationalError("database is locked")
