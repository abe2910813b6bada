"""The de-identify service with real workers, real databases and real files; only the clock and the deaths are made."""

import errno
import os
import time

import pytest

from appliance.errors import ConfigError
from appliance.lifecycle import Event, State
from appliance.mapping.store import MappingStore
from appliance.model import Provenance
from appliance.reasons import Reason
from appliance.services.deidentify import Deidentify
from appliance.services.pool import Died, Finished
from appliance.services.worker import Job, Postponed, work
from appliance.spool.database import DatabaseDamaged
from appliance.spool.files import SpoolFull
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured
from tests.peers.patience import PATIENCE_S
from tests.peers.working import Told, running, states, work_off


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path, "deidentify: {workers: 1}\n")


@pytest.fixture
def spool(site):
    spool = Spool(site.state / "inside", reserve_bytes=0)
    yield spool
    spool.close()


def reason_of(spool, spool_id):
    return spool.trace(spool_id)[0].instance.reason


def test_an_original_is_passed_on_with_its_mapping_and_a_file_in_ready(site, spool):
    arrive(spool, make.ct(patient_id="P-4711"))

    with running(site) as service:
        work_off(service)

    assert states(spool) == {State.PASSED: 1}
    assert len(list((site.state / "outside" / "ready").rglob("*.dcm"))) == 1
    with MappingStore(site.state / "mapping" / "mapping.db", bytes.fromhex("5e" * 32)) as mapping:
        assert mapping.pseudonym_of("patient", "site", "P-4711") is not None


def test_the_second_of_the_same_bytes_is_discarded_and_a_new_version_is_not(site, spool):
    first = make.ct(SOPInstanceUID="1.2.3.4")
    changed = make.ct(SOPInstanceUID="1.2.3.4", SeriesNumber=7)
    ids = [arrive(spool, data) for data in (first, first, changed)]

    with running(site) as service:
        work_off(service)

    assert states(spool) == {State.PASSED: 2, State.DISCARDED: 1}
    assert reason_of(spool, ids[1]) == Reason.DUPLICATE.value
    assert spool.trace(ids[1])[0].instance.detail == f"Of {ids[0]}."


def test_what_an_operator_replays_is_no_duplicate_of_itself_or_others(site, spool):
    data = make.ct(SOPInstanceUID="1.2.3.4")
    first, second = arrive(spool, data), arrive(spool, data)
    with running(site) as service:
        work_off(service)

        spool.release(second, by="test")
        work_off(service)

    assert first != second
    assert spool.trace(second)[0].instance.state is State.PASSED


def test_the_same_bytes_sent_again_after_the_original_was_lost_are_no_duplicate(site, spool):
    data = make.ct(SOPInstanceUID="1.2.3.4")
    first = arrive(spool, data)
    with running(site) as service:
        work_off(service)
        spool.delivered([spool.trace(first)[0].instance.out], time.time())
        spool.original(first).unlink()
        spool.replay(first)
        work_off(service)
        assert reason_of(spool, first) == Reason.ORIGINAL_MISSING.value

        second = arrive(spool, data)  # as that reason advises
        work_off(service)

    assert spool.trace(second)[0].instance.state is State.PASSED


def test_the_same_bytes_sent_again_while_the_quarantined_file_was_removed_by_hand_are_no_duplicate(tmp_path):
    data = make.ct(SOPInstanceUID="1.2.3.4", Manufacturer="Made for P000123")
    site = configured(tmp_path, "deidentify: {workers: 1}\n")
    spool = Spool(site.state / "inside", reserve_bytes=0)
    first = arrive(spool, data)
    with running(site) as service:
        work_off(service)
        spool.original(first).unlink()
        second = arrive(spool, data)
        spool.journal.again(
            spool.journal.instance(first), Event.RELEASED, accept=Reason.IDENTIFIER_LEFT.value, by="", at=time.time()
        )
        work_off(service)
        spool.release(second, accept=Reason.IDENTIFIER_LEFT)
        work_off(service)

    assert reason_of(spool, first) == Reason.ORIGINAL_MISSING.value
    assert spool.trace(second)[0].instance.state is State.PASSED
    spool.close()


def test_the_same_bytes_sent_again_go_to_a_destination_that_was_added_since(tmp_path):
    more, data = "deidentify: {workers: 1}\n", make.ct(SOPInstanceUID="1.2.3.4")
    site = configured(tmp_path, more)
    spool = Spool(site.state / "inside", reserve_bytes=0)
    ids = [arrive(spool, data)]
    with running(site) as service:
        work_off(service)
        service._outbox.stored(service._outbox.claim("research", 9, 10**9, time.time(), set()), "research", time.time())
        ids.append(arrive(spool, data))
        work_off(service)
    site = configured(tmp_path, more, destinations="[{name: research, folder: ./out}, {name: teaching, folder: ./two}]")
    ids.append(arrive(spool, data))
    with running(site) as service:
        work_off(service)

    found = [spool.trace(each)[0].instance.state for each in ids]
    assert found == [State.PASSED, State.DISCARDED, State.PASSED]
    spool.close()


def test_two_uids_that_the_sender_announced_differently_are_quarantined(site, spool):
    spool_id = arrive(spool, make.ct(SOPInstanceUID="1.2.3.4"), announced="1.2.3.5")

    with running(site) as service:
        work_off(service)

    assert reason_of(spool, spool_id) == Reason.UID_MISMATCH.value
    assert "(0008,0018)" in spool.trace(spool_id)[0].instance.detail


def test_an_instance_of_a_project_that_is_gone_is_quarantined(site, spool):
    spool_id = arrive(spool, make.ct(), provenance=Provenance("unlisted", project="trial-9"))

    with running(site) as service:
        work_off(service)

    assert reason_of(spool, spool_id) == Reason.PROJECT_REMOVED.value


def test_an_original_whose_file_is_gone_is_quarantined_and_its_neighbour_passes(site, spool):
    lost, kept = arrive(spool, make.ct(SOPInstanceUID="1.2.3.4")), arrive(spool, make.ct(SOPInstanceUID="1.2.3.5"))
    spool.original(lost).unlink()

    with running(site) as service:
        work_off(service)

    assert reason_of(spool, lost) == Reason.ORIGINAL_MISSING.value
    assert spool.trace(kept)[0].instance.state is State.PASSED


def test_a_pseudonym_that_is_already_anothers_quarantines_the_instance(site, spool, monkeypatch):
    spool_id = arrive(spool, make.ct())
    monkeypatch.setattr(MappingStore, "commit", lambda _store, minted, *_: list(minted)[:1])

    with running(site) as service:
        work_off(service)

    assert reason_of(spool, spool_id) == Reason.PSEUDONYM_COLLISION.value
    assert list((site.state / "outside").rglob("*.dcm")) == []


def test_results_that_cannot_be_committed_are_committed_later_without_doing_them_again(site, spool, monkeypatch):
    spool_id = arrive(spool, make.ct())
    full = [True]
    commit = MappingStore.commit

    def sometimes(store, *what):
        if full[0]:
            raise SpoolFull("full")
        return commit(store, *what)

    monkeypatch.setattr(MappingStore, "commit", sometimes)
    with running(site) as service:
        deadline = time.monotonic() + PATIENCE_S
        with pytest.raises(SpoolFull):
            while time.monotonic() < deadline:
                service.step()
        full[0] = False
        work_off(service)

    passed = spool.trace(spool_id)[0].instance
    assert (passed.state, passed.attempts) == (State.PASSED, 1)


def test_what_a_worker_could_not_write_is_tried_again_and_costs_no_attempt(site, spool, monkeypatch):
    spool_id = arrive(spool, make.ct())
    monkeypatch.setattr("appliance.services.deidentify.POSTPONED_S", 0.05)
    with running(site) as service:
        take = service._pool.take
        refusals = [2]

        def refuse(timeout_s):
            came = take(timeout_s)
            if came and refusals[0]:
                refusals[0] -= 1
                return [Finished(came[0].job, Postponed("ENOSPC"))]
            return came

        service._pool.take = refuse
        work_off(service)

    assert refusals == [0]
    assert spool.trace(spool_id)[0].instance.state is State.PASSED


def test_originals_that_the_disk_does_not_give_back_stop_no_other_and_are_quarantined(site, spool, monkeypatch):
    bad = [arrive(spool, make.ct(SOPInstanceUID=f"1.2.3.{number}")) for number in range(5)]
    good = arrive(spool, make.ct(SOPInstanceUID="1.2.4"))
    monkeypatch.setattr("appliance.services.deidentify.POSTPONED_S", 0.02)
    with running(site) as service:
        take = service._pool.take

        def fail(timeout_s):
            return [
                Finished(each.job, Postponed("EIO", unreadable=True)) if each.job.id in bad else each
                for each in take(timeout_s)
            ]

        service._pool.take = fail
        deadline = time.monotonic() + PATIENCE_S
        while states(spool) != {State.QUARANTINED: 5, State.PASSED: 1}:
            assert time.monotonic() < deadline, states(spool)
            service.step()

    assert {reason_of(spool, each) for each in bad} == {Reason.ORIGINAL_UNREADABLE.value}
    assert spool.trace(good)[0].instance.state is State.PASSED


@pytest.mark.parametrize(("number", "unreadable"), [(errno.EIO, True), (errno.EACCES, True), (errno.ENOSPC, False)])
def test_a_worker_tells_an_original_that_cannot_be_read_from_a_machine_that_cannot_write(tmp_path, number, unreadable):
    def refuse(_path):
        raise OSError(number, "no")

    job = Job("x", 1, tmp_path / "x.dcm", tmp_path / "y.dcm", Provenance("unlisted"), ("", ""), frozenset(), "site")

    assert work(None, job, opened=refuse) == Postponed(errno.errorcode[number], unreadable)


def test_a_result_that_cannot_be_written_is_not_the_fault_of_its_original(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EIO, "no")

    (tmp_path / "x.dcm").write_bytes(b"x")
    monkeypatch.setattr("appliance.services.worker.examine", refuse)
    job = Job("x", 1, tmp_path / "x.dcm", tmp_path / "y.dcm", Provenance("unlisted"), ("", ""), frozenset(), "site")

    assert work(None, job) == Postponed("EIO")


def test_what_was_postponed_is_not_buried_by_a_clock_that_is_set_back(site, spool):
    spool_id = arrive(spool, make.ct())
    now = [time.time()]
    service = Deidentify(site, Told(), clock=lambda: now[0])
    service.start()
    take, refusals = service._pool.take, [1]

    def refuse(timeout_s):
        came = take(timeout_s)
        if came and refusals.pop() is not None:
            service._pool.take = take
            return [Finished(came[0].job, Postponed("ENOSPC"))]
        return came

    service._pool.take = lambda timeout_s: refuse(timeout_s) if refusals else take(timeout_s)
    while not service._postponed:
        service.step()
    now[0] -= 86_400
    try:
        work_off(service)
    finally:
        service.stop()

    assert spool.trace(spool_id)[0].instance.state is State.PASSED


@pytest.mark.parametrize("maker", ["Phantom Works", "Made for P000123"], ids=["made", "withheld"])
def test_a_result_that_comes_for_a_row_that_was_rebuilt_stops_nothing(site, spool, maker):
    overtaken = arrive(spool, make.ct(SOPInstanceUID="1.2.3.4", Manufacturer=maker))
    with running(site) as service:
        while not service._in_hand:
            service.step()
        with spool.journal.database.writing(durably=True) as connection:
            connection.execute("UPDATE instance SET round = round + 1 WHERE id = ?", (overtaken,))
        neighbour = arrive(spool, make.ct(SOPInstanceUID="1.2.3.5"))
        work_off(service)

    found = spool.trace(overtaken)[0].instance
    assert (found.round, found.state) == (2, State.PASSED if maker == "Phantom Works" else State.QUARANTINED)
    assert spool.trace(neighbour)[0].instance.state is State.PASSED


def test_an_instance_that_ends_three_workers_is_quarantined_and_its_neighbour_passes(site, spool):
    poison, good = arrive(spool, make.ct(SOPInstanceUID="1.2.3.4")), arrive(spool, make.ct(SOPInstanceUID="1.2.3.5"))
    deaths = []
    with running(site) as service:
        take = service._pool.take

        def die(timeout_s):
            came = take(timeout_s)
            deaths.extend(each.job.id for each in came if each.job.id == poison)
            return [Died(each.job, -11) if each.job.id == poison else each for each in came]

        service._pool.take = die
        work_off(service)

    assert deaths == [poison] * 3
    assert reason_of(spool, poison) == Reason.WORKER_DIED.value
    assert spool.trace(good)[0].instance.state is State.PASSED


def test_deaths_of_the_whole_service_blame_nobody_too_early(site, spool):
    spool_id = arrive(spool, make.ct())
    for _ in range(6):
        spool.claim(1, time.time(), set())  # begun, and never come to an end

    with running(site) as service:
        work_off(service)

    assert spool.trace(spool_id)[0].instance.state is State.PASSED


def test_an_instance_that_never_comes_to_an_end_is_quarantined_unseen(site, spool):
    spool_id = arrive(spool, make.ct())
    for _ in range(10):
        spool.claim(1, time.time(), set())

    with running(site) as service:
        work_off(service)

    assert reason_of(spool, spool_id) == Reason.WORKER_DIED.value


def test_a_journal_that_is_damaged_while_it_runs_ends_the_service_and_is_rebuilt_by_the_next(site, spool):
    for number in range(100):
        arrive(spool, make.ct(SOPInstanceUID=f"1.2.3.4.{number}"))
    spool.close()
    with running(site) as service:
        while not service._repair.is_sound:
            service.step()
        _spoil(site.state / "inside" / "journal.db")
        with pytest.raises(DatabaseDamaged):
            while True:
                service.step()

    with running(site) as service:
        work_off(service)

    assert states(spool) == {State.PASSED: 100}
    assert list((site.state / "inside").glob("journal.db.damaged-*"))


def test_the_full_check_asks_the_owner_to_rebuild_and_the_owner_does(site, spool):
    spool_id = arrive(spool, make.ct())
    with running(site) as service:
        work_off(service)

        Requests(site.state / "requests").ask("deidentify", "rebuild", {})
        work_off(service)

    assert states(spool) == {State.PASSED: 1}
    assert spool.trace(spool_id)[0].instance.round == 1
    assert len(list((site.state / "outside" / "ready").rglob("*.dcm"))) == 1, "the same name, nothing doubled"


def _spoil(path):
    """Overwrite what follows the first page, in the log too: as a dying disk does."""
    for each in (path, path.with_name(path.name + "-wal")):
        if each.exists() and each.stat().st_size > 8192:
            with each.open("r+b") as file:
                file.seek(4096)
                file.write(os.urandom(each.stat().st_size - 4096))


# --- rules that change ------------------------------------------------------------------------------------------------


@pytest.fixture
def ruled(tmp_path, monkeypatch):
    """A site with rules of its own, looked at again at every step."""
    monkeypatch.setattr("appliance.services.rules_in_force.LOOK_S", 0.0)
    (tmp_path / "rules.yaml").write_text("Profile: Basic\n")
    return configured(tmp_path, f"deidentify: {{workers: 1}}\nrules: {tmp_path / 'rules.yaml'}\n")


def refusals(caplog):
    return [record for record in caplog.records if record.getMessage().startswith("rules refused")]


def test_changed_rules_count_from_the_next_instance_on(ruled, caplog):
    spool = Spool(ruled.state / "inside", reserve_bytes=0)
    with running(ruled) as service:
        first = arrive(spool, make.ct(SOPInstanceUID="1.2.3.4"))
        work_off(service)
        ruled.rules.write_text("ScopeToForward: {Labels: []}\n")
        second = arrive(spool, make.ct(SOPInstanceUID="1.2.3.5"))
        work_off(service)

    assert spool.trace(first)[0].instance.state is State.PASSED
    assert reason_of(spool, second) == Reason.EXCLUDED_BY_RULE.value
    spool.close()


def test_rules_that_are_not_valid_are_told_once_and_the_last_good_ones_stay(ruled, caplog):
    spool = Spool(ruled.state / "inside", reserve_bytes=0)
    with running(ruled) as service:
        work_off(service)
        ruled.rules.write_text("Profile: Basic\nScopeToForwards: {Labels: []}\n")
        work_off(service)
        service._pool._workers[0].process.kill()  # its successor must not read the file either
        service._pool._workers[0].process.join()
        spool_id = arrive(spool, make.ct())
        work_off(service)

    assert spool.trace(spool_id)[0].instance.state is State.PASSED
    (told,) = refusals(caplog)
    assert told.line == 2 and told.file == str(ruled.rules)
    spool.close()


def test_rules_that_are_mended_count_again_and_the_same_slip_is_told_again(ruled, caplog):
    with running(ruled) as service:
        for text in ("Slip: 1\n", "Profile: Basic\n", "Slip: 1\n"):
            ruled.rules.write_text(text)
            work_off(service)
        ruled.rules.unlink()
        work_off(service)

    assert len(refusals(caplog)) == 3, "two slips, and a file that is gone"


def test_a_destination_that_only_the_rules_know_ends_the_start(ruled):
    ruled.rules.write_text("Destinations: [{Name: reserch, Labels: ALL}]\n")

    with pytest.raises(ConfigError, match="line 1: the destination 'reserch' is not in the configuration"):
        Deidentify(ruled, Told()).start()


def test_an_instance_goes_to_the_destinations_whose_scope_it_is_in(tmp_path):
    site = configured(
        tmp_path,
        f"deidentify: {{workers: 1}}\nrules: {tmp_path / 'rules.yaml'}\n",
        destinations="[{name: one, folder: ./one}, {name: two, folder: ./two}]",
    )
    site.rules.write_text(
        "Labels:\n- {Name: CT, DICOMQueryFilter: Modality StrEquals CT}\n"
        "- {Name: MR, DICOMQueryFilter: Modality StrEquals MR}\n"
        "Destinations:\n- {Name: one, Labels: CT}\n- {Name: two, Labels: ALL, ExceptLabels: MR}\n"
    )
    spool = Spool(site.state / "inside", reserve_bytes=0)
    ids = [arrive(spool, data) for data in (make.ct(), make.mr(), make.sr())]
    with running(site) as service:
        work_off(service)

    outs = [spool.trace(spool_id)[0].instance.out for spool_id in ids]
    assert reason_of(spool, ids[1]) == Reason.EXCLUDED_BY_RULE.value
    outbox = Outbox(site.state / "outside")
    assert [sorted(row.destination for row in outbox.deliveries(out)) for out in (outs[0], outs[2])] == [
        ["one", "two"],
        ["two"],
    ]
    outbox.close()
    spool.close()
