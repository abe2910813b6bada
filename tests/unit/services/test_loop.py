import os
import signal
import socket
import threading

import pytest

from appliance.errors import CannotStart
from appliance.services.loop import run, stop_on_signals
from appliance.services.sd_notify import notify


class Scripted:
    """A service whose steps are given: True, False, or an exception to raise."""

    name = "scripted"

    def __init__(self, stop, *steps):
        self.stop_event, self.steps, self.calls = stop, list(steps), []

    def start(self):
        self.calls.append("start")

    def step(self):
        self.calls.append("step")
        outcome = self.steps.pop(0)
        if not self.steps:
            self.stop_event.set()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def stop(self):
        self.calls.append("stop")


def test_a_service_is_started_stepped_until_told_to_stop_and_then_drained():
    stop = threading.Event()
    service = Scripted(stop, True, False, True)

    run(service, stop, idle_s=0.001)

    assert service.calls == ["start", "step", "step", "step", "stop"]


def test_what_a_step_raises_is_logged_and_counted_and_the_next_step_follows(caplog):
    stop = threading.Event()
    errors = []
    service = Scripted(stop, OSError(28, "No space left on device"), True)

    run(service, stop, idle_s=0.001, failed=lambda: errors.append(1))

    assert service.calls == ["start", "step", "step", "stop"]
    assert errors == [1]
    assert "step failed" in caplog.text


def test_a_service_that_has_to_be_started_anew_is_drained_and_ends():
    service = Scripted(threading.Event(), CannotStart("the port is gone"))

    with pytest.raises(CannotStart):
        run(service, threading.Event(), idle_s=0.001)

    assert service.calls == ["start", "step", "stop"]


def test_systemd_is_told_ready_watchdog_and_stopping_by_the_loop_that_works(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        stop = threading.Event()

        run(Scripted(stop, True), stop)

        told = [manager.recv(100).decode() for _ in range(3)]
    assert told == ["READY=1", "WATCHDOG=1", "STOPPING=1"]


def test_without_systemd_or_with_one_that_went_away_telling_does_nothing(tmp_path):
    assert notify("READY=1", {}) is False
    assert notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "gone")}) is False


def test_under_systemd_a_reload_ends_nothing(monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    try:
        stop = stop_on_signals()
        os.kill(os.getpid(), signal.SIGHUP)
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(5)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
