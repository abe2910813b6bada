"""Free loopback ports that nobody else is given, and waiting for a peer to listen on one."""

import random
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.peers.patience import PATIENCE_S, until

FIRST_PORT = 15_000
_reserved: list[socket.socket] = []  # for as long as this process lives


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that no other call is given, in this process or another.

    Never one of those that the kernel gives to outgoing connections: between our look and the peer's bind it would
    give it away, and a connection to a port of that range on which nobody listens yet may meet itself.
    """
    ports = list(range(FIRST_PORT, _first_ephemeral_port()))
    for port in random.SystemRandom().sample(ports, len(ports)):
        if _reserve(port):
            return port
    raise RuntimeError("no loopback port is free")


def _first_ephemeral_port() -> int:
    found = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    return max(int(found[0]), FIRST_PORT + 1000)


def _reserve(port: int) -> bool:
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0appliance-tests-port-{port}")  # an abstract name: gone with the process, leaves no file
        for host in ("127.0.0.1", "0.0.0.0"):
            with socket.socket() as listener:
                listener.bind((host, port))
    except OSError:
        name.close()
        return False
    _reserved.append(name)
    return True


def wait_until(
    ready: Callable[[], bool], *, process: subprocess.Popen[bytes], what: str, seconds: float = PATIENCE_S
) -> None:
    """Return when ``ready()`` is true; RuntimeError when the process ended or the time is over."""

    def known() -> bool:
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with exit code {process.returncode}")
        return ready()

    if not until(known, seconds=seconds):
        raise RuntimeError(f"{what} is not ready after {seconds} s")


def listens(port: int) -> bool:
    """Whether somebody accepts on this loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
            return True
    except OSError:
        return False
