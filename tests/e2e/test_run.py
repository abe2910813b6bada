"""``appliance run`` as a process: one service, or all of them with somebody who looks after them."""

import os
import signal
import socket

import pytest

from tests.peers.patience import PATIENCE_S
from tests.peers.ports import listens
from tests.peers.running import Running


@pytest.fixture
def running(tmp_path):
    made = []

    def make(*roles):
        made.append(Running(tmp_path, *roles))
        return made[-1]

    yield make
    for each in made:
        each.end()


def test_all_services_start_become_ready_and_drain_on_sigterm(running):
    appliance = running().start()
    appliance.wait_until(appliance.ready)

    appliance.process.terminate()

    assert appliance.process.wait(PATIENCE_S) == 0
    stopped = {line["service"] for line in appliance.lines() if line["event"] == "stopped"}
    assert stopped == {"receive", "deidentify", "forward", "purge", "watch"}
    assert appliance.children() == {}


def test_a_service_that_is_killed_is_started_again_and_its_neighbours_go_on(running):
    appliance = running().start()
    appliance.wait_until(appliance.ready)
    before = appliance.children()

    os.kill(before["receive"], signal.SIGKILL)
    appliance.wait_until(lambda: appliance.children().get("receive", before["receive"]) != before["receive"])
    appliance.wait_until(lambda: listens(appliance.ports["scp"]))

    after = appliance.children()
    assert {role: after[role] for role in after if role != "receive"} == {
        role: before[role] for role in before if role != "receive"
    }


def test_when_the_supervisor_is_killed_no_service_stays_behind_and_keeps_a_port(running):
    appliance = running().start()
    appliance.wait_until(appliance.ready)

    os.kill(appliance.process.pid, signal.SIGKILL)
    appliance.process.wait()

    appliance.wait_until(lambda: appliance.children() == {})
    assert not listens(appliance.ports["scp"])


def test_a_taken_port_ends_everything_with_1_and_says_what_to_do(running):
    appliance = running()
    with socket.socket() as other:
        other.bind(("127.0.0.1", appliance.ports["scp"]))
        other.listen()

        status = appliance.start().process.wait(PATIENCE_S)

    told = appliance.log.read_text()
    assert status == 1
    assert str(appliance.ports["scp"]) in told
    assert "Traceback" not in told


def test_in_development_a_missing_key_is_made_and_that_is_said(running):
    appliance = running()
    key = appliance.site.mapping.key_file
    key.unlink()

    appliance.start()
    appliance.wait_until(appliance.ready)

    assert len(bytes.fromhex(key.read_text())) == 32
    assert f"There was no pseudonym key, so {key} was made." in appliance.log.read_text()


def test_a_service_alone_refuses_to_start_without_the_key_and_makes_none(running):
    appliance = running("deidentify")
    key = appliance.site.mapping.key_file
    key.unlink()

    status = appliance.start().process.wait(PATIENCE_S)

    told = appliance.log.read_text()
    assert status == 1
    assert "does not exist. Nothing was de-identified; images wait in the spool." in told
    assert "Traceback" not in told
    assert not key.exists()


def test_a_single_role_runs_in_its_own_process_and_stops_on_sigterm(running):
    appliance = running("watch").start()
    appliance.wait_until(lambda: listens(appliance.ports["watch"]))

    appliance.process.terminate()

    assert appliance.process.wait(PATIENCE_S) == 0


def test_an_unknown_role_is_told_with_those_that_there_are(running):
    appliance = running("nonsense")

    status = appliance.start().process.wait(PATIENCE_S)

    assert status == 1
    assert "There is no role 'nonsense'; nothing was started. Roles: receive, inbox" in appliance.log.read_text()
