"""What a lost journal forgot is told by the reports: nothing that was delivered goes out under another name."""

import pytest

from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.recovery import recover_inside
from appliance.spool.reports import Reports
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured
from tests.peers.working import running, states, work_off


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path, "deidentify: {workers: 1}\n")


@pytest.fixture
def spool(site):
    spool = Spool(site.state / "inside", reserve_bytes=0)
    yield spool
    spool.close()


def rows_outside(site):
    """How many rows the outbox has, in whatever state."""
    outbox = Outbox(site.state / "outside")
    with outbox.rows.database.reading() as connection:
        (count,) = connection.execute("SELECT count(*) FROM instance").fetchone()
    outbox.close()
    return count


def test_what_was_released_and_passed_goes_by_the_same_name_after_the_journal_was_lost(site, spool):
    spool_id = arrive(spool, make.ct(), announced="1.2.3.99")
    with running(site) as service:
        work_off(service)
        assert states(spool) == {State.QUARANTINED: 1}
        spool.release(spool_id, accept=Reason.UID_MISMATCH, by="test")
        work_off(service)
        before = spool.trace(spool_id)[0].instance

    spool.journal.database.set_aside()
    with running(site) as service:
        work_off(service)

    after = spool.trace(spool_id)[0].instance
    assert (after.state, after.round, after.out, after.accepted) == (State.PASSED, 2, before.out, before.accepted)
    assert rows_outside(site) == 1
    assert "lost-journal" in [move.event for move in spool.trace(spool_id)[0].history]


def test_what_was_quarantined_in_a_later_round_is_released_into_the_one_after(site, spool):
    spool_id = arrive(spool, make.ct(), announced="1.2.3.99")
    with running(site) as service:
        work_off(service)
        spool.release(spool_id, by="test")
        work_off(service)

    spool.journal.database.set_aside()
    with running(site) as service:
        work_off(service)
        assert (spool.trace(spool_id)[0].instance.state, spool.trace(spool_id)[0].instance.round) == ("QUARANTINED", 2)
        spool.release(spool_id, accept=Reason.UID_MISMATCH, by="test")
        work_off(service)

    after = spool.trace(spool_id)[0].instance
    assert (after.state, after.round) == (State.PASSED, 3)


def test_what_lies_in_quarantine_has_no_row_before_its_round_is_known_whenever_it_is_cut_off(site, spool, monkeypatch):
    spool_id = arrive(spool, make.ct(), announced="1.2.3.99")
    with running(site) as service:
        work_off(service)
        spool.release(spool_id, by="test")
        work_off(service)
    spool.journal.database.set_aside()
    outbox, reports = Outbox(site.state / "outside"), Reports(spool.layout.reports)

    def cut_off(_connection, found, _at):
        if list(found):
            raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("appliance.spool.rounds.write", cut_off)
        recover_inside(spool, outbox, reports.last).finish()
    assert spool.journal.instance(spool_id) is None
    recover_inside(spool, outbox, reports.last).finish()
    outbox.close()
    reports.close()

    assert spool.journal.instance(spool_id).round == 2


def test_the_second_of_two_equal_arrivals_does_not_become_the_first_because_its_row_was_made_first(
    site, spool, monkeypatch
):
    first, second = arrive(spool, make.ct()), arrive(spool, make.ct())
    with running(site) as service:
        work_off(service)

    spool.journal.database.set_aside()
    monkeypatch.setattr("appliance.services.rounds.AGAIN_S", 0.2)
    monkeypatch.setattr("appliance.spool.recovery.PAGE", 1)
    with running(site) as service:
        work_off(service)
        while spool.trace(second)[0].instance.state is State.RECEIVED:
            work_off(service)

    assert spool.trace(first)[0].instance.state is State.PASSED
    assert spool.trace(second)[0].instance.reason == Reason.DUPLICATE.value
    assert rows_outside(site) == 1


def test_the_second_of_two_equal_arrivals_passes_if_the_first_went_with_the_journal(site, spool, monkeypatch):
    first, second = arrive(spool, make.ct()), arrive(spool, make.ct())
    with running(site) as service:
        work_off(service)

    spool.journal.database.set_aside()
    spool.layout.original(first).unlink()
    monkeypatch.setattr("appliance.services.rounds.AGAIN_S", 0.2)
    with running(site) as service:
        work_off(service)
        while spool.trace(second)[0].instance.state is State.RECEIVED:
            work_off(service)

    assert spool.trace(second)[0].instance.state is State.PASSED


def test_a_lost_journal_beside_lost_reports_is_made_again_all_the_same(site, spool):
    spool_id = arrive(spool, make.ct(), announced="1.2.3.99")
    passes = arrive(spool, make.ct(patient_id="P-1"))
    with running(site) as service:
        work_off(service)

    spool.journal.database.set_aside()
    spool.layout.reports.write_bytes(b"no database" * 1000)
    with running(site) as service:
        work_off(service)

    assert spool.trace(spool_id)[0].instance.state is State.QUARANTINED
    assert spool.trace(passes)[0].instance.state is State.PASSED
    assert rows_outside(site) == 1


def test_only_the_report_of_the_last_round_counts(tmp_path, site, spool):
    spool_id = arrive(spool, make.ct(), announced="1.2.3.99")
    with running(site) as service:
        work_off(service)
        spool.release(spool_id, accept=Reason.UID_MISMATCH, by="test")
        work_off(service)

    reports = Reports(spool.layout.reports)
    told = reports.last([spool_id, "another"])
    reports.close()

    assert {each: (entry.round, entry.reason) for each, entry in told.items()} == {spool_id: (2, "")}
