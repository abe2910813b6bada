"""The loop that every service runs in: small steps until told to stop, and nothing that a step raises ends it."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from appliance.config import Config
from appliance.errors import CannotStart
from appliance.services.sd_notify import notify

log = logging.getLogger(__name__)

LONGEST_PAUSE_S = 30.0  # after failing steps: a full disk or a locked database is asked again this often


class Service(Protocol):
    """One role of the appliance.

    name   its role on the command line
    start  makes ready: folders, databases, sockets. Raises CannotStart with what to do.
    step   does a bounded piece of work; returns False if there was none, so that the loop may wait
    stop   finishes or gives back what is in hand, within a bound, and closes what ``start`` opened
    """

    name: str

    def start(self) -> None: ...

    def step(self) -> bool: ...

    def stop(self) -> None: ...


@runtime_checkable
class TakesOver(Protocol):
    """A service that can take over another configuration while it works.

    take_over  returns the names of what needs a restart; then nothing is taken over
    """

    def take_over(self, new: Config) -> list[str]: ...


def run(
    service: Service,
    stop: threading.Event,
    *,
    idle_s: float = 0.1,
    beat: Callable[[], None] = lambda: None,
    failed: Callable[[], None] = lambda: None,
    between: Callable[[], None] = lambda: None,
) -> None:
    """Start ``service``, step it until ``stop`` is set, then let it drain.

    between  done before each step, as the reading again of the configuration

    What a step raises is logged with its place in the program and counted by ``failed``; the next step follows after
    a pause that doubles up to LONGEST_PAUSE_S; CannotStart alone ends the service. The watchdog and ``beat`` are fed
    here, by the loop that does the work.
    """
    service.start()
    notify("READY=1")
    log.info("started", extra={"service": service.name})
    pause = idle_s
    try:
        while not stop.is_set():
            notify("WATCHDOG=1")
            beat()
            try:
                between()
                busy = service.step()
                pause = idle_s
            except CannotStart:
                raise  # it has to be started anew, which is its supervisor's work
            except Exception:
                log.exception("step failed", extra={"service": service.name})
                failed()
                busy = False
                pause = min(max(pause * 2, 0.5), LONGEST_PAUSE_S)
            if not busy:
                stop.wait(pause)
    finally:
        notify("STOPPING=1")
        began = time.monotonic()
        service.stop()
        log.info("stopped", extra={"service": service.name, "ms": round((time.monotonic() - began) * 1000)})


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM and SIGINT set. To be called in the main thread.

    Under systemd SIGHUP does nothing until somebody heeds it (``reload``): it must not end what works by default.
    """
    stop = threading.Event()

    def set_it(_number: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, set_it)
    signal.signal(signal.SIGINT, set_it)
    if "NOTIFY_SOCKET" in os.environ:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return stop
