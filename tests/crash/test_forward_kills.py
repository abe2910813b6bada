"""kill -9 of the forward service at any moment: stored again under the same UID at worst, never lost."""

import random
import time

import pytest

from appliance.spool.outbox import Outbox
from tests.make.outside import admit
from tests.make.parcels import parcels
from tests.peers import forward_process
from tests.peers.fake_cloud import Act, FakeCloud, slow
from tests.peers.patience import PATIENCE_S, until

KILLS = 8


@pytest.mark.parametrize("seed", [1, 2])
def test_every_instance_arrives_however_often_the_service_is_killed(tmp_path, seed):
    chance = random.Random(seed)
    made = [parcel for number in range(20) for parcel in parcels(tmp_path / "made", count=10, patient=f"edge-{number}")]
    outbox = Outbox(tmp_path / "outside")
    admit(outbox, made)
    with FakeCloud(keeps=False) as cloud:
        for _ in range(KILLS):
            # Some answers never arrive: what the destination has and we do not know of is sent again. That they stop
            # also keeps it from being done before the last kill, however long this test has to wait for its turn.
            cloud.answers(*[Act(before_s=chance.choice([0.0, 0.02, 0.1])) for _ in range(3)], *[slow] * 10)
            requests_before = len(cloud.requests)
            process = forward_process.start(tmp_path, cloud.dicomweb)
            assert until(lambda before=requests_before: len(cloud.requests) > before, every_s=0.005)
            time.sleep(chance.uniform(0, 0.06))
            process.kill()
            process.wait()
        assert any(each.state == "READY" for each in outbox.counts()), "it was done before the last kill"

        cloud.answers()
        process = forward_process.start(tmp_path, cloud.dicomweb)
        try:
            assert until(lambda: not any(each.state == "READY" for each in outbox.counts()), every_s=0.05)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)

    assert {each.state.value: each.n for each in outbox.counts()} == {"FORWARDED": len(made)}
    assert set(cloud.stored) == {parcel.sop_instance for parcel in made}
    assert len(cloud.sent) < 2 * len(made)
