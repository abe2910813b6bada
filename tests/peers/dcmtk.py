"""DCMTK's own programs as peers: storescu, dcmsend, echoscu, and storescp to compare with.

Nagle's algorithm is switched off (TCP_NODELAY=1): with it each C-STORE takes 40 ms on loopback.
pynetdicom installs programs of the same names, so only Debian's folder is looked in.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.peers.patience import PATIENCE_S

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}


def program(name: str) -> str:
    """Return the path of a DCMTK program; skips the test when the package is not there."""
    found = shutil.which(name, path="/usr/bin:/usr/local/bin")
    if found is None:
        pytest.skip("package dcmtk is not installed")
    return found


def run(name: str, *arguments: str | Path, timeout_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """Run a DCMTK program to its end and return it, whatever its exit code."""
    return subprocess.run(
        [program(name), *map(str, arguments)],
        env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout_s, check=False,
    )  # fmt: skip


def storescu(port: int, *what: str | Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Send files or folders; ``options`` such as ``-xy`` propose a transfer syntax."""
    return run("storescu", "-v", "-aec", "EDGE", "+sd", "+r", *options, "127.0.0.1", str(port), *what)


def dcmsend(port: int, *what: str | Path, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Send files or folders with DCMTK's newer sender, which proposes what the files hold."""
    return run("dcmsend", "-v", "-aec", "EDGE", "+sd", "+r", *options, "127.0.0.1", str(port), *what)


def echoscu(port: int, *, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Verify the connection."""
    return run("echoscu", "-v", "-aec", "EDGE", *options, "127.0.0.1", str(port))
