"""The crash table, line by line: what is cut, what is found, what becomes of it."""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool import files, recovery
from appliance.spool.database import DatabaseDamaged
from appliance.spool.recovery import recover_inside, recover_outside
from tests.make.spooled import House, arrival, out_of


def states(house: House) -> dict[str, int]:
    found: dict[str, int] = {}
    for count in house.spool.counts():
        found[count.state] = found.get(count.state, 0) + count.n
    return found


def lose(house: House, side: str) -> None:
    """Remove a side's database, as a broken disk or a hasty hand does."""
    house.crash()
    house.close()
    for path in (house.root / side).glob("*.db*"):
        path.unlink()
    house.open()


def scribble(path: Path) -> None:
    """Damage the pages in the middle of a database, leaving its header."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


class Cut(BaseException):
    """The power goes here."""


def cut_at(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def cut(*_args: object) -> None:
        raise Cut

    for module in ("files", "inside", "outbox"):
        monkeypatch.setattr(f"appliance.spool.{module}.{step}", cut, raising=False)


# --- received files ---------------------------------------------------------------------------------------------------


def test_half_a_file_is_deleted_and_never_received(house):
    draft = house.spool.receiving("receive").draft()
    draft.write(b"half")
    os.close(os.dup(draft.fd))
    house.crash()
    lock = house.spool.receiving("receive")  # the dead process's lock is gone with it; ours is not in the way

    assert states(house) == {}
    lock.close()


def test_a_folder_is_looked_through_page_by_page(house, monkeypatch):
    monkeypatch.setattr(recovery, "PAGE", 2)
    monkeypatch.setattr("appliance.spool.layout.shard", lambda _name: "00")
    for number in range(4):
        house.write(arrival(number))

    house.recover()

    assert states(house) == {"RECEIVED": 4}


def test_a_file_without_a_row_gets_the_row_that_was_lost(house):
    came = arrival(1, item=3)
    house.write(came)

    house.recover()

    found = house.instance(came.id)
    assert (found.provenance, found.received, found.sop_class, found.sop_instance, found.transfer_syntax) == (
        *(came.provenance, came.received, came.sop_class, came.sop_instance, came.transfer_syntax),
    )
    assert found.size == house.spool.original(came.id).stat().st_size
    assert found.state is State.RECEIVED


def test_a_row_that_intake_commits_at_the_same_time_is_not_doubled(house):
    came = arrival(1)
    house.write(came)
    repair = recover_inside(house.spool, house.outbox)
    repair.step()
    house.spool.arrived([came])
    repair.finish()
    house.spool.arrived([came])

    assert states(house) == {"RECEIVED": 1}


def test_the_newest_come_first_with_few_ids_in_memory(house, monkeypatch):
    monkeypatch.setattr(recovery, "PAGE", 2)
    numbers = list(range(1, 12))
    for number in numbers:
        house.write(arrival(number))
    order: list[str] = []
    real = house.spool.arrived
    monkeypatch.setattr(
        house.spool, "arrived", lambda some: (some := list(some), order.extend(a.id for a in some), real(some))
    )

    recover_inside(house.spool, house.outbox, window=4).finish()

    assert order == [arrival(number).id for number in reversed(numbers)]
    assert states(house) == {"RECEIVED": 11}


def test_a_file_whose_meta_cannot_be_read_gets_a_row_all_the_same(house):
    came = arrival(1)
    house.write(came).write_bytes(b"\0" * 500)

    house.recover()

    found = house.instance(came.id)
    assert (found.provenance.source, found.sop_instance, found.received) == ("CT1", "", came.received)


def test_a_file_that_the_disk_does_not_give_back_gets_a_row_and_keeps_no_other_from_its_own(house, monkeypatch):
    bad, good = arrival(1), arrival(2)
    house.write(bad)
    house.write(good)
    read = recovery.open_regular

    def fails(path):
        if path.stem == bad.id:
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(recovery, "open_regular", fails)
    house.recover()

    assert house.instance(bad.id).state is State.RECEIVED
    assert house.instance(good.id).provenance.calling_ae == "CT SCANNER 1"


def test_a_name_that_is_no_moment_keeps_no_other_file_from_its_row(house):
    house.write(arrival(1))
    house.spool.layout.original("20261399T991522123Z-CT1-abcdefg").write_bytes(b"x" * 200)

    house.recover()

    assert states(house) == {"RECEIVED": 1}


def test_what_is_no_plain_file_of_ours_gets_no_row(house, tmp_path):
    target = house.spool.layout.original(arrival(1).id)
    (tmp_path / "elsewhere").write_bytes(b"x")
    target.symlink_to(tmp_path / "elsewhere")
    (target.parent / "notes.dcm").write_bytes(b"x")
    (target.parent / f"{arrival(2).id}.bak").write_bytes(b"x")

    house.recover()

    assert states(house) == {}
    assert (tmp_path / "elsewhere").read_bytes() == b"x"


def test_a_file_that_went_while_it_was_looked_at_gets_no_row(house, monkeypatch):
    house.write(arrival(1))
    repair = recover_inside(house.spool, house.outbox)
    real = recovery.open_regular
    monkeypatch.setattr(recovery, "open_regular", lambda path: (path.unlink(), real(path)))

    repair.finish()

    assert states(house) == {}


# --- quarantine -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["put_durably", "rename_durably"])
def test_a_quarantine_that_was_cut_after_its_row_is_finished(house, monkeypatch, step):
    (instance,) = house.receive(1)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, step)
        house.spool.quarantine(instance, Reason.RULE, "A rule.")
    house.crash()
    assert house.spool.layout.original(instance.id).exists()

    house.recover()

    folder = house.root / "inside" / "quarantine" / "rule"
    assert sorted(path.suffix for path in folder.iterdir()) == [".dcm", ".txt"]
    assert "A rule." in (folder / f"{instance.id}.txt").read_text()
    assert states(house) == {"QUARANTINED": 1}


def test_a_release_that_was_cut_after_its_row_is_finished_and_the_file_was_never_out_of_sight(house, monkeypatch):
    (instance,) = house.receive(1)
    house.spool.quarantine(instance, Reason.RULE, "")
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, "rename_durably")
        house.spool.release(instance.id)
    house.crash()
    assert house.spool.original(instance.id).exists()

    house.recover()

    assert house.spool.layout.original(instance.id).exists()
    assert list((house.root / "inside" / "quarantine" / "rule").iterdir()) == []


def test_a_file_in_the_wrong_folder_goes_to_that_of_its_row(house):
    (instance,) = house.receive(1)
    house.spool.quarantine(instance, Reason.RULE, "")
    wrong = house.root / "inside" / "quarantine" / "malformed"
    wrong.mkdir()
    house.spool.original(instance.id).rename(wrong / f"{instance.id}.dcm")

    house.recover()

    assert list(wrong.iterdir()) == []
    assert house.spool.original(instance.id) == house.spool.layout.quarantined(instance.id, Reason.RULE)


@pytest.mark.parametrize("reason", [None, Reason.RULE])
def test_the_file_of_a_purged_row_is_removed_wherever_it_lies(house, monkeypatch, reason):
    (instance,) = house.receive(1)
    if reason is None:
        house.spool.exclude(instance, Reason.DUPLICATE, "")
    else:
        house.spool.quarantine(instance, reason, "")
        with monkeypatch.context() as patch, pytest.raises(Cut):
            cut_at(patch, "rename_durably")
            house.spool.discard(instance.id)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, "unlink")
        house.spool.original_purged([instance.id])
    assert house.spool.original(instance.id).exists()

    house.recover()

    assert not house.spool.original(instance.id).exists()
    assert states(house) == {"DISCARDED": 1}


# --- lost and damaged databases ---------------------------------------------------------------------------------------


def test_a_lost_journal_is_made_again_from_the_files(house):
    _received, quarantined, passed = house.receive(1, 2, 3)
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "")
    house.pass_on([passed])

    lose(house, "inside")
    house.recover()

    assert states(house) == {"RECEIVED": 2, "QUARANTINED": 1}
    assert house.instance(quarantined.id).reason == "no-patient-id"
    house.pass_on([house.instance(passed.id)])
    assert house.deliver() == [out_of(passed.id)]


def test_what_was_forwarded_is_not_sent_again_because_the_journal_was_lost(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.deliver()

    lose(house, "inside")
    house.recover()
    house.follow()
    house.pass_on([house.instance(instance.id)])

    assert house.deliver() == []
    assert house.spool.trace(instance.id)[0].outside == "FORWARDED"


def test_a_round_that_was_superseded_is_sent_again_at_worst_when_the_journal_was_lost(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.deliver()
    house.follow()
    house.spool.replay(instance.id)
    house.pass_on([house.instance(instance.id)])

    lose(house, "inside")
    house.recover()
    house.pass_on([house.instance(instance.id)])
    sent = house.deliver()
    house.follow()

    assert out_of(instance.id, 1) in sent
    assert house.spool.trace(instance.id)[0].outside == "FORWARDED"


def test_a_lost_outbox_has_what_was_not_delivered_done_again_and_remembers_the_rest(house):
    ready, forwarded, rejected, discarded = house.receive(1, 2, 3, 4)
    house.pass_on([forwarded, rejected])
    first, second = house.parcels()
    house.outbox.stored([first], "research", house.clock())
    house.outbox.refused(second, "research", Reason.DESTINATION_REFUSED, "0xA900")
    house.pass_on([ready])
    house.spool.exclude(discarded, Reason.DUPLICATE, "")
    house.follow()
    house.recover()

    lose(house, "outside")
    house.recover()

    assert states(house) == {"RECEIVED": 1, "PASSED": 2, "DISCARDED": 1}
    assert house.instance(ready.id).round == 1
    assert house.outbox.state(first.out) is State.FORWARDED
    assert house.outbox.state(second.out) is State.REJECTED
    assert [row[2:] for row in house.outbox.rows.rejected()] == [("destination-refused", "research: 0xA900")]
    (again,) = house.pass_on([house.instance(ready.id)])
    assert again.out == out_of(ready.id)
    assert house.deliver() == [again.out]


def test_after_a_lost_outbox_a_new_version_is_known_to_follow_another(house):
    (first,) = house.receive(1, sop_instance="1.2.3")
    (ready,) = house.pass_on([first])
    house.deliver()
    house.follow()
    house.recover()
    lose(house, "outside")

    house.recover()

    # Any destination may have it: one that keeps what it has must not be believed without a look.
    assert house.outbox.earlier_digests(ready.sop_instance, "research") == [""]
    assert house.outbox.earlier_digests("2.25.99", "research") == []


def test_a_lost_outbox_is_agreed_with_once(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    lose(house, "outside")
    house.recover()
    before = house.spool.trace(instance.id)

    house.recover()

    assert house.spool.trace(instance.id) == before


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_a_database_that_was_damaged_by_an_unclean_stop_is_set_aside_and_made_again(house, side):
    first, second = house.receive(1, 2)
    house.pass_on([first])
    house.recover()
    house.close_without_saying_so()
    database = next((house.root / side).glob("*.db"))
    scribble(database)
    house.open()

    house.recover()
    house.recover()  # the inside met the old outbox

    assert list((house.root / side).glob("*.db.damaged-*"))
    assert {each.state for each in (house.instance(first.id), house.instance(second.id))} == {State.RECEIVED}
    house.pass_on([house.instance(first.id), house.instance(second.id)])
    assert len(house.deliver()) == 2


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_damage_that_opening_does_not_see_is_found_after_an_unclean_stop(house, side):
    instances = house.receive(*range(1, 301))
    house.pass_on(instances[:200])
    house.recover()
    house.close_without_saying_so()
    database = next((house.root / side).glob("*.db"))
    sound = database.read_bytes()
    house.open()
    house.close_without_saying_so()
    with database.open("r+b") as file:  # the last pages: rows and indexes, not the schema
        file.seek(len(sound) - 20 * 4096)
        file.write(os.urandom(20 * 4096))
    house.open()
    assert not list((house.root / side).glob("*.db.damaged-*"))

    house.recover()
    house.recover()  # the inside met the old outbox

    assert list((house.root / side).glob("*.db.damaged-*"))
    assert sum(states(house).values()) == 300
    house.pass_on([each for each in map(house.instance, [i.id for i in instances]) if each.state is State.RECEIVED])
    assert len(house.deliver()) == 300


def test_a_mark_that_cannot_be_read_because_of_damage_is_an_unclean_stop(house, monkeypatch):
    broken = DatabaseDamaged("malformed")
    locked = sqlite3.OperationalError("locked")
    locked.sqlite_errorcode = sqlite3.SQLITE_BUSY

    def fails(error: Exception) -> Callable[..., str]:
        def get(*_args: object) -> str:
            raise error

        return get

    monkeypatch.setattr("appliance.spool.settings.Settings.get", fails(broken))
    assert house.spool.custody.begin() is False
    monkeypatch.setattr("appliance.spool.settings.Settings.get", fails(locked))
    with pytest.raises(sqlite3.OperationalError):
        house.spool.custody.begin()


def test_a_database_that_could_not_be_looked_at_is_not_called_sound(house, monkeypatch):
    house.receive(1)
    recover_inside(house.spool, house.outbox).finish()
    house.crash()
    look = house.spool.custody.database.check
    failures = [sqlite3.OperationalError("disk I/O error")]

    def fails_once(*, full=False):
        if failures:
            raise failures.pop()
        return look(full=full)

    monkeypatch.setattr(house.spool.custody.database, "check", fails_once)
    repair = recover_inside(house.spool, house.outbox)

    with pytest.raises(sqlite3.OperationalError):
        repair.finish()
    assert not repair.is_sound
    repair.finish()
    assert repair.is_sound


def test_the_loop_goes_on_while_the_database_is_looked_at(house, monkeypatch):
    house.recover()
    house.crash()
    done = threading.Event()
    monkeypatch.setattr(house.spool.custody.database, "check", lambda: done.wait(20) and [])
    repair = recover_inside(house.spool, house.outbox)

    assert repair.step()
    assert repair.step()
    done.set()
    repair.finish()


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_a_file_that_is_no_database_is_set_aside_at_once_so_that_intake_opens(house, side):
    house.receive(1)
    house.close()
    database = next((house.root / side).glob("*.db"))
    database.write_bytes(b"no database" * 1000)

    house.open()
    house.recover()

    assert list((house.root / side).glob("*.db.damaged-*"))
    assert states(house) == {"RECEIVED": 1}


def test_a_sound_database_is_not_set_aside_after_an_unclean_stop_nor_looked_at_after_a_clean_one(house, monkeypatch):
    house.receive(1)
    house.recover()
    looked = []
    for side in (house.spool, house.outbox):
        monkeypatch.setattr(side.custody.database, "check", lambda: looked.append(1) or [])
    house.recover()  # as after a crash: nobody said that it ended
    assert len(looked) == 2
    house.reopen()
    for side in (house.spool, house.outbox):
        monkeypatch.setattr(side.custody.database, "check", lambda: looked.append(1) or [])

    house.recover()

    assert len(looked) == 2
    assert not list(house.root.rglob("*.damaged-*"))


def test_a_repair_that_meets_a_fault_begins_again(house, monkeypatch):
    house.write(arrival(1))
    repair = recover_inside(house.spool, house.outbox)
    with monkeypatch.context() as patch:
        patch.setattr(house.spool.journal, "states", lambda _ids: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            repair.finish()

    repair.finish()

    assert states(house) == {"RECEIVED": 1}
    assert repair.step() is False


# --- outside ----------------------------------------------------------------------------------------------------------


def test_a_ready_file_without_a_row_waits_for_de_identify_and_is_not_doubled(house, monkeypatch):
    (instance,) = house.receive(1)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(house.outbox.rows, "admitted", lambda *_: (_ for _ in ()).throw(Cut()))
        house.admit([instance])
    house.crash()

    house.recover()
    assert house.outbox.layout.ready(out_of(instance.id)).exists()
    house.pass_on([instance])

    assert house.deliver() == [out_of(instance.id)]
    assert [count.n for count in house.outbox.counts()] == [1]


def test_a_ready_file_of_a_forwarded_row_is_removed(house, monkeypatch):
    (ready,) = house.admit(house.receive(1))
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, "unlink")
        house.deliver()
    assert house.outbox.layout.ready(ready.out).exists()

    house.recover()

    assert not house.outbox.layout.ready(ready.out).exists()
    assert house.outbox.state(ready.out) is State.FORWARDED


def test_a_rejection_that_was_cut_after_its_row_is_finished(house, monkeypatch):
    (ready,) = house.admit(house.receive(1))
    (parcel,) = house.parcels()
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, "put_durably")
        house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "0xA900")

    house.recover()

    rejected = house.outbox.layout.rejected(ready.out, Reason.DESTINATION_REFUSED)
    assert rejected.exists()
    assert "0xA900" in rejected.with_suffix(".txt").read_text()


def test_a_rejected_file_that_a_new_round_superseded_is_removed(house, monkeypatch):
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")
    house.follow()
    house.spool.release(instance.id)
    with monkeypatch.context() as patch, pytest.raises(Cut):
        cut_at(patch, "unlink")
        house.pass_on([house.instance(instance.id)])
    assert house.outbox.layout.rejected(ready.out, Reason.DESTINATION_REFUSED).exists()

    house.recover()

    assert list((house.root / "outside" / "rejected" / "destination-refused").iterdir()) == []


def test_a_rejected_file_of_which_nothing_is_known_is_left(house):
    house.admit(house.receive(1))
    (parcel,) = house.parcels()
    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "")
    lose(house, "outside")

    recover_outside(house.outbox).finish()

    assert house.outbox.layout.rejected(parcel.out, Reason.DESTINATION_REFUSED).exists()


def test_a_ready_row_without_its_file_is_done_again(house):
    kept, lost = house.receive(1, 2)
    _, gone = house.pass_on([kept, lost])
    house.outbox.layout.ready(gone.out).unlink()

    house.recover()
    house.follow()

    assert states(house) == {"PASSED": 1, "RECEIVED": 1}
    house.pass_on([house.instance(lost.id)])
    assert sorted(house.deliver()) == sorted([out_of(kept.id), out_of(lost.id)])


def test_opening_a_source_goes_on_after_a_crash(house, monkeypatch):
    monkeypatch.setattr(recovery, "PAGE", 2)
    house.admit(house.receive(1, 2, 3), gated=True)
    house.outbox.rows.open_source("CT1", "main")
    house.crash()

    house.recover()

    assert len(house.parcels()) == 3


def test_recovery_on_a_good_day_changes_nothing(house):
    instances = house.receive(*range(1, 7))
    house.spool.quarantine(instances[0], Reason.RULE, "")
    house.spool.hold(instances[1], Reason.NO_IDENTITY_YET, "")
    house.pass_on(instances[2:4])
    house.deliver()
    house.follow()
    house.recover()
    before = (house.spool.counts(), house.outbox.counts(), sorted(house.root.rglob("*.dcm")))

    house.recover()

    assert (house.spool.counts(), house.outbox.counts(), sorted(house.root.rglob("*.dcm"))) == before


def test_every_durable_step_goes_through_the_functions_that_a_crash_test_can_cut():
    assert {"fsync_file", "fsync_folder", "rename", "unlink"} <= set(vars(files))
