"""kill -9 of the receiver at each durable step of a commitment: what was answered with Success is reported."""

import time
from contextlib import suppress

import pytest

from tests.crash.house import CT, House
from tests.crash.killing import KillPoint
from tests.peers.committed import Modality
from tests.peers.fake_cloud import FakeCloud
from tests.peers.patience import until

# Before the answer to the request, and from there to the last row about its report; sends are of either association.
STEPS = {"commit rows": 5, "answer the modality": 7}
POINTS = [
    KillPoint(step, when, number)
    for step, numbers in STEPS.items()
    for number in range(1, numbers + 1)
    for when in ("before", "after")
]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_request_that_was_answered_with_success_is_reported_whenever_the_receiver_is_killed(point, tmp_path):
    with FakeCloud() as cloud, House(tmp_path, cloud) as house, Modality() as modality:
        granted = {"promise": "in-custody", "host": "127.0.0.1", "port": modality.port, "timeout_s": 5}
        house.configure(scp={**house.scp, "peers": [{"ae_title": "CT1", "commitment": granted}, {"ae_title": "SCU"}]})
        house.start("receive")
        instance = house.another()
        house.send([instance])
        uid = str(instance.SOPInstanceUID)
        house.kill("receive")

        house.start("receive", point)
        answered = _asked(house, modality, uid)
        assert until(lambda: house.has_ended("receive"), seconds=8), "the kill point was not reached"
        house.start("receive")
        if not answered:
            house.wait_until(lambda: _asked(house, modality, uid), "the request was never answered")

        report = modality.report("9.1")
        assert (report.committed, report.failed) == ([uid], {})


def _asked(house: House, modality: Modality, uid: str) -> bool:
    """Ask until somebody answers or the receiver is gone; whether it was answered with Success."""
    deadline = time.monotonic() + 10
    while not house.has_ended("receive") and time.monotonic() < deadline:
        with suppress(Exception):
            if modality.ask(house.port, "9.1", [(CT, uid)]) == 0:
                return True
        time.sleep(0.02)
    return False
