"""A whole appliance of real services that may be killed at any moment, a modality before it and a cloud behind it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset

from appliance.lifecycle import State
from appliance.spool.inside import Spool
from tests.crash.killing import KillPoint
from tests.make.make import ct, data_set, file
from tests.peers.caller import Caller
from tests.peers.fake_cloud import FakeCloud
from tests.peers.patience import PATIENCE_S, until
from tests.peers.ports import free_port

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
ROLES = ("receive", "inbox", "deidentify", "forward")


class House:
    """Services by role, restarted when told to; what was acknowledged to the modality or taken from the clinic."""

    def __init__(self, folder: Path, cloud: FakeCloud, **settings: Any) -> None:
        self.folder = folder
        self.cloud = cloud
        self.port = free_port()
        self.acknowledged: set[str] = set()
        self.dropped: set[str] = set()
        self._pids: dict[str, int] = {}
        self._numbers = 0
        self._lock = threading.Lock()
        self.clinic = folder / "inbox" / "clinic"
        self.clinic.mkdir(parents=True)
        self.config = folder / "appliance.yaml"
        self.config.write_text(json.dumps(self._settings() | settings))
        self._zygote = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.zygote"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def configure(self, **settings: Any) -> None:
        """Change the configuration of what is started from now on."""
        self.config.write_text(json.dumps(json.loads(self.config.read_text()) | settings))

    @property
    def scp(self) -> dict[str, Any]:
        """The receiver's section of the configuration."""
        found: dict[str, Any] = json.loads(self.config.read_text())["scp"]
        return found

    def _settings(self) -> dict[str, Any]:
        return {
            "site": "crash",
            "state": "./state",
            "mapping": {"key_file": "./pseudonym.key"},
            "scp": {"ae_title": "EDGE", "host": "127.0.0.1", "port": self.port, "drain_s": 1},
            "inbox": {"path": "./inbox", "quiet_s": 0.1, "scan_s": 0.2, "clinics": {"clinic": {}}},
            "destinations": [{"name": "cloud", "url": self.cloud.dicomweb, "connections": 2, "timeout_s": 60}],
            "deidentify": {"workers": 1},
            "spool": {"reserve_gb": 0.01},
        }

    # --- services -------------------------------------------------------------------------------------------------

    def start(self, role: str, kill: KillPoint | None = None) -> None:
        asked = {"start": role, "config": str(self.config)}
        point = None if kill is None else [kill.step, kill.when, kill.number]
        self._pids[role] = self._ask({**asked, "kill": point})["pid"]

    def start_all(self, **kill: KillPoint) -> None:
        for role in ROLES:
            self.start(role, kill.get(role))

    def kill(self, role: str) -> None:
        """kill -9, and wait until it is gone."""
        pid = self._pids.pop(role, 0)
        if pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            while self._ask({"ended": pid})["status"] is None:
                time.sleep(0.002)

    def has_ended(self, role: str) -> bool:
        """Whether the service ended by itself: at its kill point."""
        pid = self._pids.get(role, 0)
        if pid and self._ask({"ended": pid})["status"] is not None:
            del self._pids[role]
        return role not in self._pids

    def log(self, role: str) -> str:
        file = self.folder / f"{role}.log"
        return file.read_text() if file.exists() else ""

    def _ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            assert self._zygote.stdin is not None and self._zygote.stdout is not None
            self._zygote.stdin.write(json.dumps(asked) + "\n")
            self._zygote.stdin.flush()
            return json.loads(self._zygote.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for role in list(self._pids):
            self.kill(role)
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(PATIENCE_S)

    # --- the modality and the clinic ------------------------------------------------------------------------------

    def another(self, patient: str = "P") -> Dataset:
        """A new instance, of a patient and study that others share.

        What a clinic drops is of patients of its own: the same number elsewhere is another patient, and then there
        were two in one study.
        """
        with self._lock:
            self._numbers += 1
            number = self._numbers
        return ct(
            patient_id=f"{patient}{number % 3}", size=8, InstanceNumber=number, SOPInstanceUID=f"1.2.3.4.{number}"
        )

    def send(self, instances: Sequence[Dataset], *, within_s: float = PATIENCE_S) -> None:
        """Send until each was answered with Success, over as many associations as it takes, as modalities do."""
        waiting = {each.SOPInstanceUID: data_set(each) for each in instances}
        deadline = time.monotonic() + within_s
        while waiting and time.monotonic() < deadline:
            with suppress(OSError, AssertionError, KeyError), Caller(self.port, timeout_s=15) as caller:
                caller.request({1: (CT, [EXPLICIT])})
                for uid, body in list(waiting.items()):
                    if caller.store(1, CT, uid, body) == 0:
                        self.acknowledged.add(uid)
                        del waiting[uid]
                caller.release()
            time.sleep(0.02)
        assert not waiting, f"{len(waiting)} were never answered with Success\n{self.log('receive')}"

    def drop(self, instances: Sequence[Dataset]) -> None:
        """Put files into the clinic's folder: each is complete when its name appears."""
        for each in instances:
            part = self.clinic / f"{each.SOPInstanceUID}.part"
            part.write_bytes(file(each))
            part.rename(self.clinic / each.SOPInstanceUID)
            self.dropped.add(each.SOPInstanceUID)

    # --- looking --------------------------------------------------------------------------------------------------

    def wait_until_quiet(self, *, within_s: float = PATIENCE_S) -> None:
        """Return when everything that came in is FORWARDED or DISCARDED, and the inbox is empty."""
        if until(self.is_quiet, seconds=within_s, every_s=0.1):
            return
        logs = "\n".join(f"--- {role}\n{self.log(role)[-3000:]}" for role in ROLES)
        raise AssertionError(f"not quiet: {self.counts()}, inbox {self.in_inbox()}\n{logs}")

    def is_quiet(self) -> bool:
        counts = self.counts()
        settled = counts.get(State.FORWARDED, 0) + counts.get(State.DISCARDED, 0)
        arrived = len(self.acknowledged) + len(self.dropped)
        return settled >= arrived and sum(counts.values()) == settled and not self.in_inbox()

    def in_inbox(self) -> list[str]:
        return [path.name for path in self.clinic.iterdir() if not path.name.startswith("_")]

    def wait_for(self, wanted: dict[State, int], *, within_s: float = PATIENCE_S, alive: str = "") -> None:
        """Return when the counts are ``wanted``; a service that ``alive`` names is started again when it ended."""
        deadline = time.monotonic() + within_s
        while {state: n for state, n in self.counts().items() if n} != wanted:
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.counts()} instead of {wanted}\n{self.log(alive)[-6000:]}")
            if alive and self.has_ended(alive):
                self.start(alive)
            time.sleep(0.02)

    def wait_until(self, ready: Callable[[], bool], what: str, *, within_s: float = PATIENCE_S) -> None:
        assert until(ready, seconds=within_s, every_s=0.02), what

    def counts(self) -> dict[State, int]:
        """The journal's count, the outside's word for what passed."""
        spool = Spool(self.folder / "state" / "inside", reserve_bytes=0)
        try:
            found: dict[State, int] = {}
            for count in spool.counts():
                state = State(count.outside or State.READY) if count.state is State.PASSED else count.state
                found[state] = found.get(state, 0) + count.n
            return found
        finally:
            spool.close()

    def files(self, *places: str) -> list[Path]:
        return [path for place in places for path in (self.folder / "state" / place).rglob("*") if path.is_file()]

    def quarantined(self) -> list[str]:
        return sorted(path.stem for path in self.files("inside/quarantine") if path.suffix == ".dcm")

    def check(self) -> None:
        """Nothing acknowledged is missing, nothing is there twice, rows and files agree, no half file is left."""
        arrived = self.acknowledged | self.dropped
        assert len(self.cloud.instances()) == len(arrived)
        counts = self.counts()
        assert counts[State.FORWARDED] == len(arrived), counts
        originals = self.files("inside/received")
        assert len(originals) == sum(counts.values()), "each row has its original, and each original its row"
        assert all(path.stat().st_size > 0 for path in originals)
        assert self.files("inside/receiving", "outside/making", "outside/ready", "outside/rejected") == []
        assert self.files("inside/quarantine") == []
