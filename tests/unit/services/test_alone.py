"""One process of a role for each state folder; and what is said when the disk does not let one begin."""

import errno
import gc
import os
import signal
import sqlite3
import subprocess
import sys
import threading

import pytest

from appliance.errors import CannotStart, SpoolFull
from appliance.services import alone
from appliance.services.alone import Alone, Lock
from appliance.services.roles import build, published
from appliance.spool.database import Database
from tests.make.site import configured
from tests.peers.patience import PATIENCE_S, until

MORE = "deidentify: {workers: 1}\nscp: {host: 127.0.0.1, port: 0}\ninbox: {path: ./inbox}\n"


class Quiet:
    name = "quiet"

    def __init__(self, trouble=None):
        self.trouble, self.calls = trouble, []

    def start(self):
        self.calls.append("start")
        if self.trouble:
            raise self.trouble

    def step(self):
        return False

    def stop(self):
        self.calls.append("stop")


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path, MORE)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(alone, "PATIENCE_S", 0.0)


def made(site, role):
    return build(role, site, published(role, site), development=True)


@pytest.mark.parametrize("role", ["inbox", "deidentify", "forward", "purge"])
def test_a_second_of_a_role_does_not_start_until_the_first_has_stopped(site, role, impatient):
    first, second = made(site, role), made(site, role)
    first.start()
    try:
        with pytest.raises(CannotStart, match=f"The {role} service of this state folder is running already"):
            second.start()
    finally:
        first.stop()

    second.start()
    second.stop()


def test_several_may_receive(site, impatient):
    first, second = made(site, "receive"), made(site, "receive")
    first.start()
    second.start()
    second.stop()
    first.stop()


def test_the_same_role_on_another_state_folder_starts(tmp_path, impatient):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (made(configured(tmp_path / name, MORE), "forward") for name in "ab")
    first.start()
    second.start()
    second.stop()
    first.stop()


def test_one_that_is_just_ending_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(alone, "PATIENCE_S", PATIENCE_S)
    held = Lock(tmp_path / "role.lock")
    assert held.take()
    service = Alone("quiet", Quiet, tmp_path / "role.lock")
    ending = threading.Timer(0.3, held.release)
    ending.start()

    service.start()

    ending.join()
    service.stop()


def test_a_killed_holder_holds_nothing(site, tmp_path):
    command = [sys.executable, "-m", "appliance.cli", "run", "-c", str(site.file), "purge"]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert any('"started"' in line for line in first.stderr)
    second = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert second.returncode == 1
    assert "running already" in second.stderr and "Stop the other first" in second.stderr
    assert "Traceback" not in second.stderr
    first.send_signal(signal.SIGKILL)
    first.communicate()

    third = made(site, "purge")
    third.start()
    third.stop()


def test_a_lock_file_that_was_removed_is_made_again_and_a_link_is_not_followed(tmp_path):
    path = tmp_path / "role.lock"
    first = Lock(path)
    assert first.take()
    path.unlink()
    second = Lock(path)
    assert second.take() and not Lock(path).take()
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Lock(path).take()


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (OSError(errno.EROFS, "Read-only file system", "/var/x"), "refused /var/x: Read-only file system"),
        (OSError(errno.ENOSPC, "No space left on device", "/var/x"), "Free space there, then start it again"),
        (SpoolFull("The file system of /var is full. Free space there."), "has not started. The file system of /var"),
    ],
)
def test_what_the_disk_refuses_at_the_start_is_told_and_lets_go_of_the_lock(tmp_path, trouble, words):
    path = tmp_path / "role.lock"
    service = Alone("quiet", lambda: Quiet(trouble), path)

    with pytest.raises(CannotStart) as told:
        service.start()

    assert words in str(told.value) and "quiet" in str(told.value)
    assert Lock(path).take()


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (sqlite3.SQLITE_FULL, SpoolFull, "Free space there, then start again"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, SpoolFull, "is full"),
        (sqlite3.SQLITE_READONLY, OSError, "rows.db"),
        (sqlite3.SQLITE_CANTOPEN, OSError, "rows.db"),
        (sqlite3.SQLITE_IOERR_READ, OSError, "rows.db"),
        (sqlite3.SQLITE_BUSY, sqlite3.OperationalError, "no"),
    ],
)
def test_a_database_that_the_disk_does_not_let_open_says_so(tmp_path, monkeypatch, code, kind, words):
    def refuse(_self, _connection):
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode = code
        raise error

    monkeypatch.setattr(Database, "_make_schema", refuse)

    with pytest.raises(kind) as told:
        Database(tmp_path / "rows.db", "CREATE TABLE a (b);")

    assert words in str(told.value)
    assert not list(tmp_path.glob("*.damaged-*")), "it may be sound"


def remounted_read_only(folder):
    gc.collect()  # a connection that is no longer used keeps its file open until it is collected
    return subprocess.run(["mount", "-o", "remount,ro", folder], stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to mount a small file system")
@pytest.mark.parametrize("trouble", ["full", "read-only"])
def test_a_disk_that_is_full_or_read_only_at_the_start_is_told_to_hospital_it(tmp_path, trouble):
    (tmp_path / "var").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", tmp_path / "var"]).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        site = configured(tmp_path, MORE)
        if trouble == "full":
            with pytest.raises(OSError), (tmp_path / "var" / "filler").open("wb", buffering=0) as filler:
                while True:
                    filler.write(b"x" * 4096)
        else:
            for role in ("inbox", "forward", "purge", "receive"):
                service = made(site, role)
                service.start()
                service.stop()
            assert until(lambda: remounted_read_only(tmp_path / "var")), "somebody still writes there"
        for role in ("inbox", "forward", "purge", "receive"):
            command = [sys.executable, "-m", "appliance.cli", "run", "-c", str(site.file), role]
            ended = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
            assert ended.returncode == 1, role
            assert "nobody expected" not in ended.stderr and "Traceback" not in ended.stderr, ended.stderr
            assert "start" in ended.stderr.splitlines()[-1]
            assert ("Free space" if trouble == "full" else "state") in ended.stderr
    finally:
        subprocess.run(["umount", "-l", tmp_path / "var"], check=True)
