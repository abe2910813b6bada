"""One clinic's folder, with a clock, a door and a journal of the test's own."""

import errno
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from appliance.config import Archives, Inbox
from appliance.errors import SpoolFull
from appliance.intake import taking
from appliance.intake.archives import Scratch
from appliance.intake.beneath import Beneath
from appliance.intake.inbox import Clinic, ClinicInbox
from appliance.intake.inbox_observed import InboxObserved
from appliance.intake.taking import Taker
from appliance.lifecycle import State
from tests.make import make


class FakeDoor:
    """Keeps in memory; ``before_keep`` is called when all bytes were written."""

    def __init__(self):
        self.kept = []
        self.before_keep = lambda: None
        self.fails = None

    def begin(self, provenance, sop_class, sop_instance, transfer_syntax):
        if self.fails:
            raise self.fails
        return FakeEntry(self, provenance, sop_instance)


class FakeEntry:
    def __init__(self, door, provenance, sop_instance):
        self.door, self.provenance, self.sop_instance, self.body = door, provenance, sop_instance, b""

    def write(self, piece):
        self.body += bytes(piece)
        self.door.before_keep()

    def keep(self):
        self.door.kept.append(self)
        return SimpleNamespace(size=len(self.body))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class FakeLedger:
    def __init__(self):
        self.number = 0
        self.counts = {}

    def at_least(self, used):
        self.number = max(self.number, used)

    def next_item(self):
        self.number += 1
        return self.number

    def item_counts(self, item):
        return self.counts.get(item, {})


class Room:
    """A clinic's folder and everything around it."""

    def __init__(self, tmp_path, **config):
        self.folder = tmp_path / "clinic"
        self.folder.mkdir(exist_ok=True)
        self.door, self.ledger, self.told = FakeDoor(), FakeLedger(), []
        self.now, self.moment = 0.0, datetime(2026, 11, 20, 12, tzinfo=UTC)
        self.config = Inbox(path=tmp_path, **{"quiet_s": 10.0, "scan_s": 1.0, **config})
        self.scratch = Scratch(tmp_path, 0)
        self.stopping = False
        self.start()

    def start(self):
        observed = InboxObserved(
            taken=lambda *facts: self.told.append(("taken", *facts)),
            refused=lambda *facts: self.told.append(("refused", *facts)),
            item=lambda *facts: self.told.append(("item", *facts)),
        )
        self.inbox = ClinicInbox(
            Clinic("clinic", self.folder, "src", "main"),
            self.config,
            Taker(self.door, Archives(), self.scratch, stopping=lambda: self.stopping),
            self.ledger,
            monotonic=lambda: self.now,
            clock=lambda: self.moment,
            observed=observed,
            stopping=lambda: self.stopping,
        )

    def drop(self, name, body=None, number=1):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make.file(make.ct(seed=number)) if body is None else body)
        return path

    def pass_time(self, seconds, step=1.0):
        end = self.now + seconds
        while self.now < end:
            self.inbox.step()
            self.inbox.housekeep()
            self.now += step
            self.moment += timedelta(seconds=step)

    def receipts(self):
        return [path.read_text() for path in sorted(self.folder.glob("_receipts/*.txt"))]


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path)


def test_a_file_is_taken_after_its_quiet_time_and_not_before(room):
    room.drop("study/a")

    room.pass_time(10)
    assert room.door.kept == []
    room.pass_time(2)
    assert len(room.door.kept) == 1
    assert room.told[0][:2] == ("taken", "src") and room.told[0][2] > 0


def test_a_file_that_changes_while_it_is_read_is_put_back_and_taken_whole_later(room):
    path = room.drop("study/a")
    room.drop("study/b", number=2)
    original = path.read_bytes()

    def grow():
        if path.exists() and path.stat().st_size == len(original):
            path.write_bytes(original + b"\0" * 100)

    room.door.before_keep = grow
    room.pass_time(12)
    assert len(room.door.kept) == 1 and path.exists() and room.receipts() == []

    room.pass_time(12)
    assert len(room.door.kept) == 2
    assert {entry.provenance.item for entry in room.door.kept} == {1}
    assert "2 taken" in room.receipts()[0]


@pytest.mark.parametrize("processed_days", [0, 7])
def test_a_file_that_takes_the_place_of_the_one_being_read_is_taken_too(tmp_path, processed_days):
    room = Room(tmp_path, processed_days=processed_days)
    path = room.drop("study/a")
    newer = room.drop("a.part", make.file(make.ct(seed=77)))

    def replace():
        if newer.exists():
            newer.rename(path)  # as a sender does that writes beside and renames over

    room.door.before_keep = replace
    room.pass_time(40)

    assert len({entry.sop_instance for entry in room.door.kept}) == 2
    assert not path.exists()


def test_late_files_are_neither_lost_nor_moved_unread(room):
    room.drop("study/a")
    room.door.before_keep = lambda: (room.folder / "study" / "late").exists() or room.drop("study/late", number=2)

    room.pass_time(12)
    assert (room.folder / "study" / "late").exists()
    room.pass_time(15)

    assert [entry.provenance.item for entry in room.door.kept] == [1, 2]
    assert not (room.folder / "study" / "late").exists()


def test_an_emptied_folder_is_removed_only_when_it_stays_untouched(room):
    room.drop("study/deep/a")

    room.pass_time(14)
    assert (room.folder / "study" / "deep").is_dir()
    room.pass_time(20)
    assert not (room.folder / "study").exists()


def test_an_empty_folder_that_is_not_ours_is_left(room):
    (room.folder / "prepared").mkdir()

    room.pass_time(40)

    assert (room.folder / "prepared").is_dir() and room.receipts() == []


def test_what_cannot_be_moved_is_not_taken_again_and_is_moved_when_it_can_be(room, monkeypatch):
    room.drop("study/a")
    move = Beneath.move

    def stuck(self, parts, target):
        raise PermissionError(errno.EPERM, "sticky")

    monkeypatch.setattr(Beneath, "move", stuck)
    room.pass_time(40)
    assert len(room.door.kept) == 1 and room.inbox.standing.unmoved == 1
    assert "1 taken" in room.receipts()[0] and len(room.receipts()) == 1

    monkeypatch.setattr(Beneath, "move", move)
    room.pass_time(3)
    assert room.inbox.standing.unmoved == 0
    assert list(room.folder.glob("_processed/*/*/a"))


def test_a_folder_that_cannot_be_written_waits_and_its_neighbours_do_not(room, monkeypatch):
    room.drop("closed/a")
    room.drop("open/b", number=2)
    writable = Beneath.writable
    monkeypatch.setattr(Beneath, "writable", lambda self, parts: parts != ("closed",))

    room.pass_time(30)
    assert len(room.door.kept) == 1 and not (room.folder / "open" / "b").exists()
    assert room.inbox.standing.unreachable == 1 and (room.folder / "closed" / "a").exists()

    monkeypatch.setattr(Beneath, "writable", writable)
    room.pass_time(61)
    assert len(room.door.kept) == 2 and room.inbox.standing.unreachable == 0


def test_a_file_that_cannot_be_read_is_tried_again_and_then_refused(room, monkeypatch):
    room.drop("study/bad")
    room.drop("study/good", number=2)
    open_it = Beneath.open

    def broken(self, parts):
        if parts[-1] == "bad":
            raise OSError(errno.EIO, "Input/output error")
        return open_it(self, parts)

    monkeypatch.setattr(Beneath, "open", broken)
    room.pass_time(12)
    assert room.receipts() == [] and ("item", "src", "error", 0.0) in room.told
    room.pass_time(60)

    assert len(room.door.kept) == 1
    assert "unreadable" in room.receipts()[0]
    assert [path.name for path in room.folder.glob("_failed/*/*/*")] == ["bad"]


def test_a_share_that_fails_for_a_moment_costs_no_file(room, monkeypatch):
    room.drop("study/a")
    open_it = Beneath.open
    failures = [OSError(errno.ESTALE, "Stale file handle")]

    def stale(self, parts):
        if failures:
            raise failures.pop()
        return open_it(self, parts)

    monkeypatch.setattr(Beneath, "open", stale)
    room.pass_time(40)

    assert len(room.door.kept) == 1 and "0 not taken" in room.receipts()[0]


def test_a_file_that_trips_the_program_is_refused_and_its_neighbours_are_taken(room, monkeypatch, caplog):
    room.drop("study/bad", b"\0" * 128 + b"DICM trips")
    room.drop("study/good", number=2)
    identify = taking.identify

    def trips(file):
        if file.read().endswith(b"trips"):
            raise IndexError("Mustermann^Erika")
        file.seek(0)
        return identify(file)

    monkeypatch.setattr(taking, "identify", trips)
    room.pass_time(12)

    assert len(room.door.kept) == 1
    assert "unexpected" in room.receipts()[0]
    assert "Mustermann" not in caplog.text and "Mustermann" not in room.receipts()[0]
    assert any("test_inbox_clinic.py" in str(record.__dict__.get("place")) for record in caplog.records)


@pytest.mark.parametrize(("error", "told"), [(SpoolFull("full"), 1), (OSError(errno.EIO, "the state disk"), 0)])
def test_trouble_behind_the_door_leaves_everything_where_it_is_and_a_full_disk_is_told(room, error, told):
    room.drop("study/a")
    room.drop("other/b", number=2)
    room.door.fails = error

    room.pass_time(30)
    assert (room.folder / "study" / "a").exists() and (room.folder / "other" / "b").exists()
    assert [receipt.count("Not done yet") for receipt in room.receipts()] == [1] * told
    assert not list(room.folder.glob("_failed/*"))
    assert room.told.count(("item", "src", "error", 0.0)) == 1

    room.door.fails = None
    room.pass_time(80)
    assert len(room.door.kept) == 2 and len(room.receipts()) == 2


def test_a_file_taken_away_again_is_no_error(room):
    room.drop("study/a")
    path = room.drop("study/b", number=2)
    room.door.before_keep = lambda: path.unlink(missing_ok=True)

    room.pass_time(14)

    assert "1 taken" in room.receipts()[0] and "0 not taken" in room.receipts()[0]


def test_a_full_share_does_not_keep_us_from_emptying_it(room, monkeypatch):
    room.drop("study/a")
    append = Beneath.append

    class Full:
        def write(self, _):
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self):
            pass

    monkeypatch.setattr(Beneath, "append", lambda self, parts: append(self, parts).close() or Full())
    room.pass_time(12)

    assert len(room.door.kept) == 1 and "1 taken" in room.receipts()[0]


def test_a_receipt_that_cannot_be_written_is_written_later(room, monkeypatch):
    room.drop("study/a")
    put = Beneath.put

    def full(self, parts, body):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Beneath, "put", full)
    room.pass_time(30)
    assert len(room.door.kept) == 1 and room.receipts() == []

    monkeypatch.setattr(Beneath, "put", put)
    room.pass_time(61)
    assert "1 taken" in room.receipts()[0]


def test_an_item_whose_receipt_was_cut_off_by_a_crash_gets_it_at_the_next_start(room, monkeypatch):
    room.drop("study/a")
    put = Beneath.put

    def crash(self, parts, body):
        raise KeyboardInterrupt

    monkeypatch.setattr(Beneath, "put", crash)
    with pytest.raises(KeyboardInterrupt):
        room.pass_time(14)
    monkeypatch.setattr(Beneath, "put", put)
    room.start()
    room.pass_time(3)

    assert "item 1" in room.receipts()[0] and "1 taken" in room.receipts()[0]
    assert not list(room.folder.glob("_receipts/.item*"))


def test_receipts_follow_the_journal_also_after_a_restart(room):
    room.drop("study/a")
    room.pass_time(14)
    room.start()
    room.ledger.counts[1] = {(State.QUARANTINED, "no-patient-id"): 1}
    room.pass_time(10)
    assert "1 quarantined: no-patient-id" in room.receipts()[0]

    room.ledger.counts[1] = {(State.FORWARDED, ""): 1}
    room.pass_time(10)
    assert "1 delivered" in room.receipts()[0] and "complete" in room.receipts()[0]


def test_a_receipt_is_written_only_when_counts_change(room):
    room.drop("study/a")
    room.pass_time(14)
    room.ledger.counts[1] = {(State.READY, ""): 1}
    room.pass_time(10)
    (receipt,) = room.folder.glob("_receipts/*.txt")
    before = receipt.stat().st_ino

    room.pass_time(30)

    assert receipt.stat().st_ino == before


def test_processed_files_are_removed_after_their_days_and_failed_ones_never(tmp_path):
    room = Room(tmp_path, processed_days=3)
    room.drop("study/a")
    room.drop("study/bad", b"no image")
    room.pass_time(14)

    room.moment += timedelta(days=3)
    room.pass_time(3)
    assert list(room.folder.glob("_processed/*/*/a"))
    room.moment += timedelta(days=1)
    room.pass_time(3)
    assert not list(room.folder.glob("_processed/*/*/a"))
    assert list(room.folder.glob("_failed/*/*/bad")) and room.receipts()
    room.moment += timedelta(days=366)
    room.pass_time(3)
    assert not room.receipts()


def test_what_was_not_taken_goes_with_its_note_after_the_days_that_the_site_set(tmp_path):
    room = Room(tmp_path, failed_days=30)
    room.drop("study/bad", b"no image")
    room.pass_time(14)

    room.moment += timedelta(days=30)
    room.pass_time(3)
    assert list(room.folder.glob("_failed/*/*/bad")) and list(room.folder.glob("_failed/*/*.txt"))
    room.moment += timedelta(days=1)
    room.pass_time(3)

    assert list(room.folder.glob("_failed/*")) == []
    assert room.receipts()


def test_purging_follows_no_link(room):
    outside = room.folder.parent / "outside"
    outside.mkdir()
    (outside / "keep").touch()
    (room.folder / "_processed").mkdir()
    (room.folder / "_processed" / "2020-01-01").symlink_to(outside)
    (room.folder / "_processed" / "2020-01-02").mkdir()
    (room.folder / "_processed" / "2020-01-02" / "link").symlink_to(outside)

    room.pass_time(3)

    assert (outside / "keep").exists()
    assert not (room.folder / "_processed" / "2020-01-02").exists()


def test_our_own_folders_planted_as_links_are_not_written_through(room):
    outside = room.folder.parent / "outside"
    outside.mkdir()
    for name in ("_processed", "_failed", "_receipts"):
        (room.folder / name).symlink_to(outside)
    room.drop("study/a")

    room.pass_time(30)

    assert list(outside.iterdir()) == [] and room.door.kept == []
    assert room.inbox.standing.unreachable == 1
    assert (room.folder / "study" / "a").exists()


def test_an_archive_is_given_up_between_members_when_stopping_and_goes_on_later(room):
    import io
    import zipfile

    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for number in range(4):
            archive.writestr(str(number), make.file(make.ct(seed=number)))
    room.drop("a.zip", body.getvalue())

    room.pass_time(10)
    room.door.before_keep = lambda: setattr(room, "stopping", True)
    room.pass_time(2)
    assert len(room.door.kept) == 1 and (room.folder / "a.zip").exists()

    room.stopping, room.door.before_keep = False, lambda: None
    room.start()
    room.pass_time(14)
    assert "4 taken" in room.receipts()[0] and {entry.provenance.item for entry in room.door.kept} == {1}


def test_a_scan_of_many_files_takes_a_twentieth_of_the_time(room, monkeypatch):
    from appliance.intake import inbox

    looks = []

    def slow(clinic):
        looks.append(room.now)
        room.now += 1.0
        return {}

    monkeypatch.setattr(inbox, "look", slow)
    room.pass_time(100)

    assert len(looks) == 5


def test_being_woken_looks_at_once(room, monkeypatch):
    from appliance.intake import inbox

    looks = []
    monkeypatch.setattr(inbox, "look", lambda clinic: looks.append(room.now) or {})
    room.inbox.step()
    room.now += 0.1
    room.inbox.step()
    assert looks == [0.0]
    room.inbox.wake()
    room.now += 0.1
    room.inbox.step()

    assert looks == [0.0, 0.2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_folder_that_may_not_be_entered_is_told_stays_and_stops_nothing_else(mode):
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o777)
        room = Room(base)
        for number, file in enumerate(("study/open/a", "study/closed/b", "other/c"), 1):
            room.drop(file, number=number)
        for folder in (room.folder, *room.folder.rglob("*")):
            folder.chmod(0o777)
        closed = room.folder / "study" / "closed"
        closed.chmod(mode)
        os.seteuid(65534)
        try:
            room.pass_time(40)
            before = len(room.door.kept)
            receipts = room.receipts()
            os.seteuid(0)
            closed.chmod(0o777)
            os.seteuid(65534)
            room.pass_time(40)
        finally:
            os.seteuid(0)

        (told,) = [text for text in receipts if '"study"' in text]
        assert before == 2 and len(receipts) == 2
        assert "1 x closed-folder." in told and "study/closed" in told and "It stays where it is." in told
        assert "They are in _failed" not in told
        assert list(room.folder.glob("_failed/*/*")) == list(room.folder.glob("_failed/*/*.txt"))
        assert len(room.door.kept) == 3, "taken by itself once it may be entered"
        assert len(list(room.folder.glob("_processed/*/*/closed/b"))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_without_read_permission_is_refused_with_advice():
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        base.chmod(0o777)
        room = Room(base)
        room.folder.chmod(0o777)
        room.drop("study/a").chmod(0)
        room.folder.joinpath("study").chmod(0o777)
        os.seteuid(65534)
        try:
            room.pass_time(14)
        finally:
            os.seteuid(0)

        assert "unreadable" in room.receipts()[0]
        assert list(room.folder.glob("_failed/*/*/a"))
