"""The inbox service on real folders: what clinics drop is taken once, and nothing is lost."""

import gzip
import io
import itertools
import os
import shutil
import sqlite3
import tarfile
import threading
import time
import zipfile
from collections import Counter
from contextlib import contextmanager

import pytest

from appliance.config import Archives, Clinic, Config, Destination, Inbox, Project, Spool
from appliance.dicom import part10
from appliance.intake.door import Door
from appliance.intake.inbox_observed import InboxObserved
from appliance.reasons import Reason
from appliance.services.inbox import InboxService
from appliance.spool.inside import Spool as Inside
from tests.make import make
from tests.peers import patience
from tests.peers.patience import PATIENCE_S

STEM = "2.25.1234567890"
TEMPLATE = make.file(make.ct(SOPInstanceUID=f"{STEM}{0:010d}", size=8))


def image(number):
    """A DICOM file whose SOP Instance UID ends with the number; cheap enough for thousands."""
    return TEMPLATE.replace(f"{STEM}{0:010d}".encode(), f"{STEM}{number:010d}".encode())


class Edge:
    """An inbox with its service in a thread."""

    def __init__(self, tmp_path, *, events=True, reserve_gb=0.0, **inbox):
        self.inbox = tmp_path / "inbox"
        self.state = tmp_path / "var"
        settings = {"quiet_s": 0.2, "scan_s": 0.1, **inbox}
        settings["clinics"] = {"clinic-a": Clinic("clinic_a"), "clinic-b": Clinic("clinic_b")}
        self.config = Config(
            site="test",
            state=self.state,
            destinations=(Destination(name="d", folder=tmp_path / "out"),),
            inbox=Inbox(path=self.inbox, **settings),
            spool=Spool(reserve_gb=reserve_gb),
            projects={"trial": Project(clinics=("clinic-b",))},
        )
        self.events = events
        self.told = []
        self.clinic = self.inbox / "clinic-a"
        self.clinic.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def running(self):
        tell = {
            name: (lambda *facts, name=name: self.told.append((name, *facts)))
            for name in ("taken", "refused", "item", "standing", "strays", "root_unreachable")
        }
        service = InboxService(self.config, InboxObserved(**tell), events=self.events)
        service.start()
        stop = threading.Event()
        failures = []

        def loop():
            while not stop.is_set():
                try:
                    if not service.step():
                        stop.wait(0.02)
                except BaseException as error:
                    failures.append(error)
                    raise

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield service
        finally:
            stop.set()
            thread.join()
            service.stop()
        assert not failures

    def unreachable(self):
        """How many folders of clinic_a were said to be unreachable at last."""
        told = [each for each in self.told if each[:2] == ("standing", "clinic_a")]
        return told[-1][2].unreachable if told else None

    def rows(self):
        with sqlite3.connect(self.state / "inside" / "journal.db") as journal:
            return journal.execute("SELECT sop_instance, source, project, clinic, item, id FROM instance").fetchall()

    def originals(self):
        return sorted((self.state / "inside" / "received").rglob("*.dcm"))

    def receipts(self, clinic="clinic-a"):
        folder = self.inbox / clinic / "_receipts"
        return [path.read_text() for path in sorted(folder.glob("*.txt"))] if folder.exists() else []

    def shelf(self, name, clinic="clinic-a"):
        """Files below _processed or _failed, without date and item."""
        return sorted(
            "/".join(path.relative_to(self.inbox / clinic / name).parts[2:])
            for path in (self.inbox / clinic / name).glob("*/*/**/*")
            if not path.is_dir()
        )

    def waiting(self, clinic="clinic-a"):
        """What still lies in the clinic's folder itself."""
        return sorted(path.name for path in (self.inbox / clinic).iterdir() if not path.name.startswith("_"))


@pytest.fixture
def edge(tmp_path):
    return Edge(tmp_path)


def until(condition, what="it to happen", seconds=PATIENCE_S, every_s=0.02):
    """Wait until it is so."""
    assert patience.until(condition, seconds=seconds, every_s=every_s), f"waited {seconds} s for {what}"


def data_set_of(path):
    with path.open("rb") as file:
        offset = part10.read(file).dataset_offset
        file.seek(offset)
        return file.read()


def test_a_folder_is_taken_moved_and_answered_with_a_receipt(edge):
    for number in range(3):
        path = edge.clinic / "CT thorax" / "series" / f"IM{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(number))

    with edge.running():
        until(lambda: edge.receipts() and not edge.waiting())

    assert edge.shelf("_processed") == ["series/IM0", "series/IM1", "series/IM2"]
    assert "3 taken" in edge.receipts()[0] and "CT thorax" in edge.receipts()[0]
    assert sorted(row[:5] for row in edge.rows()) == [
        (f"{STEM}{number:010d}", "clinic_a", "main", "clinic-a", 1) for number in range(3)
    ]


PLAIN = (make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN)
# Without File Meta nobody can know that a Data Set is compressed.
FORMS = [
    (syntax, form)
    for syntax in (*PLAIN, make.DEFLATED, make.RLE)
    for form in ({}, {"preamble": False}, {"preamble": False, "meta": False}, {"trailing": bytes(7)})
    if form.get("meta", True) or syntax in PLAIN
]


def test_the_data_set_is_kept_byte_for_byte_in_every_syntax_with_and_without_preamble_and_file_meta(edge):
    data_sets = []
    for number, (syntax, form) in enumerate(FORMS):
        body = make.file(make.ct(seed=number), syntax, **form)
        (edge.clinic / f"{number}").write_bytes(body)
        data_sets.append(body[part10.read(io.BytesIO(body)).dataset_offset :])

    with edge.running():
        until(lambda: edge.receipts())

    assert sorted(data_set_of(path) for path in edge.originals()) == sorted(data_sets)
    assert len(edge.shelf("_processed")) == len(FORMS)


def test_a_mixed_folder_is_no_success_and_each_file_is_accounted_for(edge):
    folder = edge.clinic / "mixed"
    folder.mkdir()
    (folder / "good").write_bytes(image(1))
    (folder / "report.pdf").write_bytes(b"%PDF-1.7 no image")
    (folder / "empty.dcm").touch()
    (folder / "cut.dcm").write_bytes(image(2)[:140])
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "Thumbs.db").write_bytes(b"x")
    (folder / "late.dcm.part").write_bytes(image(3))
    (folder / "hard").write_bytes(image(4))
    os.link(folder / "hard", folder / "hard too")

    with edge.running():
        until(lambda: edge.receipts())
        time.sleep(0.5)

    (receipt,) = edge.receipts()
    assert "1 taken" in receipt and "7 not taken" in receipt and "1 ignored" in receipt
    for why in ("not-dicom", "empty", "malformed", "link", "special-file", "hard-link"):
        assert why in receipt
    assert edge.shelf("_failed") == ["cut.dcm", "empty.dcm", "hard", "hard too", "link", "pipe", "report.pdf"]
    (note,) = (edge.clinic / "_failed").glob("*/*.txt")
    assert "report.pdf" in note.read_text() and "hard-link" in note.read_text()
    assert sorted(path.name for path in folder.iterdir()) == ["late.dcm.part"]
    assert ("item", "clinic_a", "partial") in [told[:3] for told in edge.told if told[0] == "item"]


def test_what_is_renamed_later_is_taken_later(edge):
    part = edge.clinic / "late.dcm.part"
    part.write_bytes(image(3))

    with edge.running():
        time.sleep(1.0)
        assert not edge.rows() and edge.waiting() == ["late.dcm.part"]
        part.rename(edge.clinic / "late.dcm")
        until(lambda: edge.receipts())

    assert edge.shelf("_processed") == ["late.dcm"]


def archive(kind, files):
    body = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as out:
            for name, content in files:
                out.writestr(name, content)
        return body.getvalue()
    with tarfile.open(fileobj=body, mode="w") as out:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return gzip.compress(body.getvalue()) if kind == "tgz" else body.getvalue()


def test_archives_are_known_by_their_content_and_taken_member_by_member(edge):
    names = ("study{}.zip", "study{}.tar.gz", "study{}", "deep{}/er/study.bin")
    sent = {}
    for turn, (kind, name) in enumerate(itertools.product(("zip", "tar", "tgz"), names)):
        images = {turn * 10 + number: image(turn * 10 + number) for number in range(3)}
        path = edge.clinic / name.format(turn)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive(kind, [(f"s/{number}", body) for number, body in images.items()]))
        sent |= images

    with edge.running():
        until(lambda: len(edge.receipts()) == 10)

    assert Counter(row[0] for row in edge.rows()) == Counter(f"{STEM}{number:010d}" for number in sent)
    assert all(any(body.endswith(data_set_of(path)) for body in sent.values()) for path in edge.originals())
    assert edge.waiting() == [] or {name[:4] for name in edge.waiting()} == {"deep"}
    # Each archive whose name says so is an item; the three nameless ones are loose files, the deep ones folders.
    assert sorted(text.count("3 taken") + 3 * text.count("9 taken") for text in edge.receipts()) == [1] * 9 + [3]


def test_an_archive_with_something_bad_in_it_fails_whole_but_its_good_images_are_taken(edge):
    body = archive("zip", [("good", image(1)), ("../escape", image(2)), ("notes.txt", b"hello")])
    (edge.clinic / "a.zip").write_bytes(body)

    with edge.running():
        until(lambda: edge.receipts())

    assert [row[0] for row in edge.rows()] == [f"{STEM}{1:010d}"]
    assert edge.shelf("_failed") == ["a.zip"]
    assert "path-escape" in edge.receipts()[0] and "a.zip/notes.txt" in edge.receipts()[0]


def test_an_archive_beyond_the_limits_is_refused_with_advice(tmp_path):
    edge = Edge(tmp_path, archives=Archives(max_files=2))
    (edge.clinic / "a.zip").write_bytes(archive("zip", [(str(number), image(number)) for number in range(3)]))

    with edge.running():
        until(lambda: edge.receipts())

    assert edge.rows() == [] and edge.originals() == []
    assert "archive-limit" in edge.receipts()[0] and "more than 2 files" in edge.receipts()[0]


def test_ready_ends_the_wait(tmp_path):
    edge = Edge(tmp_path, quiet_s=3600.0)
    (edge.clinic / "study").mkdir()
    (edge.clinic / "study" / "a").write_bytes(image(1))
    (edge.clinic / "other").mkdir()
    (edge.clinic / "other" / "b").write_bytes(image(2))

    with edge.running():
        time.sleep(0.6)
        assert not edge.rows()
        (edge.clinic / "study" / "READY").touch()
        until(lambda: edge.receipts())

    assert [row[0] for row in edge.rows()] == [f"{STEM}{1:010d}"]
    assert edge.shelf("_processed") == ["READY", "a"]
    assert (edge.clinic / "other" / "b").exists()


def test_the_same_file_dropped_twice_keeps_both_on_the_shelf_and_both_rows(edge):
    with edge.running():
        for turn in (1, 2):
            (edge.clinic / "a.dcm").write_bytes(image(1))
            until(lambda turn=turn: len(edge.receipts()) == turn)

    assert len(edge.rows()) == 2  # the second is told from the first by its digest, later
    assert edge.shelf("_processed") == ["a.dcm", "a.dcm"]
    assert sorted(row[4] for row in edge.rows()) == [1, 2]


def test_with_no_days_to_keep_taken_files_are_removed(tmp_path):
    edge = Edge(tmp_path, processed_days=0)
    (edge.clinic / "study").mkdir()
    (edge.clinic / "study" / "a").write_bytes(image(1))
    (edge.clinic / "study" / "b").write_bytes(b"no image")

    with edge.running():
        until(lambda: edge.receipts() and not edge.waiting())

    assert len(edge.originals()) == 1
    assert not (edge.clinic / "_processed").exists()
    assert edge.shelf("_failed") == ["b"]


def test_unlisted_clinics_are_taken_under_a_safe_name_and_projects_are_decided(edge):
    for clinic, number in (("Dr. Müller & Söhne", 1), ("clinic-b", 2)):
        (edge.inbox / clinic).mkdir(exist_ok=True)
        (edge.inbox / clinic / "a").write_bytes(image(number))

    with edge.running():
        until(lambda: len(edge.rows()) == 2)

    assert sorted(row[1:4] for row in edge.rows()) == [
        ("clinic_b", "trial", "clinic-b"),
        ("unlisted", "main", "Dr. Müller & Söhne"),
    ]
    assert all(f"-{row[1]}-" in row[5] for row in edge.rows())


def test_files_in_no_clinics_folder_are_left_and_reported(edge):
    (edge.inbox / "stray.dcm").write_bytes(image(1))
    (edge.inbox / "README.md").write_text("how to")
    (edge.inbox / "linked").symlink_to(edge.clinic)

    with edge.running():
        until(lambda: ("strays", 2) in edge.told)

    assert (edge.inbox / "stray.dcm").exists() and edge.rows() == []


def test_a_dicomdir_is_a_checklist_and_missing_files_are_reported(edge):
    disc = edge.clinic / "disc"
    (disc / "DICOM").mkdir(parents=True)
    (disc / "DICOM" / "im1").write_bytes(image(1))
    (disc / "DICOMDIR").write_bytes(dicomdir(("DICOM", "IM1"), ("DICOM", "IM2")))

    with edge.running():
        until(lambda: edge.receipts())

    (receipt,) = edge.receipts()
    assert "1 taken" in receipt and "0 not taken" in receipt
    assert "1 listed in the DICOMDIR, but not there" in receipt and "disc/DICOM/IM2" in receipt
    assert "IM1" not in receipt.replace("DICOM/im1", "")
    assert edge.shelf("_processed") == ["DICOM/im1", "DICOMDIR"]


def test_a_dicomdir_in_a_zip_is_compared_with_the_zip(edge):
    body = archive(
        "zip", [("cd/DICOMDIR", dicomdir(("A", "IM1"), ("A", "IM2"))), ("cd/A/IM1", image(1)), ("A/IM2", image(2))]
    )
    (edge.clinic / "cd.zip").write_bytes(body)

    with edge.running():
        until(lambda: edge.receipts())

    assert "cd.zip/cd/A/IM2" in edge.receipts()[0] and "2 taken" in edge.receipts()[0]


def dicomdir(*listed):
    from pydicom.dataset import Dataset

    records = []
    for components in listed:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = list(components)
        records.append(record)
    data = Dataset()
    data.FileSetID = "X"
    data.DirectoryRecordSequence = records
    return make.file(data, MediaStorageSOPClassUID="1.2.840.10008.1.3.10", MediaStorageSOPInstanceUID="1.2.3")


def test_a_full_disk_makes_items_wait_and_nothing_is_moved_or_failed(tmp_path):
    edge = Edge(tmp_path, reserve_gb=1e6)
    (edge.clinic / "study").mkdir()
    (edge.clinic / "study" / "a").write_bytes(image(1))

    with edge.running():
        until(lambda: any(told[0] == "item" and told[2] == "error" for told in edge.told))
        time.sleep(0.5)

    assert (edge.clinic / "study" / "a").exists()
    assert edge.shelf("_failed") == []
    assert ["WAITING" in text and "its disk is full" in text for text in edge.receipts()] == [True]

    edge.config = Edge(tmp_path).config
    with edge.running():
        until(lambda: ["1 taken: safely stored" in text for text in edge.receipts()] == [True])
    assert len(edge.rows()) == 1 and {row[4] for row in edge.rows()} == {1}


def test_a_clinic_that_goes_away_is_shown_and_comes_back_and_ends_nothing(edge):
    with edge.running():
        (edge.clinic / "a").write_bytes(image(1))
        until(lambda: edge.receipts())
        edge.clinic.rename(edge.inbox.parent / "away")
        until(lambda: edge.unreachable() == 1)
        (edge.inbox / "clinic-c").mkdir()
        (edge.inbox / "clinic-c" / "b").write_bytes(image(2))
        until(lambda: len(edge.rows()) == 2)
        (edge.inbox.parent / "away").rename(edge.clinic)
        (edge.clinic / "c").write_bytes(image(3))
        until(lambda: len(edge.rows()) == 3)
        until(lambda: edge.unreachable() == 0)


def test_an_inbox_that_goes_away_is_shown_and_comes_back(edge):
    with edge.running():
        edge.inbox.rename(edge.inbox.parent / "away")
        until(lambda: ("root_unreachable", True) in edge.told)
        (edge.inbox.parent / "away").rename(edge.inbox)
        (edge.clinic / "a").write_bytes(image(1))
        until(lambda: edge.receipts())
        assert ("root_unreachable", False) in edge.told


def test_a_file_that_somebody_is_still_writing_waits_however_quiet_it_is(edge):
    body = image(1)
    with edge.running():
        with (edge.clinic / "slow").open("wb") as file:
            file.write(body[:-10])
            file.flush()
            time.sleep(1.5)
            assert edge.rows() == []
            file.write(body[-10:])
        until(lambda: edge.receipts())

    (original,) = edge.originals()
    assert body.endswith(data_set_of(original))


def test_an_item_cut_by_a_stop_goes_on_under_its_number(edge, monkeypatch):
    (edge.clinic / "study").mkdir()
    for number in range(6):
        (edge.clinic / "study" / str(number)).write_bytes(image(number))
    begin, begun = Door.begin, []

    with edge.running() as service:

        def begin_three(self, *facts):
            begun.append(1)
            if len(begun) == 3:
                service._stopping.set()
            return begin(self, *facts)

        monkeypatch.setattr(Door, "begin", begin_three)
        until(lambda: len(begun) >= 3)
    monkeypatch.undo()
    assert len(edge.originals()) == 3 and edge.receipts() == []

    with edge.running():
        until(lambda: edge.receipts())

    assert {row[4] for row in edge.rows()} == {1} and len(edge.rows()) == 6
    assert "6 taken" in edge.receipts()[0]
    assert list((edge.clinic / "_receipts").glob(".*")) == []


def test_the_receipt_tells_what_the_journal_says_later(edge):
    for number in range(2):
        (edge.clinic / f"{number}").write_bytes(image(number))

    with edge.running():
        until(lambda: len(edge.rows()) == 2 and edge.receipts())
        spool = Inside(edge.state / "inside", reserve_bytes=0)
        first, _ = spool.claim(2, time.time(), set())
        spool.quarantine(first, Reason.BURNED_IN_RISK, "")
        spool.close()
        until(lambda: "1 quarantined: burned-in-risk" in edge.receipts()[0])

    assert "1 on their way" in edge.receipts()[0]


def test_item_numbers_go_on_when_the_journal_was_lost(edge):
    with edge.running():
        for turn in (1, 2):
            (edge.clinic / f"{turn}").write_bytes(image(turn))
            until(lambda turn=turn: len(edge.receipts()) == turn)
    shutil.rmtree(edge.state)

    with edge.running():
        (edge.clinic / "3").write_bytes(image(3))
        until(lambda: len(edge.receipts()) == 3)

    assert {row[4] for row in edge.rows()} == {3}


def test_the_clinics_own_names_appear_in_its_folder_only(edge, caplog):
    caplog.set_level("DEBUG")
    secret = "Mustermann_Erika_1964"
    (edge.clinic / secret).mkdir()
    (edge.clinic / secret / f"{secret}.dcm").write_bytes(image(1))
    (edge.clinic / secret / f"{secret}.txt").write_bytes(b"no image")
    (edge.clinic / f"{secret}.zip").write_bytes(archive("zip", [(f"{secret}/a", image(2)), (secret, b"no")]))

    with edge.running():
        until(lambda: len(edge.receipts()) == 2 and len(edge.rows()) == 2)

    for record in caplog.records:
        assert secret not in str(record.__dict__)
    assert secret not in str(edge.told)
    for path in edge.state.rglob("*"):
        assert secret not in str(path)
        assert not path.is_file() or secret.encode() not in path.read_bytes()
    assert secret in "".join(edge.receipts())


WRITERS = ("in place", "part and rename", "move in", "folder move in")


def drop(how, clinic, outside, first, count):
    """Bring ``count`` files in, in one of the ways that programs do it."""
    if how == "folder move in":
        for start in range(first, first + count, 250):
            folder = outside / f"folder{start}"
            folder.mkdir(parents=True)
            for number in range(start, start + 250):
                (folder / f"{number}.dcm").write_bytes(image(number))
            folder.rename(clinic / folder.name)
        return
    folder = clinic / how.replace(" ", "-")
    for number in range(first, first + count):
        folder.mkdir(exist_ok=True)
        body = image(number)
        target = folder / f"{number}.dcm" if number % 2 else clinic / f"{number}.dcm"
        if how == "in place":
            with target.open("wb") as file:
                file.write(body[:300])
                file.write(body[300:])
        elif how == "part and rename":
            part = target.with_name(target.name + ".part")
            part.write_bytes(body)
            part.rename(target)
        else:
            aside = outside / f"{number}"
            aside.write_bytes(body)
            aside.rename(target)


@pytest.mark.parametrize("events", [True, False], ids=["with events", "by scanning alone"])
def test_ten_thousand_files_brought_in_every_way_are_each_taken_once_and_none_is_lost(tmp_path, events):
    count = 2500 if events else 500  # of each of the four ways
    edge = Edge(tmp_path, events=events, processed_days=7)
    outside = tmp_path / "outside"
    outside.mkdir()

    with edge.running():
        writers = [
            threading.Thread(target=drop, args=(how, edge.clinic, outside, index * 100_000, count))
            for index, how in enumerate(WRITERS)
        ]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        wanted = {f"{STEM}{index * 100_000 + number:010d}" for index in range(4) for number in range(count)}
        until(lambda: len(edge.rows()) >= len(wanted), "all rows", 4 * PATIENCE_S, every_s=0.5)
        # The longer a scan took the longer it is until the next.
        until(lambda: not edge.waiting(), "an empty folder", 4 * PATIENCE_S, every_s=0.5)

    rows = Counter(row[0] for row in edge.rows())
    assert set(rows) == wanted
    assert set(rows.values()) == {1}
    assert len(edge.shelf("_processed")) == len(wanted)
    assert edge.shelf("_failed") == []
    assert not list((edge.clinic / "_receipts").glob(".item*"))
    assert sum(int(line.split()[0]) for text in edge.receipts() for line in text.splitlines() if " taken:" in line) == (
        len(wanted)
    )
