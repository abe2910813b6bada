"""Free loopback ports, and waiting for a peer to listen on one."""

import socket
import subprocess
import time
from collections.abc import Callable


def free_port() -> int:
    """Return a loopback port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_until(
    ready: Callable[[], bool], *, process: subprocess.Popen[bytes], what: str, seconds: float = 20.0
) -> None:
    """Return when ``ready()`` is true; RuntimeError when the process ended or the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with exit code {process.returncode}")
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"{what} is not ready after {seconds} s")


def listens(port: int) -> bool:
    """Whether somebody accepts on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
