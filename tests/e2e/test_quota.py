"""One scanner that has as much on the disk as it may is told to come later; the others go on."""

import shutil
import time

import pytest

from appliance.config import GiB
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from tests.make import make
from tests.peers import dcmtk
from tests.peers.appliance_process import Appliance
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


def test_a_clinic_over_its_quota_reads_in_its_receipt_that_it_waits_and_when_it_went_on(tmp_path, images):
    size = (images / "0.dcm").stat().st_size
    shelf = [{"name": "shelf", "folder": str(tmp_path / "shelf")}]
    edge = Appliance(tmp_path / "edge", shelf, clinics=("clinic-a", "clinic-b"))
    clinics = {"clinic-a": {"source": "clinic_a", "quota_gb": 2.5 * size / GiB}, "clinic-b": {"source": "clinic_b"}}
    edge.configure(inbox={"clinics": clinics})
    mine, neighbour = edge.inbox / "clinic-a", edge.inbox / "clinic-b"
    for clinic in (mine, neighbour):
        shutil.copytree(images, clinic / "study")

    def receipt(clinic):
        return "".join(path.read_text() for path in sorted((clinic / "_receipts").glob("*.txt")))

    edge.start("inbox")
    try:
        edge.until(lambda: "WAITING" in receipt(mine), "told in the receipt")
        edge.until(lambda: f"{SENT} taken: safely stored" in receipt(neighbour), "the neighbour's is done")

        assert "3 taken so far: safely stored in the appliance." in receipt(mine)
        assert "as many images of this clinic as it may (quota)" in receipt(mine)
        assert len(list((mine / "study").iterdir())) == SENT - 3
        assert "WAITING" not in receipt(neighbour)

        spool = Spool(edge.state / "inside", reserve_bytes=0)
        ids = [path.stem for path in kept(edge, "clinic_a")]
        assert until(lambda: len(spool.journal.states(ids)) == len(ids) == 3)
        while found := spool.claim(99, time.time(), set()):
            for instance in found:
                spool.exclude(instance, Reason.EXCLUDED_BY_RULE, "")
        spool.original_purged(ids)
        spool.close()
        assert kept(edge, "clinic_a") == []
        edge.until(lambda: f"{SENT} taken: safely stored" in receipt(mine), "it went on by itself")

        assert "WAITING" not in receipt(mine)
        assert not list(mine.glob("study/*"))
        assert len(list((mine / "_receipts").glob("*.txt"))) == 1
    finally:
        edge.kill()
