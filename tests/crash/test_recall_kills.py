"""kill -9 of the forward service at each durable step of a recall: in the end all is gone there, and nothing else."""

import pytest

from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from tests.crash.house import House
from tests.crash.killing import KillPoint
from tests.make.outside import admit
from tests.make.parcels import parcels
from tests.peers.fake_cloud import FakeCloud

KILLS = 9  # one after the other, each a step later than the one before


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["commit rows", "ask for a deletion", "unlink"])
def test_a_recall_is_carried_out_however_often_the_service_is_killed(step, when, tmp_path):
    with FakeCloud() as cloud, House(tmp_path, cloud, destinations=_destinations(cloud)) as house:
        outbox = Outbox(tmp_path / "state" / "outside")
        taken, left = (parcels(tmp_path / name, count=4, patient=name) for name in ("edge-A", "edge-B"))
        admit(outbox, taken + left, destinations=("cloud",))
        house.start("forward")
        house.wait_until(lambda: outbox.destinations() == {"cloud": {"STORED": 8}}, "not delivered")
        house.kill("forward")
        Requests(tmp_path / "state" / "requests").ask("forward", "recall", {"studies": [taken[0].study]})

        killed = 0
        for number in range(1, KILLS + 1):
            house.start("forward", KillPoint(step, when, number))
            house.wait_until(lambda: house.has_ended("forward") or _is_done(outbox), "neither killed nor done")
            killed += house.has_ended("forward")
            house.kill("forward")
        house.start("forward")
        house.wait_until(lambda: _is_done(outbox), f"not done\n{house.log('forward')[-3000:]}", within_s=60)

        assert killed, "no kill point was reached"
        assert set(cloud.stored) == {parcel.sop_instance for parcel in left}
        assert outbox.destinations() == {"cloud": {"STORED": 4, "RECALLED": 4}}
        assert {count.state.value: count.n for count in outbox.counts()} == {"FORWARDED": 8}
        outbox.close()


def _destinations(cloud):
    return [{"name": "cloud", "url": cloud.dicomweb, "timeout_s": 5, "recall": {"kind": "dicomweb"}}]


def _is_done(outbox):
    return outbox.recalls.counts() == {"cloud": {"ABSENT": 4}}
