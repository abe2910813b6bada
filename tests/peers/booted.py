"""A whole Debian host with systemd, booted for a test by the tool ``testhost``, and what tests do on it.

The tool is no part of this repository: it is looked for as ``shared/testhost/testhost`` beside the checkout, or named
by APPLIANCE_TESTHOST. Without it, or without root, the tests are skipped, and listed as not run.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests.peers.patience import until

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / "ansible"


def testhost() -> Path:
    """Return the tool; skips the test where there is none, or where it cannot boot a host."""
    named = os.environ.get("APPLIANCE_TESTHOST", "")
    places = [Path(named)] if named else [above / "shared/testhost/testhost" for above in ROOT.parents]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        pytest.skip("testhost is not beside the checkout (../shared/testhost) and APPLIANCE_TESTHOST names none")
    if os.geteuid() != 0:
        pytest.skip("needs root: it boots a host")
    looked = subprocess.run([found, "doctor"], capture_output=True, text=True, check=False)
    if looked.returncode != 0:
        pytest.skip(f"testhost cannot boot a host here: {(looked.stderr + looked.stdout).strip()[-300:]}")
    return found


class Booted:
    """A host of its own network. A context manager: made, booted, and gone at the end whatever happens.

    packages  that it has beside the usual ones, with commas
    address   of the host as this machine reaches it; gateway: this machine as the host reaches it
    """

    def __init__(self, folder: Path, suite: str, name: str = "edge", *, packages: str = "") -> None:
        self._tool = testhost()
        self._environ = {**os.environ, "TESTHOST_STATE": str(folder)}
        self._how = ["--suite", suite, *(["--packages", packages] if packages else [])]
        self.name = name
        self.folder = folder
        self.address = self.gateway = ""

    def __enter__(self) -> Self:
        made = self.tool("create", *self._how, self.name, check=False)
        if made.returncode != 0:
            pytest.skip(f"testhost cannot make such a host here: {self._how} {made.stderr.strip()[-300:]}")
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.tool("destroy", self.name, check=False)

    def boot(self) -> None:
        self.tool("boot", self.name)
        meta = json.loads((self.folder / self.name / "host.json").read_text())
        self.address, self.gateway = meta["address"], meta["gateway"]

    def crash(self) -> None:
        """End every process at once."""
        self.tool("stop", "--hard", self.name)

    def reboot(self) -> None:
        self.tool("reboot", self.name)

    def tool(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run([self._tool, *words], env=self._environ, capture_output=True, text=True, check=False)
        assert not check or ran.returncode == 0, f"{words}: {ran.stderr[-2000:]}{ran.stdout[-2000:]}"
        return ran

    def run(self, script: str, *, check: bool = True) -> str:
        """Run a shell script on the host, as root, and return what it prints."""
        return self.tool("exec", self.name, "--", "sh", "-c", script, check=check).stdout

    def within(self) -> list[str]:
        """What to put before a command of this machine that is to run in the host's network."""
        return ["env", f"TESTHOST_STATE={self.folder}", str(self._tool), "netexec", self.name, "--"]

    def push(self, what: Path, where: str) -> None:
        self.tool("push", self.name, what, where)

    def inventory(self, variables: dict[str, Any]) -> Path:
        """Return an inventory that has this host in the group ``appliance``."""
        host = json.loads(self.tool("inventory", self.name).stdout)["all"]["hosts"]
        file = self.folder / "inventory.json"
        file.write_text(json.dumps({"appliance": {"hosts": host, "vars": variables}}))
        return file

    def is_active(self, unit: str) -> bool:
        return self.run(f"systemctl is-active {unit}", check=False).strip() == "active"

    def wait_until(self, so: Any, *, seconds: float = 120) -> None:
        assert until(so, seconds=seconds, every_s=0.2), self.journal()[-4000:]

    def journal(self) -> str:
        """What the services wrote, of all boots."""
        return self.run("journalctl --no-pager -o cat -u 'appliance*'", check=False)


class Played:
    """What a playbook came to."""

    def __init__(self, ran: subprocess.CompletedProcess[str]) -> None:
        self.output = ran.stdout + ran.stderr
        self.ok = ran.returncode == 0
        recap = [line for line in ran.stdout.splitlines() if " changed=" in line]
        words = dict(word.split("=") for line in recap for word in line.split() if "=" in word)
        self.changed = int(words.get("changed", -1))

    def changes(self) -> list[str]:
        """The tasks that changed something."""
        task, found = "", []
        for line in self.output.splitlines():
            if line.startswith(("TASK [", "RUNNING HANDLER [")):
                task = line
            elif line.startswith("changed:"):
                found.append(task)
        return found


def play(playbook: str, inventory: Path, *more: str, variables: dict[str, Any] | None = None) -> Played:
    """Run a playbook of the repository as an administrator does, from this machine over ssh."""
    program = Path(sys.executable).with_name("ansible-playbook")
    if not program.exists():
        pytest.skip("ansible-core is not installed in this environment; make setup brings it")
    if shutil.which("ssh") is None:
        pytest.skip("package openssh-client is not installed")
    words: Sequence[str] = [str(program), "-i", str(inventory), str(ANSIBLE / f"{playbook}.yml"), *more]
    if variables:
        words = [*words, "-e", json.dumps(variables)]
    environ = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    return Played(subprocess.run(words, cwd=inventory.parent, env=environ, capture_output=True, text=True, check=False))
