"""Events only wake; where there are none, nothing is missed."""

import errno
import logging
import time
from pathlib import Path

import pytest

from appliance.intake import wake
from appliance.intake.wake import Waker, file_system_of
from tests.peers.patience import until


@pytest.fixture
def woken(tmp_path):
    """A waker, and the folders for which it called, in order."""
    called = []
    waker = Waker(called.append)
    yield waker, called
    waker.stop()


def test_a_file_that_comes_wakes(woken, tmp_path):
    waker, called = woken
    assert waker.watch(tmp_path)

    (tmp_path / "a").write_bytes(b"x")

    assert until(lambda: tmp_path in called)


def test_reading_and_looking_do_not_wake(woken, tmp_path):
    waker, called = woken
    (tmp_path / "a").write_bytes(b"x")
    waker.watch(tmp_path)

    (tmp_path / "a").read_bytes()
    list(tmp_path.iterdir())
    time.sleep(0.3)

    assert called == []


def test_a_folder_put_in_the_place_of_another_is_watched_anew(woken, tmp_path):
    waker, called = woken
    folder = tmp_path / "clinic"
    folder.mkdir()
    waker.watch(folder)
    folder.rename(tmp_path / "old")
    folder.mkdir()
    waker.watch(folder)
    time.sleep(0.2)
    called.clear()

    (folder / "a").write_bytes(b"x")

    assert until(lambda: folder in called)


def test_without_events_the_reason_is_told_once_and_nothing_breaks(woken, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    waker, _ = woken

    class Limited:
        def start(self): ...

        def schedule(self, *_, **__):
            raise OSError(errno.EMFILE, "inotify instance limit reached")

        def stop(self): ...

        def join(self, timeout): ...

    monkeypatch.setattr(wake, "Observer", Limited)

    assert [waker.watch(tmp_path) for _ in range(3)] == [False] * 3
    assert [record.problem for record in caplog.records] == ["inotify instance limit reached"]


def test_network_shares_are_not_even_asked(woken, tmp_path, monkeypatch):
    waker, _ = woken
    monkeypatch.setattr(wake, "file_system_of", lambda folder: "cifs")

    assert not waker.watch(tmp_path)


def test_a_folder_that_is_not_there_is_not_watched(woken, tmp_path):
    waker, _ = woken

    assert not waker.watch(tmp_path / "none")


def test_the_type_of_a_file_system_is_read_from_the_mounts(tmp_path):
    assert file_system_of(tmp_path) != ""
    assert file_system_of(tmp_path / "none") == ""


def test_the_library_that_names_files_in_its_log_is_silent(woken, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    waker, called = woken
    waker.watch(tmp_path)

    (tmp_path / "Mustermann").write_bytes(b"x")

    assert until(lambda: called)
    assert "Mustermann" not in caplog.text


def test_many_folders_cost_one_instance_of_inotify(woken, tmp_path):
    waker, _ = woken
    folders = [tmp_path / str(number) for number in range(20)]
    for folder in folders:
        folder.mkdir()
    before = _inotify_instances()

    assert all(waker.watch(folder) for folder in folders)

    assert _inotify_instances() - before == 1


def _inotify_instances():
    found = []
    for path in Path("/proc/self/fd").iterdir():
        try:
            found.append(str(path.readlink()))
        except OSError:
            continue
    return sum("inotify" in link for link in found)
