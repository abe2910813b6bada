"""The whole appliance as hospital IT runs it: ``appliance run`` on loopback ports, asked by its own commands.

    with Appliance(folder, [{"name": "cloud", "url": orthanc.dicomweb}]) as edge:
        dcmtk.storescu(edge.port, "ct.dcm")
        edge.until_settled()
        edge.queue()["states"]

What it shows is asked with ``--json`` in processes of their own, so that nothing is known but what a person may see.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "5e" * 32


class Appliance:
    """``appliance run`` in a session of its own, its configuration, state, inbox and log below ``folder``.

    destinations  as in the configuration; sections: its other sections by name, merged into the ones made here
    key           the pseudonym key; None: no key file is there
    """

    def __init__(
        self,
        folder: Path,
        destinations: Sequence[Mapping[str, Any]],
        *,
        key: str | None = KEY,
        clinics: Sequence[str] = ("clinic-a",),
        **sections: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port, self.watch_port = free_port(), free_port()
        self.state, self.inbox, self.log_file = folder / "var", folder / "inbox", folder / "run.log"
        self.file, self.key_file = folder / "site.yaml", folder / "pseudonym.key"
        if key is not None:
            self.key_file.write_text(key + "\n")
            self.key_file.chmod(0o600)
        for clinic in clinics:
            (self.inbox / clinic).mkdir(parents=True, exist_ok=True)
        self.settings = self._settings(destinations, clinics)
        self.configure(**sections)
        self._process: subprocess.Popen[bytes] | None = None

    def _settings(self, destinations: Sequence[Mapping[str, Any]], clinics: Sequence[str]) -> dict[str, Any]:
        return {
            "site": "st-elsewhere",
            "state": "./var",
            "mapping": {"key_file": "./pseudonym.key"},
            "scp": {"ae_title": "EDGE", "host": "127.0.0.1", "port": self.port, "drain_s": 5},
            "inbox": {"path": "./inbox", "quiet_s": 0.3, "scan_s": 0.2, "clinics": {name: {} for name in clinics}},
            "destinations": [dict(each) for each in destinations],
            "deidentify": {"workers": 2},
            "spool": {"reserve_gb": 0.01},
            "watch": {"port": self.watch_port},
        }

    def configure(self, **sections: Any) -> None:
        """Write the configuration with these sections merged in; what runs reads it at its next start."""
        for name, section in sections.items():
            merge = isinstance(section, dict) and isinstance(self.settings.get(name), dict)
            self.settings[name] = self.settings[name] | section if merge else section
        self.file.write_text(json.dumps(self.settings, indent=1))

    # --- running --------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self.start()
        self.until(self.is_ready, "ready")
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *roles: str) -> None:
        """Start it; ``until(is_ready)`` waits for all its services."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "appliance.cli", "run", "-c", str(self.file), *roles],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=REPOSITORY,
            )

    def stop(self) -> int:
        """SIGTERM; return the exit status."""
        assert self._process is not None
        self._process.terminate()
        return self.ended()

    def ended(self) -> int:
        """Wait for it to end by itself; return the exit status."""
        assert self._process is not None
        status = self._process.wait(PATIENCE_S)
        self._process = None
        return status

    def kill(self) -> None:
        """SIGKILL to all its processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def processes(self, role: str = "") -> dict[int, list[str]]:
        """Return the command lines of its processes by id; with ``role`` those of that service only."""
        assert self._process is not None
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_text().split("\0")[:-1]
                session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if session == self._process.pid and (not role or (words and words[-1] == role)):
                found[int(folder.name)] = words
        return found

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of a page of the watch service; status 0 when nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.watch_port}{path}", timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def is_ready(self) -> bool:
        """Whether /health/ready says so."""
        return self.get("/health/ready")[0] == 200

    @property
    def log(self) -> str:
        """What its processes have written so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    # --- asking ---------------------------------------------------------------------------------------------------

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run an ``appliance`` command with this configuration, whatever its exit status."""
        return subprocess.run(
            [sys.executable, "-m", "appliance.cli", *words, "-c", str(self.file)],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            stdin=subprocess.DEVNULL,
            cwd=REPOSITORY,
            check=False,
        )

    def ask(self, *words: str) -> dict[str, Any]:
        """Run a command with ``--json`` and return what it says."""
        ran = self.cli(*words, "--json")
        assert ran.stdout, f"appliance {' '.join(words)} ended with {ran.returncode}: {ran.stderr}"
        answer: dict[str, Any] = json.loads(ran.stdout)
        return answer

    def queue(self) -> dict[str, Any]:
        """Return ``appliance queue --json``."""
        return self.ask("queue")

    def states(self) -> dict[str, int]:
        """Return the states in which there are instances, with how many; checks that they add up to what came."""
        said = self.queue()
        assert sum(said["states"].values()) == said["received"], said
        return {state: n for state, n in said["states"].items() if n}

    def trace(self, id_or_uid: str) -> list[dict[str, Any]]:
        """Return what ``appliance trace`` says of each instance of this id or UID, in order of arrival."""
        found: list[dict[str, Any]] = self.ask("trace", id_or_uid)["instances"]
        return sorted(found, key=lambda each: str(each["id"]))

    def waiting(self, *words: str) -> list[dict[str, Any]]:
        """Return the instances of ``appliance quarantine list``."""
        found: list[dict[str, Any]] = self.ask("quarantine", "list", "--limit", "1000", *words)["instances"]
        return found

    # --- waiting --------------------------------------------------------------------------------------------------

    def until(self, true: Callable[[], object], what: str, seconds: float = PATIENCE_S) -> None:
        """Return once ``true()``; else fail with what the appliance says of itself."""

        def true_while_it_runs() -> object:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"not {what}: it ended with {self._process.returncode}\n{self.log[-3000:]}")
            return true()

        if not until(true_while_it_runs, seconds=seconds, every_s=0.1):
            said = self.cli("queue", "--json").stdout
            raise AssertionError(f"not {what} within {seconds} s\n{said}\n{self.log[-3000:]}")

    def until_states(self, **wanted: int) -> dict[str, int]:
        """Wait until exactly so many instances are in these states and none in others; return them."""
        self.until(lambda: self.states() == wanted, f"in the states {wanted}")
        return wanted

    def until_settled(self, count: int, seconds: float = PATIENCE_S) -> dict[str, int]:
        """Wait until ``count`` instances came and none waits for a machine; return the states."""

        def settled() -> bool:
            states = self.states()
            return sum(states.values()) == count and not states.keys() & {"RECEIVED", "READY"}

        self.until(settled, f"settled with {count} instances", seconds)
        return self.states()

    # --- the clinic -----------------------------------------------------------------------------------------------

    def drop(self, source: Path, name: str = "", clinic: str = "clinic-a") -> Path:
        """Copy a file or folder into the inbox the way careful programs do: under ``name.part``, then renamed."""
        target = self.inbox / clinic / (name or source.name)
        part = target.with_name(target.name + ".part")
        if source.is_dir():
            shutil.copytree(source, part)
        else:
            shutil.copyfile(source, part)
        return part.rename(target)

    def receipts(self, clinic: str = "clinic-a") -> list[str]:
        """Return the texts of a clinic's receipts, oldest first."""
        folder = self.inbox / clinic / "_receipts"
        return [file.read_text() for file in sorted(folder.glob("[!.]*.txt"))] if folder.exists() else []
