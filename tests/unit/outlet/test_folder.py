"""A folder as a destination."""

import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from appliance.errors import CannotStart
from appliance.outlet.destination import FileLost, FileSpoilt, RefusedForGood, Stored, There
from appliance.outlet.folder import Folder, connect, is_uid
from appliance.reasons import Reason
from tests.make.destinations import folder_destination
from tests.make.parcels import changed, parcels, spoil


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


def path_of(shelf, parcel):
    return shelf / parcel.study / parcel.series / f"{parcel.sop_instance}.dcm"


def test_instances_lie_by_study_and_series_under_their_uid(shelf, tmp_path):
    batch = parcels(tmp_path / "ready", count=3)

    receipt = Folder(shelf, existing="kept").deliver(batch)

    assert receipt.verdicts == {parcel.out: Stored() for parcel in batch}
    for parcel in batch:
        assert path_of(shelf, parcel).read_bytes() == parcel.file.read_bytes()
    assert not list(shelf.rglob("*.part"))


@pytest.mark.parametrize("existing", ["kept", "replaced"])
def test_the_same_instance_again_is_stored_and_not_doubled(shelf, tmp_path, existing):
    [parcel] = parcels(tmp_path / "ready", count=1)
    folder = Folder(shelf, existing=existing)
    folder.deliver([parcel])
    before = path_of(shelf, parcel).stat().st_ino

    receipt = folder.deliver([parcel])

    assert receipt.verdicts == {parcel.out: Stored()}
    assert path_of(shelf, parcel).stat().st_ino == before


def test_a_changed_version_replaces_the_old_one_where_that_is_configured(shelf, tmp_path):
    [first] = parcels(tmp_path / "ready", count=1)
    second = changed(first, "second")
    folder = Folder(shelf, existing="replaced")
    folder.deliver([first])

    receipt = folder.deliver([second])

    assert receipt.verdicts == {second.out: Stored()}
    assert path_of(shelf, first).read_bytes() == second.file.read_bytes()


def test_a_changed_version_is_refused_where_the_old_one_is_kept(shelf, tmp_path):
    [first] = parcels(tmp_path / "ready", count=1)
    second = changed(first, "second")
    folder = Folder(shelf, existing="kept")
    folder.deliver([first])

    receipt = folder.deliver([second])

    verdict = receipt.verdicts[second.out]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.ALREADY_THERE_DIFFERENT
    assert path_of(shelf, first).read_bytes() == first.file.read_bytes()


def test_looking_tells_absent_same_and_different_apart(shelf, tmp_path):
    first, other = parcels(tmp_path / "ready", count=2)
    folder = Folder(shelf, existing="kept")
    folder.deliver([first])

    assert folder.look(first) is There.SAME
    assert folder.look(changed(first, "second")) is There.DIFFERENT
    assert folder.look(other) is There.ABSENT


@pytest.mark.parametrize("uid", ["../../etc", "1.2.3/..", "", "1", "1..2", "1.02", ".1.2", "1.2.", "1" * 65, "1.2\n"])
def test_what_is_no_uid_becomes_no_path(shelf, tmp_path, uid):
    [parcel] = parcels(tmp_path / "ready", count=1)

    receipt = Folder(shelf, existing="kept").deliver([replace(parcel, study=uid)])

    assert isinstance(receipt.verdicts[parcel.out], RefusedForGood)
    assert not is_uid(uid)
    assert list(shelf.rglob("*")) == []


def test_a_link_in_the_folder_leads_no_file_elsewhere(shelf, tmp_path):
    [parcel] = parcels(tmp_path / "ready", count=1)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (shelf / parcel.study).symlink_to(elsewhere)

    receipt = Folder(shelf, existing="kept").deliver([parcel])

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert list(elsewhere.rglob("*")) == []


def test_a_file_that_is_no_dicom_under_its_name_is_not_taken_for_ours(shelf, tmp_path):
    [parcel] = parcels(tmp_path / "ready", count=1)
    path_of(shelf, parcel).parent.mkdir(parents=True)
    path_of(shelf, parcel).write_bytes(b"something else")

    receipt = Folder(shelf, existing="kept").deliver([parcel])

    assert isinstance(receipt.verdicts[parcel.out], RefusedForGood)


def test_a_folder_that_went_away_pauses_the_destination_and_is_not_made_in_its_place(shelf, tmp_path):
    batch = parcels(tmp_path / "ready", count=2)
    folder = Folder(shelf, existing="kept")
    shelf.rmdir()

    receipt = folder.deliver(batch)

    assert receipt.verdicts == {}
    assert "mounted" in receipt.unavailable.detail
    assert not shelf.exists()


def test_a_full_disk_pauses_the_destination_leaves_no_half_file_and_goes_on_later(tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user can't mount a small file system")
    try:
        batch = parcels(tmp_path / "ready", count=4)
        folder = Folder(small, existing="kept")

        full = folder.deliver(batch)

        assert 0 < len(full.verdicts) < 4
        assert "space" in full.unavailable.detail
        assert len(list(small.rglob("*.dcm"))) == len(full.verdicts)
        assert not list(small.rglob(".*.part"))
        left = [parcel for parcel in batch if parcel.out not in full.verdicts]
        for taken in small.rglob("*.dcm"):
            taken.unlink()
        assert folder.deliver(left[:1]).verdicts == {left[0].out: Stored()}
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_what_a_crash_left_half_written_is_written_over(shelf, tmp_path):
    [parcel] = parcels(tmp_path / "ready", count=1)
    path_of(shelf, parcel).parent.mkdir(parents=True)
    (path_of(shelf, parcel).parent / f".{parcel.out}.part").write_bytes(b"half")

    receipt = Folder(shelf, existing="kept").deliver([parcel])

    assert receipt.verdicts == {parcel.out: Stored()}
    assert not list(shelf.rglob(".*.part"))


def test_the_name_is_on_disk_before_it_counts(shelf, tmp_path, monkeypatch):
    [parcel] = parcels(tmp_path / "ready", count=1)
    done = []
    real_sync, real_rename = os.fsync, os.rename
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), real_sync(handle))[1])
    monkeypatch.setattr(os, "rename", lambda *args, **more: (done.append("rename"), real_rename(*args, **more))[1])

    Folder(shelf, existing="kept").deliver([parcel])

    assert done[-3:] == ["fsync", "rename", "fsync"]


def test_a_ready_file_that_vanished_is_told_apart(shelf, tmp_path):
    here, gone = parcels(tmp_path / "ready", count=2)
    gone.file.unlink()

    receipt = Folder(shelf, existing="kept").deliver([gone, here])

    assert receipt.verdicts == {gone.out: FileLost(), here.out: Stored()}


def test_a_ready_file_that_the_disk_spoilt_is_told_apart_and_not_copied(shelf, tmp_path):
    here, spoilt = parcels(tmp_path / "ready", count=2)
    spoil(spoilt.file)

    receipt = Folder(shelf, existing="kept").deliver([spoilt, here])

    assert receipt.verdicts == {spoilt.out: FileSpoilt(), here.out: Stored()}
    assert not path_of(shelf, spoilt).exists()


def test_the_folder_is_made_at_the_start_if_its_parent_is_there(tmp_path):
    connect(folder_destination(tmp_path / "new"))
    assert (tmp_path / "new").is_dir()

    with pytest.raises(CannotStart, match="can't be made"):
        connect(folder_destination(tmp_path / "not" / "there"))


def test_dcmtk_reads_what_was_written(shelf, tmp_path):
    if shutil.which("dcmftest") is None:
        pytest.skip("package dcmtk is not installed")
    [parcel] = parcels(tmp_path / "ready", count=1)
    Folder(shelf, existing="kept").deliver([parcel])

    subprocess.run(["dcmftest", str(path_of(shelf, parcel))], check=True, capture_output=True)
