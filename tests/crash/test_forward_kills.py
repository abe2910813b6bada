"""kill -9 of the forward service at any moment: stored again under the same UID at worst, never lost."""

import random
import time

import pytest

from appliance.spool.outbox import Outbox
from tests.make.outside import admit
from tests.make.parcels import parcels
from tests.peers import forward_process
from tests.peers.fake_cloud import Act, FakeCloud

KILLS = 8


@pytest.mark.parametrize("seed", [1, 2])
def test_every_instance_arrives_however_often_the_service_is_killed(tmp_path, seed):
    chance = random.Random(seed)
    made = [parcel for number in range(20) for parcel in parcels(tmp_path / "made", count=10, patient=f"edge-{number}")]
    outbox = Outbox(tmp_path / "outside")
    admit(outbox, made)
    with FakeCloud(keeps=False) as cloud:
        # Some answers never arrive: what the destination has and we do not know of is sent again.
        cloud.answers(*[Act(before_s=chance.choice([0.0, 0.02, 0.1])) for _ in range(500)])
        for _ in range(KILLS):
            process = forward_process.start(tmp_path, cloud.dicomweb)
            requests_before, deadline = len(cloud.requests), time.monotonic() + 10
            while len(cloud.requests) == requests_before and time.monotonic() < deadline:
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.06))
            process.kill()
            process.wait()
        assert any(each.state == "READY" for each in outbox.counts()), "it was done before the last kill"

        process = forward_process.start(tmp_path, cloud.dicomweb)
        try:
            deadline = time.monotonic() + 30
            while any(each.state == "READY" for each in outbox.counts()) and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            process.terminate()
            process.wait(30)

    assert {each.state.value: each.n for each in outbox.counts()} == {"FORWARDED": len(made)}
    assert set(cloud.stored) == {parcel.sop_instance for parcel in made}
    assert len(cloud.sent) < 2 * len(made)
