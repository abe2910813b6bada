"""One scanner that has as much on the disk as it may is told to come later; the others go on."""

import time

import pytest

from appliance.config import GiB
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from tests.make import make
from tests.peers import dcmtk
from tests.peers.patience import until
from tests.peers.receive_process import ReceiveProcess

SENT = 6


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(SENT):
        make.stored(folder / f"{number}.dcm", make.ct(seed=f"quota-{number}", number=number))
    return folder


def send(edge, images, calling):
    return dcmtk.storescu(edge.port, "+sd", images, options=("-aet", calling, "-aec", "EDGE"))


def kept(edge, calling):
    return sorted(edge.state.glob(f"inside/received/*/*-{calling}-*.dcm"))


def test_a_scanner_over_its_quota_hears_a700_and_its_neighbour_success(tmp_path, images):
    size = (images / "0.dcm").stat().st_size
    peers = [{"ae_title": "CT1", "quota_gb": 2.5 * size / GiB}, {"ae_title": "MR1"}]
    with ReceiveProcess(tmp_path / "edge", scp={"peers": peers}) as edge:
        refused = send(edge, images, "CT1")
        others = send(edge, images, "MR1")

        assert "Refused: OutOfResources" in refused.stderr
        assert others.returncode == 0
        # It stands at or above its quota with the last one that was taken.
        assert len(kept(edge, "CT1")) == 3
        assert len(kept(edge, "MR1")) == SENT

    with ReceiveProcess(tmp_path / "edge", scp={"peers": peers}) as again:  # the rows know it after a restart
        send(again, images, "CT1")
        assert len(kept(again, "CT1")) == 3


def test_what_is_purged_makes_room_again(tmp_path, images):
    size = (images / "0.dcm").stat().st_size
    peers = [{"ae_title": "CT1", "quota_gb": 2.5 * size / GiB}]
    with ReceiveProcess(tmp_path / "edge", scp={"peers": peers}) as edge:
        send(edge, images, "CT1")
        ids = [path.stem for path in kept(edge, "CT1")]
        spool = Spool(edge.state / "inside", reserve_bytes=0)
        assert until(lambda: len(spool.journal.states(ids)) == len(ids) == 3)

        for instance in spool.claim(3, time.time(), set()):
            spool.exclude(instance, Reason.EXCLUDED_BY_RULE, "")
        spool.original_purged(ids)
        spool.close()

        assert kept(edge, "CT1") == []
        assert until(lambda: send(edge, images, "CT1") is not None and len(kept(edge, "CT1")) == 3)
