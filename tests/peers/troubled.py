"""An installed appliance on a booted host with a destination that can be troubled, and the sum at the end of a trouble.

What is sent while it lasts is compared with what arrived when it is over; what the services hold, with what they held.
"""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pydicom
import requests
from pydicom.dataset import Dataset

from tests.make import make
from tests.make.certificates import Authority
from tests.peers.booted import Booted
from tests.peers.fault_proxy import FaultProxy
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S
from tests.peers.steady_caller import SteadyCaller

PATIENT, PATIENT_ID = "Knurrhahn^Walpurga", "00WK0815"
PLANTED = ("knurrhahn", "walpurga", PATIENT_ID.lower(), "acc4711", "lane 7")
NAME = "pacs.hospital.test"  # the destination's, by /etc/hosts of the booted host
SERVICES = ("receive", "inbox", "deidentify", "forward", "purge-inside", "purge-outside", "watch")
SHARE, INBOX = "/mnt/share", "/srv/appliance/inbox"
MORE_DESCRIPTORS = 6  # a connection or two that is kept, SQLite's files of a thread that reads now and then
MORE_MIB = 48  # of all processes of a service together, beside a quarter of what it held


def image(seed: str, number: int) -> Dataset:
    """Each number another study of one patient."""
    return make.ct(seed=f"{seed}-{number}", number=number, patient=PATIENT, patient_id=PATIENT_ID)


@dataclass
class Held:
    """What the processes of one service hold together."""

    mib: int
    descriptors: int


@dataclass
class Troubled:
    """The host, the destination and its front, and how many images were ever acknowledged."""

    host: Booted
    orthanc: Orthanc
    front: FaultProxy
    authority: Authority
    acknowledged: int = 0
    before: dict[str, Held] = field(default_factory=dict)
    _looked_at: set[str] = field(default_factory=set)

    def states(self) -> dict[str, int]:
        """State -> how many, without those of none, and without what was sent twice."""
        found = self.queue()["states"]
        return {state: n for state, n in found.items() if n and state != "DISCARDED"}

    def queue(self) -> dict[str, dict[str, int]]:
        """What ``appliance queue`` tells; nothing while it cannot be asked."""
        told = self.host.run("appliance queue --json 2>/dev/null", check=False)
        return json.loads(told) if told else {"states": {}, "destinations": {}}

    def waiting(self) -> list[dict[str, str]]:
        """What waits for a person."""
        found: list[dict[str, str]] = json.loads(self.host.run("appliance quarantine list --json"))["instances"]
        return found

    def discard_what_waits(self) -> None:
        """When nothing is under way any more, let go of what waits for a person."""
        self.host.wait_until(lambda: not {"RECEIVED", "READY"} & set(self.states()))
        for reason in {each["reason"] for each in self.waiting()}:
            self.host.run(f"appliance quarantine discard --reason {reason} --yes")
        self.host.wait_until(lambda: set(self.states()) == {"FORWARDED"})

    def is_paused(self) -> bool:
        """Whether the switch before the destination is thrown."""
        return bool(self.queue()["destinations"].get("research", {}).get("paused"))  # type: ignore[attr-defined]

    @contextmanager
    def load(self, seed: str) -> Iterator[SteadyCaller]:
        """A scanner that sends as long as this lasts, and a few before it and after it."""
        with SteadyCaller(self.host.address, 11112, lambda number: image(seed, number), calling=b"CT1") as caller:
            self.host.wait_until(lambda: len(caller.acknowledged) >= 2)
            yield caller
            sent = len(caller.acknowledged)
            self.host.wait_until(lambda: len(caller.acknowledged) >= sent + 2)
        assert caller.given_up == []
        self.acknowledged += len(caller.acknowledged)

    def settles(self) -> None:
        """Wait until all is delivered: each is at the destination once, without its patient."""
        self.host.wait_until(lambda: self.states() == {"FORWARDED": self.acknowledged}, seconds=90)
        assert self.orthanc.count() == self.acknowledged
        self._look_at_what_left()
        self.host.wait_until(lambda: self.grown() == {}, seconds=60)

    def _look_at_what_left(self) -> None:
        for each in set(self.orthanc.get("/instances")) - self._looked_at:
            body = requests.get(f"{self.orthanc.root}/instances/{each}/file", timeout=PATIENCE_S).content
            assert pydicom.dcmread(io.BytesIO(body)).PatientIdentityRemoved == "YES"
            assert [word for word in PLANTED if word.encode() in body.lower()] == []
            self._looked_at.add(each)

    def held(self) -> dict[str, Held]:
        """Service -> resident memory and open descriptors of its processes now."""
        told = self.host.run(
            f"for s in {' '.join(SERVICES)}; do"
            " for p in $(cat $(find /sys/fs/cgroup -name appliance-$s.service -type d)/cgroup.procs); do"
            " echo $s $(grep VmRSS /proc/$p/status | tr -dc 0-9) $(ls /proc/$p/fd | wc -l); done; done"
        )
        found = {service: Held(0, 0) for service in SERVICES}
        for service, kib, descriptors in (line.split() for line in told.splitlines()):
            found[service].mib += int(kib) // 1024
            found[service].descriptors += int(descriptors)
        return found

    def grown(self) -> dict[str, tuple[Held, Held]]:
        """Service -> what it held before any trouble and what it holds now, of those that hold clearly more."""
        now = self.held()
        return {
            service: (before, now[service])
            for service, before in self.before.items()
            if now[service].mib > before.mib * 1.25 + MORE_MIB
            or now[service].descriptors > before.descriptors + MORE_DESCRIPTORS
        }

    def each_is_active(self) -> bool:
        """Whether all services run."""
        return all(self.host.is_active(f"appliance-{service}.service") for service in SERVICES)
