"""All services on one machine without systemd: started as children, started again when they die, ended together.

For development and the demo; a hospital of any size runs ``appliance.target``, where each service has its own user.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.cli.main import FAILED
from appliance.services import loop

log = logging.getLogger(__name__)

LIFELINE = "APPLIANCE_LIFELINE"  # descriptor whose end of file says that the supervisor is gone
LOOK_S = 0.2
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
SETTLED_S = 60.0  # a child that lived so long was able to start; on a busy machine it may take half a minute to say no
STOP_S = 120.0  # for all children to drain; what is left then is killed, and nothing is lost by that


@dataclass(slots=True)
class _Child:
    """A role's process, or the pause before the next one."""

    role: str
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    due: float = 0.0
    pause: float = FIRST_PAUSE_S
    has_settled: bool = False


def supervise(config_file: Path, roles: Sequence[str], log_level: str) -> int:
    """Run ``roles`` until SIGTERM or Ctrl-C, then drain them; return the exit status.

    A role that cannot start at all ends everything: it has said why on standard error.
    """
    stop = loop.stop_on_signals()
    # When we are killed the kernel closes our end, and the children see it: no orphan keeps a port.
    read_end, write_end = os.pipe()
    environ = {**os.environ, LIFELINE: str(read_end)}
    children = [_Child(role) for role in roles]
    status = 0
    try:
        while not stop.is_set() and status == 0:
            for child in children:
                if not _look_after(child, config_file, log_level, environ, read_end):
                    status = FAILED
            stop.wait(LOOK_S)
    finally:
        _end(children)
        os.close(read_end)
        os.close(write_end)
    return status


def heed_lifeline(stop: threading.Event, environ: Mapping[str, str] = os.environ) -> None:
    """Set ``stop`` when the supervisor that started this process is gone; without one nothing happens."""
    number = environ.get(LIFELINE, "")
    if number.isdigit():
        threading.Thread(target=_wait_for_end, args=(int(number), stop), name="lifeline", daemon=True).start()


def _wait_for_end(descriptor: int, stop: threading.Event) -> None:
    os.read(descriptor, 1)
    stop.set()


def _look_after(child: _Child, config_file: Path, log_level: str, environ: Mapping[str, str], lifeline: int) -> bool:
    """Start the child if it is due; return False if it can never start."""
    now = time.monotonic()
    if child.process is None:
        if now >= child.due:
            child.process = _start(child.role, config_file, log_level, environ, lifeline)
            child.began = now
        return True
    code = child.process.poll()
    if code is None:
        if now - child.began > SETTLED_S:
            child.has_settled, child.pause = True, FIRST_PAUSE_S
        return True
    if code == FAILED and not child.has_settled:
        log.error("service cannot start", extra={"kind": child.role})
        return False
    log.error("service ended and is started again", extra={"kind": child.role, "exit_code": code})
    child.process, child.due = None, now + child.pause
    child.pause = min(child.pause * 2, LONGEST_PAUSE_S)
    return True


def _start(
    role: str, config_file: Path, log_level: str, environ: Mapping[str, str], lifeline: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "appliance.cli", "run", "-c", str(config_file), "--log-level", log_level, role],
        stdin=subprocess.DEVNULL,
        env=environ,
        pass_fds=(lifeline,),
    )


def _end(children: Sequence[_Child]) -> None:
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.terminate()
    deadline = time.monotonic() + STOP_S
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
