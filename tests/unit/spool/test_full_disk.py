"""A disk that is really full: refused in good order, nothing half-made, and everything works once there is space."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import SpoolFull
from appliance.reasons import Reason
from tests.make.spooled import House, arrival


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=2770", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


def fill(folder: Path, leave: int) -> Path:
    """Fill the file system but for ``leave`` bytes; return the file to remove."""
    ballast = folder / "ballast"
    found = os.statvfs(folder)
    ballast.write_bytes(b"\0" * (found.f_bavail * found.f_frsize - leave))
    return ballast


def test_a_draft_that_fills_the_disk_leaves_nothing_and_the_next_works_once_there_is_space(small):
    house = House(small / "var")
    ballast = fill(small, 512 * 1024)
    with house.spool.receiving("receive") as receiving:
        with pytest.raises(SpoolFull), receiving.draft() as draft:
            while True:
                draft.write(b"x" * 65_536)
        assert list(receiving.folder.iterdir()) == []

        ballast.unlink()
        with receiving.draft() as draft:
            draft.write(b"x" * 1_000_000)
            draft.keep(arrival(1).id)

    house.recover()
    assert house.instance(arrival(1).id).size == 1_000_000
    house.close()


def test_a_row_that_does_not_fit_comes_later_and_no_original_is_lost(small):
    house = House(small / "var")
    came = [arrival(number) for number in range(600)]
    for each in came[:20]:
        house.write(each)
    ballast = fill(small, 0)

    with pytest.raises(SpoolFull):
        while True:  # until the log's last page is used up
            house.spool.arrived(came)
            house.spool.settings.put("filler", "x" * 100_000)

    ballast.unlink()
    house.spool.arrived(came)
    assert sum(count.n for count in house.spool.counts()) == 600
    assert house.spool.journal.database.check(full=True) == []
    house.close()


def test_a_quarantine_that_does_not_fit_is_finished_later(small):
    house = House(small / "var")
    (instance,) = house.receive(1)
    house.spool.quarantine(house.receive(2)[0], Reason.RULE, "")  # the folder is there
    before = house.body(instance.id)
    ballast = fill(small, 0)

    with pytest.raises(SpoolFull):
        house.spool.quarantine(instance, Reason.RULE, "")

    assert house.body(instance.id) == before
    ballast.unlink()
    if house.instance(instance.id).state == "RECEIVED":
        house.spool.quarantine(house.instance(instance.id), Reason.RULE, "")
    house.recover()
    assert house.spool.original(instance.id) == house.spool.layout.quarantined(instance.id, Reason.RULE)
    house.close()
