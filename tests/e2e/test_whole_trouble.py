"""What goes wrong in a hospital: a full disk, a destination that is down, refuses or is in a hurry."""

import errno
import os
import shutil
import subprocess
import time
from dataclasses import dataclass

import pytest

from appliance.outlet.breaker import LONGEST_S
from tests.make import make
from tests.peers import dcmtk
from tests.peers.appliance_process import Appliance
from tests.peers.nginx import Nginx
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S

# --- a full disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 160 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=160m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(path, *, leave):
    """Take all space but ``leave`` bytes."""
    found = os.statvfs(path.parent)
    with path.open("wb") as file:
        for _ in range(max(0, found.f_bavail * found.f_frsize - leave) // 65536):
            try:
                file.write(bytes(65536))
            except OSError as error:
                assert error.errno == errno.ENOSPC
                return


def study(folder, seed, count, size=512):
    """Files of one invented study; half a megabyte each unless told otherwise."""
    for number in range(1, count + 1):
        make.stored(folder / f"{number}.dcm", make.ct(seed=seed, number=number, size=size))
    return folder


def test_a_full_disk_is_a700_to_the_sender_loses_nothing_and_ends_when_there_is_space_again(small_disk, tmp_path):
    first, second = study(tmp_path / "first", "first", 20), study(tmp_path / "second", "second", 60)
    with Appliance(small_disk / "edge", [{"name": "shelf", "folder": str(tmp_path / "shelf")}]) as edge:
        assert dcmtk.storescu(edge.port, first).returncode == 0
        edge.until_states(FORWARDED=20)
        # Above the reserve (10 MB) for some, below it for the others, and then wholly full. Some, because what the
        # databases have not yet checkpointed takes its share: up to 4 MB each.
        fill(small_disk / "ballast", leave=30_000_000)

        refused = dcmtk.storescu(edge.port, second, options=["-nh"])

        came = edge.queue()["received"] - 20
        assert 0 < came < 60
        assert "Refused: OutOfResources" in refused.stdout + refused.stderr
        assert (refused.stdout + refused.stderr).count("Received Store Response (Success)") == came
        fill(small_disk / "more", leave=0)
        edge.until(lambda: _tells_of_space(edge), "not ready, for want of space")
        assert dcmtk.storescu(edge.port, second).returncode != 0
        time.sleep(3)  # all services meet the full disk

        (small_disk / "ballast").unlink()
        (small_disk / "more").unlink()

        edge.until(edge.is_ready, "ready")
        assert dcmtk.storescu(edge.port, second).returncode == 0
        states = edge.until_settled(20 + came + 60)
        assert states == {"FORWARDED": 80, "DISCARDED": came}  # what had been taken came twice
        assert len(list((tmp_path / "shelf").rglob("*.dcm"))) == 80


def _tells_of_space(edge):
    status, told = edge.get("/health/ready")
    return status == 503 and "MiB are free" in told


# --- destinations that will not ---------------------------------------------------------------------------------------

# Name -> how its front answers (None: nobody listens), and what doctor says of it.
TROUBLE = {
    "down": (None, "no connection"),
    "unauthorized": ({"always": 401, "headers": {"WWW-Authenticate": "Bearer"}}, "it answered 401"),
    "forbidden": ({"always": 403}, "it answered 403"),
    "wrong-root": ({"always": 404}, "(404)"),
    "hurried": ({"always": 429, "headers": {"Retry-After": "1"}}, "it answered 429"),
    "broken": ({"always": 502}, "it answered 502"),
    "busy": ({"always": 503, "headers": {"Retry-After": "1"}}, "it answered 503"),
}
COUNT = 6


class Fronts:
    """A front for each destination, on the port that the configuration names, before one Orthanc."""

    def __init__(self, folder, orthanc):
        self.folder, self.orthanc, self.running = folder, orthanc, {}
        self.ports = {name: Nginx(folder / "none", behind=orthanc.root).port for name in TROUBLE}

    def put(self, name, **how):
        front = Nginx(self.folder / f"nginx-{name}-{time.monotonic_ns()}", behind=self.orthanc.root, **how)
        front.port = self.ports[name]
        self.running[name] = front.__enter__()

    def take_away(self, *names):
        for name in names:
            if name in self.running:
                self.running.pop(name).__exit__()


@dataclass
class Told:
    """What was asked of the appliance while everything was in trouble, and after."""

    edge: Appliance
    orthanc: Orthanc
    queue: dict
    text: str
    doctor: str
    receipt: str


@pytest.fixture(scope="module")
def during(tmp_path_factory):
    """Images for seven destinations, each with a trouble of its own; then all troubles end."""
    folder = tmp_path_factory.mktemp("trouble")
    with Orthanc(folder / "orthanc") as orthanc:
        fronts = Fronts(folder, orthanc)
        destinations = [
            {"name": name, "url": f"http://127.0.0.1:{port}/dicom-web", "timeout_s": 3, "connections": 1}
            for name, port in fronts.ports.items()
        ]
        for name, (how, _) in TROUBLE.items():
            if how is not None:
                fronts.put(name, **how)
        with Appliance(folder / "edge", destinations) as edge:
            edge.drop(study(folder / "study", "trouble", COUNT, size=16))
            edge.until(lambda: _paused(edge) == set(TROUBLE), "paused everywhere")
            edge.until(lambda: "waiting for the destination" in _receipt(edge), "told in the receipt")
            told = Told(
                edge, orthanc, edge.queue(), edge.cli("queue").stdout, edge.cli("doctor").stdout, _receipt(edge)
            )  # fmt: skip
            fronts.take_away(*TROUBLE)
            for name in TROUBLE:
                fronts.put(name, max_body="100m")
            try:
                yield told
            finally:
                fronts.take_away(*TROUBLE)


def _paused(edge):
    return {name for name, found in edge.queue()["destinations"].items() if found["paused"]}


def _receipt(edge):
    return "".join(edge.receipts())


def test_while_destinations_are_in_trouble_everything_waits_and_is_counted(during):
    assert during.queue["received"] == during.queue["states"]["READY"] == COUNT
    assert sum(during.queue["states"].values()) == COUNT
    assert during.queue["oldest_waiting_s"] > 0
    assert during.queue["destinations"] == {name: {"WAITING": COUNT, "paused": True} for name in TROUBLE}
    assert during.text.count("paused: see appliance destination list") == len(TROUBLE)


@pytest.mark.parametrize("name", TROUBLE)
def test_doctor_says_of_each_what_it_is(during, name):
    (line,) = [line for line in during.doctor.splitlines() if f" destination {name}: " in line]

    assert TROUBLE[name][1] in line
    assert line.startswith("warning" if name == "wrong-root" else "ERROR")  # a server may lack a search


def test_the_receipt_says_that_the_images_are_on_their_way(during):
    assert f"{COUNT} taken" in during.receipt
    assert f"  {COUNT} on their way: de-identified, waiting for the destination.\n" in during.receipt
    assert "complete" not in during.receipt


def test_when_the_troubles_end_everything_drains_by_itself_and_the_receipt_says_delivered(during):
    edge = during.edge

    # The longer the trouble took, as on a busy machine, the longer it may be until it is tried again.
    edge.until(lambda: edge.states() == {"FORWARDED": COUNT}, "drained", LONGEST_S + PATIENCE_S)

    assert during.orthanc.count() == COUNT
    edge.until(lambda: not _paused(edge), "sending again")
    stored = {name: {"WAITING": 0, "STORED": COUNT, "paused": False} for name in TROUBLE}
    found = {name: {"WAITING": 0, **said} for name, said in edge.queue()["destinations"].items()}
    assert found == stored
    edge.until(lambda: f"  {COUNT} delivered.\n" in _receipt(edge), "delivered in the receipt")
    assert "this receipt is complete" in _receipt(edge)


def test_only_what_alone_is_too_large_for_the_destination_waits_for_a_person(tmp_path):
    small = study(tmp_path / "small", "small", 4, size=16)
    make.stored(small / "large.dcm", make.ct(seed="large", size=512))
    with Orthanc(tmp_path / "orthanc") as orthanc:
        front = Nginx(tmp_path / "front", behind=orthanc.root, max_body="200k")
        with Appliance(tmp_path / "edge", [{"name": "cloud", "url": front.dicomweb}]) as edge:
            with front:
                assert dcmtk.storescu(edge.port, small).returncode == 0
                edge.until_states(FORWARDED=4, REJECTED=1)
            (waiting,) = edge.waiting()
            assert waiting["reason"] == "too-large-for-destination"
            assert "client_max_body_size" in edge.cli("quarantine", "show", waiting["id"]).stdout

            larger = Nginx(tmp_path / "larger", behind=orthanc.root, max_body="100m")
            larger.port = front.port
            with larger:
                assert edge.cli("quarantine", "release", waiting["id"]).returncode == 0
                edge.until_states(FORWARDED=5)
            assert orthanc.count() == 5
