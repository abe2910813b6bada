"""The appliance's own life: it is ended and started under load, role by role, loses workers, and has a twin."""

import copy
import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from appliance.services.roles import HALVES, ROLES
from tests.make import make, pictures
from tests.peers.appliance_process import KEY, Appliance
from tests.peers.caller import CT, EXPLICIT, Caller

MiB = 1024 * 1024
LARGE = 30 * MiB


def images(seed, count, **more):
    return [make.ct(seed=seed, number=number, **more) for number in range(1, count + 1)]


def store(port, data):
    with Caller(port) as caller:
        caller.request({1: (CT, [EXPLICIT])})
        for each in data:
            assert caller.store(1, CT, each.SOPInstanceUID, make.data_set(each)) == 0


def shelf(folder):
    """A folder destination, so that what leaves can be looked at."""
    return [{"name": "shelf", "folder": str(folder)}]


def delivered(folder):
    """SOP Instance UID -> body of what lies in a folder destination; nothing half-written, nothing twice."""
    bodies = [file.read_bytes() for file in folder.rglob("*.dcm")]
    found = {pictures.read(body).SOPInstanceUID: body for body in bodies}
    assert len(found) == len(bodies)
    return found


# --- workers that die -------------------------------------------------------------------------------------------------


@contextmanager
def killer_of_large_work(edge):
    """What the kernel does when memory runs out: SIGKILL to a worker, here to whoever has an original of LARGE open.

    Not by the memory that it takes: that is over in a moment, the file stays open as long as it is worked on.
    """
    killed, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            for pid in _workers(edge):
                if pid not in killed and _has_large_file_open(pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        stop.set()
        thread.join()


def _workers(edge):
    return [pid for pid, words in edge.processes().items() if any("forkserver" in word for word in words)]


def _has_large_file_open(pid):
    try:
        return any(each.stat().st_size > LARGE for each in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it ended, or closed it, while we looked
        return False


def test_an_image_that_ends_its_workers_is_quarantined_and_its_neighbours_are_forwarded(tmp_path):
    large = make.with_private(make.ct(seed="large"))
    large.private_block(0x0029, "PHANTOM PRIVATE").add_new(0x05, "UT", "All is well. " * (4 * MiB))
    neighbours = images("neighbours", 30)
    with Appliance(tmp_path / "edge", shelf(tmp_path / "shelf")) as edge, killer_of_large_work(edge) as killed:
        make.stored(tmp_path / "large.dcm", large)
        store(edge.port, neighbours[:10])
        edge.drop(tmp_path / "large.dcm")
        edge.until(lambda: killed, "a worker killed")
        store(edge.port, neighbours[10:])

        edge.until_states(FORWARDED=30, QUARANTINED=1)

        (trace,) = edge.trace(large.SOPInstanceUID)
        assert (trace["state"], trace["reason"]) == ("QUARANTINED", "worker-died")
        assert len(killed) == 3
        assert len(delivered(tmp_path / "shelf")) == 30
        assert "Traceback" not in edge.log
    # With the memory that it needs, the same original passes: nothing was lost of it.
    with edge:
        assert edge.cli("quarantine", "release", trace["id"]).returncode == 0
        edge.until_states(FORWARDED=31)


# --- SIGTERM, roles ---------------------------------------------------------------------------------------------------


def test_sigterm_under_load_ends_with_0_and_the_next_start_goes_on_without_a_loss(tmp_path):
    acknowledged, stop = [], threading.Event()

    def modality():
        """Sends until told to stop, and again whatever was not acknowledged."""
        for number in range(1, 10_000):
            data = make.ct(seed="load", number=number, size=64)
            while not stop.is_set():
                with suppress(OSError, AssertionError, KeyError):
                    store(edge.port, [data])
                    acknowledged.append(data.SOPInstanceUID)
                    break
                time.sleep(0.05)
            if stop.is_set():
                return

    with Appliance(tmp_path / "edge", shelf(tmp_path / "shelf"), scp={"drain_s": 2}) as edge:
        sender = threading.Thread(target=modality)
        sender.start()
        try:
            for _ in range(2):
                before = len(acknowledged)
                edge.until(lambda before=before: len(acknowledged) > before + 40, "40 more acknowledged")
                assert edge.stop() == 0
                assert edge.log.count('"event": "stopped"') % len(set(ROLES) - HALVES) == 0
                edge.start()
                edge.until(edge.is_ready, "ready")
        finally:
            stop.set()
            sender.join()

        states = edge.until_settled(edge.queue()["received"])

        # One that was stored and not acknowledged any more comes twice; it is a duplicate then.
        assert states["FORWARDED"] == len(set(acknowledged))
        assert states.get("DISCARDED", 0) <= 2
        assert all(edge.trace(uid)[0]["state"] == "FORWARDED" for uid in acknowledged[::20])
        assert len(delivered(tmp_path / "shelf")) == states["FORWARDED"]
        assert "Traceback" not in edge.log


def test_each_role_runs_alone_as_a_service_does_and_together_they_deliver(tmp_path):
    edge = Appliance(tmp_path / "edge", shelf(tmp_path / "shelf"))
    alone = {role: copy.copy(edge) for role in ROLES}
    try:
        for role, service in alone.items():
            service.start(role)
        edge.until(edge.is_ready, "ready")
        store(edge.port, images("alone", 5))
        edge.drop(make.stored(tmp_path / "one.dcm", make.ct(seed="dropped")))
        edge.until_states(FORWARDED=6)

        assert {role: service.stop() for role, service in alone.items()} == dict.fromkeys(ROLES, 0)
    finally:
        for service in alone.values():
            service.kill()


@pytest.mark.parametrize("role", ["deidentify"])
def test_a_service_without_the_key_says_what_to_do_and_ends_with_1_while_the_others_receive(tmp_path, role):
    edge = Appliance(tmp_path / "edge", shelf(tmp_path / "shelf"), key=None)
    receiving = copy.copy(edge)
    receiving.start("receive")
    try:
        edge.start(role)
        assert edge.ended() == 1
        assert f"{edge.key_file} does not exist. Nothing was de-identified; images wait in the spool." in edge.log
        assert "Traceback" not in edge.log
        edge.until(lambda: _takes(edge, images("waiting", 1)), "received")
        edge.until_states(RECEIVED=1)
    finally:
        receiving.kill()
    assert not edge.key_file.exists()


def _takes(edge, data):
    with suppress(OSError):
        store(edge.port, data)
        return True
    return False


def test_another_key_than_the_mapping_was_made_with_is_refused(tmp_path):
    with Appliance(tmp_path / "edge", shelf(tmp_path / "shelf")) as edge:
        store(edge.port, images("mine", 1))
        edge.until_states(FORWARDED=1)
    edge.key_file.write_text("6f" * 32 + "\n")

    edge.start("deidentify")

    assert edge.ended() == 1
    assert "key" in edge.log.splitlines()[-1]
    assert "Traceback" not in edge.log


# --- twins ------------------------------------------------------------------------------------------------------------


def test_two_appliances_with_one_key_give_the_same_results_and_another_key_gives_unrelated_ones(tmp_path):
    sent = [*images("twin", 4), make.mr(seed="twin", patient_id="P000124"), make.sr(seed="twin")]
    results = {}
    for name, key in {"one": KEY, "twin": KEY, "stranger": "6f" * 32}.items():
        with Appliance(tmp_path / name, shelf(tmp_path / f"{name}-shelf"), key=key) as edge:
            with Caller(edge.port) as caller:
                caller.request({2 * n + 1: (data.SOPClassUID, [EXPLICIT]) for n, data in enumerate(sent)})
                for n, data in enumerate(sent):
                    assert caller.store(2 * n + 1, data.SOPClassUID, data.SOPInstanceUID, make.data_set(data)) == 0
            edge.until_states(FORWARDED=len(sent))
        results[name] = delivered(tmp_path / f"{name}-shelf")

    assert results["one"] == results["twin"]
    assert not _identifiers(results["one"]) & _identifiers(results["stranger"])


def _identifiers(found):
    data = [pictures.read(body) for body in found.values()]
    tags = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "PatientID", "PatientName", "StudyDate")
    return {str(each.get(tag)) for each in data for tag in tags}
