"""The appliance itself as a process: ``appliance run`` on free ports, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.make.site import configured
from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port


class Running:
    """``appliance run`` in a process group of its own, its output in a file.

    roles  as on the command line; more: lines of the configuration
    """

    def __init__(self, folder, *roles, more=""):
        self.log = folder / "run.log"
        self.ports = {"scp": free_port(), "watch": free_port()}
        self.site = configured(folder, f"scp: {{host: 127.0.0.1, port: {self.ports['scp']}}}\n{more}")
        text = self.site.file.read_text().replace("watch: {port: 0}", f"watch: {{port: {self.ports['watch']}}}")
        self.site.file.write_text(text)
        self.roles = roles
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "-c", str(self.site.file), *self.roles],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=Path(__file__).resolve().parents[2],
            )
        return self

    def ready(self):
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports['watch']}/health/ready", timeout=PATIENCE_S
            ) as answer:
                return json.load(answer)["ready"]
        except (urllib.error.URLError, OSError):
            return False

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def children(self):
        """Role -> process id of the services that run."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().split(b"\0")
                session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if session == self.process.pid and b"--log-level" in words and int(folder.name) != self.process.pid:
                found[words[-2].decode()] = int(folder.name)
        return found

    def wait_until(self, true):
        assert until(true, every_s=0.1), self.log.read_text()[-3000:]

    def end(self):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
