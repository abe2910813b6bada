"""Files that survive, and that nothing half-made is left behind."""

import errno
import io
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.errors import SpoolFull, Unsafe
from appliance.spool import files
from appliance.spool.files import LockedFolder, Receiving, free_bytes, open_regular, put_durably, rename_durably, sweep

ID = "20261120T181522123Z-CT1-k7f3q9"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Full:
    """A body, or a step, for which the disk has no space."""

    def __init__(self, code: int = errno.ENOSPC) -> None:
        self.code = code

    def read(self, _size: int = -1) -> bytes:
        raise OSError(self.code, os.strerror(self.code))

    def __call__(self, *_args: object) -> None:
        raise OSError(self.code, os.strerror(self.code))


@pytest.fixture
def received(tmp_path: Path) -> Path:
    folder = tmp_path / "received"
    folder.mkdir()
    return folder


@pytest.fixture
def receiving(tmp_path: Path, received: Path):
    with Receiving(tmp_path / "receiving", "receive", 0, lambda spool_id: received / f"{spool_id}.dcm") as folder:
        yield folder


def test_what_is_put_is_there_as_a_whole_and_nothing_beside_it(tmp_path):
    target = tmp_path / "note.txt"
    target.write_text("before")

    size = put_durably(io.BytesIO(b"after"), target)

    assert size == 5
    assert target.read_bytes() == b"after"
    assert names(tmp_path) == ["note.txt"]


def test_what_is_put_can_be_read_by_the_group_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        put_durably(io.BytesIO(b"x"), tmp_path / "note.txt")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "note.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_or_quota_is_told_as_spool_full_and_leaves_what_was_there(tmp_path, code):
    target = tmp_path / "note.txt"
    target.write_text("before")

    with pytest.raises(SpoolFull):
        put_durably(Full(code), target)  # type: ignore[arg-type]

    assert target.read_text() == "before"
    assert names(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("step", ["fsync_file", "rename"])
def test_another_fault_is_raised_as_it_is_and_leaves_nothing(tmp_path, monkeypatch, step):
    monkeypatch.setattr(files, step, Full(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        put_durably(io.BytesIO(b"x"), tmp_path / "note.txt")

    assert names(tmp_path) == []


def test_a_new_name_is_durable_before_the_old_one_is_gone_for_good(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"x")
    synced = []
    monkeypatch.setattr(files, "fsync_folder", lambda folder: synced.append(folder.name))

    rename_durably(tmp_path / "a" / "x", tmp_path / "b" / "x")
    rename_durably(tmp_path / "b" / "x", tmp_path / "b" / "y")

    assert synced == ["b", "a", "b"]


def test_only_regular_files_with_one_link_are_opened(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"image")
    (tmp_path / "link").symlink_to(plain)
    os.mkfifo(tmp_path / "fifo")

    with open_regular(plain) as file:
        assert file.read() == b"image"
    assert files.is_regular(plain)
    for name in ("link", "fifo", "."):
        with pytest.raises(Unsafe):
            open_regular(tmp_path / name)
        assert not files.is_regular(tmp_path / name)
    os.link(plain, tmp_path / "second")
    with pytest.raises(Unsafe):
        open_regular(plain)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nothing")
    assert not files.is_regular(tmp_path / "nothing")


def test_a_file_system_without_inodes_has_no_free_bytes(tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)
    assert free_bytes(tmp_path) == pytest.approx(real.f_bavail * real.f_frsize, rel=0.5)

    class Found:
        f_files, f_favail, f_bavail, f_frsize = 1000, 0, 10**6, 4096

    monkeypatch.setattr(os, "statvfs", lambda _path: Found)
    assert free_bytes(tmp_path) == 0


def test_a_folder_is_shared_with_its_group_whatever_the_umask(tmp_path):
    before = os.umask(0o077)
    try:
        files.make_folder(tmp_path / "a" / "b")
        files.make_folder(tmp_path / "a" / "b")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o2770
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o2770


# --- receiving --------------------------------------------------------------------------------------------------------


def test_a_kept_draft_is_the_received_file_and_the_folder_of_drafts_is_empty(receiving, received):
    draft = receiving.draft()
    draft.write(b"head")
    draft.write(memoryview(b"body"))

    path = draft.keep(ID)

    assert path == received / f"{ID}.dcm"
    assert path.read_bytes() == b"headbody"
    assert draft.size == 8
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert names(receiving.folder) == []


def test_file_then_name_are_durable_before_keep_returns(receiving, received, monkeypatch):
    steps = []
    real = files.rename
    monkeypatch.setattr(files, "fsync_file", lambda _fd: steps.append("file"))
    monkeypatch.setattr(files, "rename", lambda a, b: (steps.append("rename"), real(a, b)))
    monkeypatch.setattr(files, "fsync_folder", lambda folder: steps.append(folder))

    receiving.draft().keep(ID)

    assert steps == ["file", "rename", received]


def test_a_dropped_draft_leaves_nothing(receiving, received):
    with receiving.draft() as draft:
        draft.write(b"half")

    assert names(receiving.folder) == []
    assert names(received) == []


def test_dropping_after_keeping_keeps(receiving):
    with receiving.draft() as draft:
        path = draft.keep(ID)
    draft.drop()

    assert path.exists()


@pytest.mark.parametrize("step", ["fsync_file", "rename", "fsync_folder"])
def test_what_could_not_be_kept_was_never_received(receiving, received, monkeypatch, step):
    draft = receiving.draft()
    draft.write(b"body")
    monkeypatch.setattr(files, step, Full(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        draft.keep(ID)

    assert names(received) == []
    assert names(receiving.folder) == []


def test_a_disk_that_fills_while_syncing_is_told_as_spool_full(receiving, monkeypatch):
    draft = receiving.draft()
    monkeypatch.setattr(files, "fsync_file", Full())

    with pytest.raises(SpoolFull):
        draft.keep(ID)


def test_a_write_that_the_disk_refuses_is_told_as_spool_full(receiving):
    draft = receiving.draft()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, draft.fd)
    os.close(full)

    with pytest.raises(SpoolFull):
        draft.write(b"body")


def test_an_id_is_never_given_to_two_files(receiving):
    first = receiving.draft()
    first.write(b"first")
    path = first.keep(ID)
    second = receiving.draft()
    second.write(b"second")

    with pytest.raises(FileExistsError):
        second.keep(ID)

    assert path.read_bytes() == b"first"
    assert names(receiving.folder) == []


def test_below_the_reserve_no_draft_is_begun(tmp_path):
    with Receiving(tmp_path / "receiving", "receive", 1 << 60, lambda _id: tmp_path) as receiving:
        assert not receiving.has_room
        with pytest.raises(SpoolFull, match="retry later"):
            receiving.draft()
        assert names(receiving.folder) == []


def test_drafts_of_many_threads_do_not_meet(receiving, received):
    def receive(number: int) -> None:
        for turn in range(20):
            with receiving.draft() as draft:
                draft.write(f"{number} {turn}".encode())
                draft.keep(f"{number}-{turn}")

    threads = [threading.Thread(target=receive, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(path.stem for path in received.iterdir()) == sorted(f"{n}-{t}" for n in range(4) for t in range(20))


# --- folders of processes ---------------------------------------------------------------------------------------------


def test_only_folders_that_no_process_holds_are_swept(tmp_path):
    living = LockedFolder(tmp_path, "receive")
    (living.folder / "half").write_bytes(b"x")
    dead = tmp_path / "inbox-0123"
    dead.mkdir()
    (dead / "half").write_bytes(b"x")

    mine = LockedFolder(tmp_path, "receive")

    assert not dead.exists()
    assert (living.folder / "half").exists()
    assert mine.folder.name.startswith("receive-")
    living.close()
    living.close()
    assert not living.folder.exists()


def test_sweeping_follows_no_link_and_minds_no_file(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "image").write_bytes(b"x")
    root = tmp_path / "receiving"
    root.mkdir()
    (root / "link").symlink_to(precious)
    (root / "file").write_bytes(b"x")

    assert sweep(root) == 0

    assert (precious / "image").exists()


def test_a_folder_that_a_sweeper_took_is_made_again(tmp_path, monkeypatch):
    real, turns = files._try_lock, []

    def once_taken(folder: Path) -> int | None:
        lock = real(folder)
        turns.append(folder)
        if len(turns) == 1 and lock is not None:  # a sweeper holds the lock
            os.close(lock)
            return None
        if len(turns) == 2:  # a sweeper removed it before we had the lock
            folder.rmdir()
        return lock

    monkeypatch.setattr(files, "_try_lock", once_taken)

    with LockedFolder(tmp_path, "receive") as mine:
        assert mine.folder == turns[2]
        assert mine.folder.is_dir()


def test_services_that_start_at_the_same_moment_sweep_beside_each_other(tmp_path):
    root, stop, faults = tmp_path / "receiving", threading.Event(), []

    def start_again_and_again():
        try:
            while not stop.is_set():
                LockedFolder(root, "inbox").close()
        except OSError as error:
            faults.append(error)

    starting = [threading.Thread(target=start_again_and_again) for _ in range(3)]
    for each in starting:
        each.start()
    stop.wait(1.5)
    stop.set()
    for each in starting:
        each.join()

    assert faults == []
    assert list(root.iterdir()) == []


def test_a_nameless_file_leaves_nothing_behind_however_its_process_ends(tmp_path):
    program = (
        "import os, pathlib, signal\nfrom appliance.spool.files import nameless\n"
        f"file = nameless(pathlib.Path({str(tmp_path)!r}))\nfile.write(b'scratch' * 100000)\nfile.flush()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    ended = subprocess.run([sys.executable, "-c", program], check=False)

    assert ended.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_folder_below_a_shared_one_is_shared_without_the_right_to_set_such_modes(tmp_path, monkeypatch):
    """As in a unit with RestrictSUIDSGID=yes, where chmod with setgid is refused."""
    tmp_path.chmod(files.FOLDER_MODE)
    before = os.umask(0o007)

    def refused(*_args, **_more):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refused)
    try:
        files.make_folder(tmp_path / "received" / "00")
        with LockedFolder(tmp_path / "receiving", "receive") as locked:
            modes = {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "received" / "00", locked.folder)}
    finally:
        os.umask(before)

    assert modes == {files.FOLDER_MODE}
