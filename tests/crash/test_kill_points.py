"""kill -9 at each durable step of each service; then the service is started again, as its supervisor would."""

import itertools
import threading

import pytest

from tests.crash.house import House
from tests.crash.killing import KillPoint
from tests.peers.fake_cloud import FakeCloud
from tests.peers.patience import until

REACHED = {
    "receive": {"fsync a file": 2, "rename": 2, "fsync a folder": 2, "commit rows": 2, "answer the modality": 3},
    "inbox": {"fsync a file": 2, "rename": 2, "fsync a folder": 2, "commit rows": 3},
    "deidentify": {"commit the mapping": 2, "rename": 2, "fsync a folder": 2, "commit rows": 5},
    "forward": {"commit rows": 5, "unlink": 2, "make a delivery": 2},
}
POINTS = [
    (role, KillPoint(step, when, number))
    for role, steps in REACHED.items()
    for step, numbers in steps.items()
    for number in range(1, numbers + 1)
    for when in ("before", "after")
]


@pytest.mark.slow
@pytest.mark.parametrize(("role", "point"), POINTS, ids=[f"{role} {point}" for role, point in POINTS])
def test_nothing_is_lost_or_doubled_by_a_kill(role, point, tmp_path):
    with FakeCloud() as cloud, House(tmp_path, cloud) as house:
        house.start_all(**{role: point})
        reached = threading.Event()
        sender = threading.Thread(target=_send_and_drop, args=(house, reached))
        sender.start()
        try:
            assert until(lambda: house.has_ended(role)), f"the kill point was not reached\n{house.log(role)}"
        finally:
            reached.set()
        house.start(role)
        sender.join()
        house.wait_until_quiet()

        house.check()


def _send_and_drop(house: House, reached: threading.Event) -> None:
    """Bursts, apart enough that none shares the others' commits: two, and more until the kill point is reached."""
    for number in itertools.count():
        house.drop([house.another("C")])
        house.send([house.another(), house.another()])
        if reached.wait(0.4) and number >= 1:
            return
