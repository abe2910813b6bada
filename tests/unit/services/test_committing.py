"""What peers are told of their instances, when, and what becomes of reports that nobody takes."""

import sqlite3
import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from appliance.commitment import Commitment
from appliance.config import Peer
from appliance.dicom.commitment import Asked, Reference
from appliance.intake.commitment_report import NotTaken
from appliance.intake.statuses import Status
from appliance.lifecycle import State
from appliance.model import Arrival, Provenance, spool_id
from appliance.reasons import Reason
from appliance.services import committing
from appliance.services.alone import Lock
from appliance.services.committing import Committing, key_of
from appliance.spool.commitments import Commitments
from appliance.spool.database import DatabaseDamaged
from appliance.spool.inside import Passed, Spool
from tests.peers.patience import PATIENCE_S, until

CT = "1.2.840.10008.5.1.4.1.1.2"
NOW = datetime(2026, 11, 20, 18, 0, tzinfo=UTC).timestamp()
HOUR_S = 3600.0


class Peering:
    """A spool, the commitments over it, a clock that stands, and a peer that answers what it is told to."""

    def __init__(self, folder, promise="in-custody", **granted):
        self.now = NOW
        self.rowed = float("inf")
        self.repaired = True
        self.answers = []  # of each report in turn: a status, or why none came; then Success
        self.told = []  # (calling AE title, kind, committed, failed)
        self.troubles = []
        self.spool = Spool(folder / "inside", reserve_bytes=0)
        self.peer = Peer("CT1", commitment=Commitment(promise, 104, "10.1.2.3", **granted))
        self.came = Provenance("CT1", "main", "CT1", "EDGE", "10.1.2.3")
        self.committing = self.begun([self.peer])
        self._numbers = 0

    def begun(self, peers, send=None):
        return Committing(
            self.spool,
            peers,
            "EDGE",
            rowed_until=lambda: datetime.fromtimestamp(min(self.rowed, 4e9), UTC),
            is_repaired=lambda: self.repaired,
            clock=lambda: self.now,
            chance=lambda: 0.0,
            failed=lambda peer, why: self.troubles.append((peer.ae_title, why)),
            send=send or self._send,
        )

    def _send(self, to, calling, events):
        for event in events:
            answer = self.answers.pop(0) if self.answers else 0
            if isinstance(answer, str):
                raise NotTaken(answer)
            if answer == 0:
                self.told.append((calling, event.kind, *(_named(event, tag) for tag in (0x00081199, 0x00081198))))
            yield answer

    def receive(self, uid, *, sop_class=CT):
        self._numbers += 1
        moment = datetime.fromtimestamp(self.now, UTC)
        id = spool_id(moment, "CT1", f"abcd{self._numbers:04d}")
        self.spool.layout.original(id).write_bytes(b"an original")
        self.spool.arrived([Arrival(id, moment, self.came, sop_class, uid, "1.2.840.10008.1.2.1", 11)])
        return self.spool.journal.instance(id)

    def ask(self, *uids, transaction="9.1", sop_class=CT):
        asked = Asked(transaction, tuple(Reference(sop_class, uid) for uid in uids))
        return self.committing.ask(self.peer, self.came, asked)

    def step(self, after_s=0.0):
        self.now += after_s
        return self.committing.step(key_of(self.peer), self.peer)

    def counts(self):
        return {state: n for (_, state), n in self.committing.counts().items()}


def _named(event, tag):
    element = event.information.get(tag)
    return [] if element is None else [item.get(0x00081155).value.decode() for item in element.items]


@pytest.fixture
def peering(tmp_path):
    made = Peering(tmp_path)
    yield made
    made.committing.stop(0)
    made.spool.close()


@pytest.fixture
def delivering(tmp_path):
    made = Peering(tmp_path, "delivered", deliver_hours=2, report_hours=1)
    yield made
    made.committing.stop(0)
    made.spool.close()


def test_what_is_here_is_reported_at_once_and_only_once(peering):
    peering.receive("1.2.1")
    assert peering.ask("1.2.1") is Status.COMMITMENT_ASKED

    assert peering.step()
    assert peering.step(after_s=HOUR_S)

    assert peering.told == [("EDGE", 1, ["1.2.1"], [])]
    assert peering.counts() == {"REPORTED": 1}


def test_what_has_no_row_yet_is_waited_for(peering):
    peering.ask("1.2.1")
    peering.step()
    assert peering.told == []

    peering.receive("1.2.1")
    peering.step(after_s=1)

    assert peering.told == [("EDGE", 1, ["1.2.1"], [])]


@pytest.mark.parametrize("unsure", ["its files have no rows yet", "its files of before a death have none"])
def test_nothing_is_called_unknown_while_a_file_may_be_without_its_row(peering, unsure):
    peering.rowed, peering.repaired = (NOW - 1, True) if "yet" in unsure else (4e9, False)
    peering.ask("1.2.1")
    for _ in range(5):
        peering.step(after_s=60)
    assert peering.told == []

    peering.rowed, peering.repaired = 4e9, True
    peering.step(after_s=60)

    assert peering.told == [("EDGE", 2, [], ["1.2.1"])]


def test_a_report_says_what_is_so_when_it_is_sent_and_not_when_it_was_asked(peering):
    instance = peering.receive("1.2.1")
    peering.answers = ["nobody is there"]
    peering.ask("1.2.1")
    assert not peering.step()

    peering.spool.quarantine(instance, Reason.MALFORMED, "")
    peering.spool.discard(instance.id)
    peering.step(after_s=HOUR_S)

    assert peering.told == [("EDGE", 2, [], ["1.2.1"])]


def test_delivered_waits_for_the_outside_and_says_yes_then(delivering):
    instance = delivering.receive("1.2.1")
    delivering.ask("1.2.1")
    delivering.step()
    delivering.spool.passed([Passed(instance, "o1", "2.25.1", "2.25.2", "d", "r")])
    delivering.step(after_s=60)
    assert delivering.told == []

    delivering.spool.delivered(["o1"], delivering.now)
    delivering.step(after_s=60)

    assert delivering.told == [("EDGE", 1, ["1.2.1"], [])]


def test_what_is_not_delivered_in_time_is_reported_as_failed(delivering):
    delivering.receive("1.2.1")
    delivering.ask("1.2.1")
    delivering.step(after_s=2 * HOUR_S)
    assert delivering.told == []

    delivering.step(after_s=61)

    assert delivering.told == [("EDGE", 2, [], ["1.2.1"])]


def test_waiting_for_a_delivery_costs_ever_fewer_looks(delivering, monkeypatch):
    looks = []
    monkeypatch.setattr(Spool, "standings", lambda _self, uids: looks.append(uids) or {})
    delivering.repaired = False
    delivering.ask("1.2.1")

    for _ in range(600):
        delivering.step(after_s=1)

    assert len(looks) < 80


def test_one_instance_that_waits_holds_back_its_own_report_alone(delivering):
    delivering.receive("1.2.1")
    delivering.ask("1.2.1")
    instance = delivering.receive("1.2.2")
    delivering.spool.passed([Passed(instance, "o1", "2.25.1", "2.25.2", "d", "r")])
    delivering.spool.delivered(["o1"], delivering.now)
    delivering.ask("1.2.2", transaction="9.2")

    delivering.step()

    assert delivering.told == [("EDGE", 1, ["1.2.2"], [])]


def test_a_report_that_is_not_taken_is_due_again_and_told_to_whoever_watches(peering):
    peering.receive("1.2.1")
    peering.answers = ["the peer could not be reached"]
    peering.ask("1.2.1")

    assert not peering.step()
    assert peering.counts() == {"OPEN": 1}
    assert peering.troubles == [("CT1", "This happened: the peer could not be reached.")]
    assert peering.step(after_s=1)

    assert peering.counts() == {"REPORTED": 1}


def test_of_two_reports_the_one_that_was_taken_is_not_repeated(peering):
    peering.receive("1.2.1")
    peering.ask("1.2.1")
    peering.ask("1.2.1", transaction="9.2")
    peering.answers = [0, "the peer did not answer"]

    assert not peering.step()

    assert peering.counts() == {"OPEN": 1, "REPORTED": 1}


def test_a_refused_report_does_not_hold_up_the_others_and_comes_again_later(peering):
    peering.receive("1.2.1")
    peering.ask("1.2.1")
    peering.ask("1.2.1", transaction="9.2")
    peering.answers = [0x0110]

    assert peering.step()
    assert peering.counts() == {"OPEN": 1, "REPORTED": 1}
    peering.step()
    assert peering.counts() == {"OPEN": 1, "REPORTED": 1}, "not at once"
    peering.step(after_s=committing.SHORTEST_PAUSE_S)

    assert peering.counts() == {"REPORTED": 2}


def test_a_report_is_given_up_after_its_time_and_not_before(delivering):
    instance = delivering.receive("1.2.1")
    delivering.ask("1.2.1")
    delivering.spool.passed([Passed(instance, "o1", "2.25.1", "2.25.2", "d", "r")])
    delivering.step(after_s=HOUR_S)  # its hours begin once there is something to tell
    delivering.spool.delivered(["o1"], delivering.now)
    delivering.answers = ["nobody is there"] * 10
    delivering.step(after_s=60)

    delivering.step(after_s=HOUR_S)
    assert delivering.counts() == {"OPEN": 1}
    delivering.step(after_s=1)

    assert delivering.counts() == {"GIVEN_UP": 1}
    delivering.answers = []
    assert delivering.ask("1.2.1") is Status.COMMITMENT_ASKED
    delivering.step()
    assert delivering.counts() == {"REPORTED": 1}, "asked again, it is reported"


def test_a_peer_that_is_promised_nothing_any_more_waits_for_nothing(peering):
    peering.answers = ["nobody is there"]
    peering.receive("1.2.1")
    peering.ask("1.2.1")
    peering.step()

    later = peering.begun([])
    later.tidy()

    assert later.counts() == {("CT1", "GIVEN_UP"): 1}
    later.stop(0)


def test_of_two_receiving_processes_one_reports(tmp_path, peering):
    held = Lock(peering.spool.layout.root / "commitments.lock")
    assert held.take()

    assert not peering.committing._mine()
    held.release()
    assert peering.committing._mine()


def test_a_damaged_database_is_begun_anew_and_the_peer_is_told_nothing_wrong(peering):
    peering.receive("1.2.1")
    peering.ask("1.2.1")
    peering.committing._commitments.close()
    path = peering.spool.layout.commitments
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"no database at all" * 1000)

    assert peering.step()
    assert peering.told == []
    peering.ask("1.2.1")
    peering.step()

    assert peering.told == [("EDGE", 1, ["1.2.1"], [])]


def test_a_damaged_database_ends_neither_counting_nor_tidying(peering, monkeypatch):
    def damaged(*_args, **_how):
        raise DatabaseDamaged("commitments.db is damaged")

    monkeypatch.setattr(Commitments, "counts", damaged)
    monkeypatch.setattr(Commitments, "forget", damaged)

    assert peering.committing.counts() == {}
    peering.committing.tidy()


def test_a_clock_that_was_set_back_does_not_bury_a_request(peering):
    peering.ask("1.2.1")

    peering.step(after_s=-86_400)

    assert peering.told == [("EDGE", 2, [], ["1.2.1"])]


def test_many_requests_are_reported_in_one_go(peering):
    peering.receive("1.2.1")
    for number in range(committing.AT_ONCE + 5):
        peering.ask("1.2.1", transaction=f"9.{number}")

    peering.committing.start()

    assert until(lambda: len(peering.told) == committing.AT_ONCE + 5)


def test_a_step_that_fails_is_repeated(peering, monkeypatch):
    looks = iter([OSError("the disk"), RuntimeError("unexpected")])
    standings = Spool.standings

    def failing(spool, uids):
        trouble = next(looks, None)
        if trouble is not None:
            raise trouble
        return standings(spool, uids)

    monkeypatch.setattr(Spool, "standings", failing)
    monkeypatch.setattr(committing, "SHORTEST_PAUSE_S", 0.01)
    peering.receive("1.2.1")
    peering.committing.start()

    peering.ask("1.2.1")

    assert until(lambda: peering.counts() == {"REPORTED": 1})


def test_a_peer_that_does_not_answer_holds_up_no_other(tmp_path, peering):
    quick = Peer("MR1", commitment=Commitment("in-custody", 104, "10.1.2.4"))
    hung, told = threading.Event(), []

    def send(to, _calling, events):
        if to.host == "10.1.2.3":
            hung.wait(PATIENCE_S)
            raise NotTaken("the peer did not answer")
        for event in events:
            told.append(event.kind)
            yield 0

    both = peering.begun([peering.peer, quick], send)
    peering.receive("1.2.1")
    both.start()
    try:
        for peer in (peering.peer, quick):
            both.ask(peer, peering.came, Asked("9.1", (Reference(CT, "1.2.1"),)))

        assert until(lambda: both.counts() == {("CT1", "OPEN"): 1, ("CT1", "REPORTED"): 1})
        assert told == [1]
    finally:
        hung.set()
        both.stop(PATIENCE_S)


def test_a_database_that_takes_nothing_is_a_failure_that_the_peer_is_told(peering, monkeypatch):
    def locked(*_):
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(Commitments, "_ask", locked)

    assert peering.ask("1.2.1") is Status.COMMITMENT_FAILED


def test_each_refusal_of_a_request_has_its_status(peering, monkeypatch):
    peering.ask("1.2.1")

    assert peering.ask("1.2.2") is Status.COMMITMENT_IN_USE
    monkeypatch.setattr("appliance.spool.commitments.MOST_OPEN", 1)
    assert peering.ask("1.2.2", transaction="9.2") is Status.COMMITMENT_NO_RESOURCES


def test_a_peer_that_calls_us_by_no_proper_title_is_called_back_by_ours(peering):
    peering.receive("1.2.1")
    peering.came = replace(peering.came, called_ae="")

    peering.ask("1.2.1")
    peering.step()

    assert peering.told == [("EDGE", 1, ["1.2.1"], [])]
    assert State.RECEIVED in {count.state for count in peering.spool.counts()}
