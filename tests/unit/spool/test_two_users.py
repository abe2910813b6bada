"""Services are different users of one group: each can do its part, whatever its umask, and no one else gets in."""

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.reasons import Reason
from appliance.spool.overview import Overview
from tests.make.spooled import House

GROUP, RECEIVE, WORK, WATCH, STRANGER = 64_100, 64_101, 64_102, 64_103, 64_104


@pytest.fixture
def state() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root: it becomes other users")
    # Not tmp_path: its parents are for one user only.
    folder = Path(tempfile.mkdtemp(prefix="two-users-"))
    folder.chmod(0o755)
    state = folder / "var"
    for made in (state, state / "inside", state / "outside"):
        made.mkdir()
        os.chown(made, 0, GROUP)
        made.chmod(0o2770)
    yield state
    shutil.rmtree(folder)


def done_by(user: int, work: Callable[[], object], group: int = GROUP) -> str:
    """Do ``work`` as another user, in a process of its own; return the traceback of what it raised, or ""."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        said = ""
        try:
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)
            os.umask(0o077)
            work()
        except BaseException:  # noqa: BLE001 - the parent judges whatever it was
            said = traceback.format_exc()
        os.write(theirs, said.encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def test_users_of_one_group_share_both_sides_and_strangers_do_not(state):
    def works() -> None:
        house = House(state)
        first, second, third = house.spool.claim(10, house.clock(), set())
        house.spool.quarantine(first, Reason.RULE, "")
        house.spool.release(first.id)
        house.spool.exclude(second, Reason.DUPLICATE, "")
        house.spool.original_purged([second.id])
        house.pass_on([third])
        house.recover()

    def forwards() -> None:
        house = House(state)
        (parcel,) = house.parcels()
        assert parcel.file.read_bytes()
        house.outbox.stored([parcel], "research", 0)

    def watches() -> None:
        assert Overview(state).tally().received == 3

    for user, work in (
        (RECEIVE, lambda: House(state).receive(1, 2)),
        (WORK, lambda: House(state)),
        (RECEIVE, lambda: House(state).receive(3)),
        (WORK, works),
        (RECEIVE, forwards),
        (WORK, lambda: House(state).recover()),
        (WATCH, watches),
    ):
        assert done_by(user, work) == ""

    assert "PermissionError" in done_by(STRANGER, watches, group=STRANGER)
    assert "PermissionError" in done_by(STRANGER, lambda: House(state), group=STRANGER)
