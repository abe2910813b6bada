"""Services are different users of one group: each can do its part, whatever its umask, and no one else gets in."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

GROUP, RECEIVE, WORK, WATCH, STRANGER = 64_100, 64_101, 64_102, 64_103, 64_104

RECEIVES = """
house.receive(int(sys.argv[2]))
"""
WORKS = """
first, *rest = house.spool.claim(10, house.clock(), set())
house.spool.quarantine(first, Reason.RULE, "")
house.spool.release(first.id)
house.spool.quarantine(house.instance(first.id), Reason.RULE, "")
for instance in rest:
    assert house.body(instance.id)
    house.spool.exclude(instance, Reason.DUPLICATE, "")
house.spool.original_purged([instance.id for instance in rest])
house.recover()
"""
WATCHES = """
from appliance.spool.overview import Overview
overview = Overview(Path(sys.argv[1]))
assert overview.tally().received == 2, overview.tally()
"""


@pytest.fixture
def state() -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("needs root: it starts processes of other users")
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


def run(state: Path, user: int, script: str, *args: object, group: int = GROUP) -> subprocess.CompletedProcess[str]:
    beginning = "import os, sys; os.umask(0o077); from pathlib import Path; from appliance.reasons import Reason\n"
    if "house" in script:
        beginning += "from tests.make.spooled import House; house = House(Path(sys.argv[1]))\n"
    return subprocess.run(
        [sys.executable, "-c", beginning + script, state, *map(str, args)],
        user=user,
        group=group,
        extra_groups=[],
        cwd=Path(__file__).parents[3],
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_users_of_one_group_share_a_side_and_strangers_do_not(state):
    probe = run(state, RECEIVE, "import appliance.spool.inside, pydicom")
    if probe.returncode:
        pytest.skip("needs a checkout and an environment that other users may read")

    for user, script, *args in (
        (RECEIVE, RECEIVES, 1),
        (WORK, "pass  # house", ""),
        (RECEIVE, RECEIVES, 2),
        (WORK, WORKS, ""),
        (WATCH, WATCHES, ""),
    ):
        done = run(state, user, script, *args)
        assert done.returncode == 0, done.stderr

    denied = run(state, STRANGER, WATCHES, group=STRANGER)
    assert "Unreadable" in denied.stderr or "PermissionError" in denied.stderr
