"""The receive service in a process of its own, over a real spool: to be sent to, signalled, killed and measured.

    with ReceiveProcess(tmp_path) as edge:
        dcmtk.storescu(edge.port, folder)

Run as a program it is that process: ``python -m tests.peers.receive_process CONFIG``.
"""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from appliance import config
from appliance.intake import scp
from appliance.services.loop import run, stop_on_signals
from appliance.services.receive import Receive
from tests.peers.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


# LISTEN_PID must be the process's own, which only the process itself knows in time. Each descriptor is first moved out
# of the way: one may be another's place.
_BECOME = """
import fcntl, os, sys
aside = [fcntl.fcntl(number, fcntl.F_DUPFD, 100) for number in {numbers}]
for place, number in enumerate(aside, 3):
    os.dup2(number, place)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[1], sys.argv[1:])
"""


class ReceiveProcess:
    """A receiver on a free loopback port; ``scp`` is the configuration's section.

    passed  listening sockets by name, to hand over as systemd does, as file descriptors from 3 on
    ask_s   how long a drain waits for who was connected before it, and got no turn to ask yet
    """

    def __init__(
        self,
        folder: Path,
        *,
        scp: dict[str, Any] | None = None,
        passed: Mapping[str, socket.socket] | None = None,
        reserve_gb: float = 0,
        ask_s: float = 1.0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.state = folder / "var"
        self._config = folder / "appliance.yaml"
        # JSON is YAML, and needs no library here.
        self._config.write_text(
            json.dumps(
                {
                    "site": "test",
                    "state": str(self.state),
                    "scp": {"ae_title": "EDGE", "host": "127.0.0.1", "port": 0, **(scp or {})},
                    "destinations": [{"name": "out", "folder": str(folder / "out")}],
                    "spool": {"reserve_gb": reserve_gb},
                }
            )
        )
        self._log = folder / "receive.log"
        self._passed = passed or {}
        self._ask_s = ask_s
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        command = [sys.executable, "-m", "tests.peers.receive_process", str(self._config), str(self._ask_s)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"}
        descriptors: tuple[int, ...] = ()
        if self._passed:
            descriptors = tuple(each.fileno() for each in self._passed.values())
            command = [sys.executable, "-c", _BECOME.format(numbers=descriptors), *command]
            environment |= {"LISTEN_FDS": str(len(descriptors)), "LISTEN_FDNAMES": ":".join(self._passed)}
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=environment, pass_fds=descriptors
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the receiver did not start: {self.log}")
        self.port = int(line)

    def stop(self) -> int:
        """SIGTERM, and return the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def files(self) -> list[Path]:
        """Kept originals."""
        return sorted((self.state / "inside" / "received").rglob("*.dcm"))

    @property
    def halves(self) -> list[Path]:
        """Files in the making."""
        return [path for path in (self.state / "inside" / "receiving").rglob("*") if path.is_file()]

    @property
    def rows(self) -> list[tuple[str, str]]:
        """(id, state) of every row of the journal."""
        connection = sqlite3.connect(self.state / "inside" / "journal.db")
        try:
            return connection.execute("SELECT id, state FROM instance ORDER BY id").fetchall()
        finally:
            connection.close()

    @property
    def memory_bytes(self) -> int:
        """Resident memory now, and the highest so far."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM"))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class _Told:
    """The service, telling its port once it listens."""

    name = "receive"

    def __init__(self, service: Receive) -> None:
        self._service = service
        self.step = service.step
        self.stop = service.stop

    def start(self) -> None:
        self._service.start()
        sys.stdout.write(f"{self._service.port}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    scp._ASK_S = float(sys.argv[2])
    run(_Told(Receive(config.load(Path(sys.argv[1])))), stop_on_signals())
