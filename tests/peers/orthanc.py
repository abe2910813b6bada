"""A real Orthanc with DICOMweb on a free loopback port, with storage of its own.

    with Orthanc(tmp_path / "orthanc") as orthanc:
        requests.post(f"{orthanc.dicomweb}/studies", ...)
        orthanc.instances()          # {SOP Instance UID: orthanc id}

Orthanc's own Nagle delay (40 ms a C-STORE) is switched off by TCP_NODELAY=1 in its environment.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import requests

from tests.peers.patience import PATIENCE_S
from tests.peers.ports import free_port, wait_until

DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def orthanc_binary() -> str:
    """Return the path of Orthanc; skips the test when it or its DICOMweb plug-in is not installed."""
    binary = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("package orthanc is not installed")
    if not DICOMWEB_PLUGIN.exists():
        pytest.skip("package orthanc-dicomweb is not installed")
    return binary


class Orthanc:
    """An Orthanc process. A context manager; ``start``, ``stop`` and ``kill`` may also be called, and keep the storage.

    overwrite  OverwriteInstances: False (Orthanc's default) keeps the old instance and still answers 200
    user       with ``password``: basic authentication is required
    within     put before its command, so that it runs in another network; address: where it is found from here
    """

    def __init__(
        self,
        folder: Path,
        *,
        overwrite: bool = False,
        user: str = "",
        password: str = "",
        within: Sequence[str] = (),
        address: str = "127.0.0.1",
    ) -> None:
        self.within = within
        self.address = address
        self.folder = folder
        self.overwrite = overwrite
        self.auth = (user, password) if user else None
        self.port = 0
        self.dicom_port = 0
        self.ae_title = "ORTHANC"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> str:
        """Its REST root, without a slash at the end."""
        return f"http://{self.address}:{self.port}"

    @property
    def dicomweb(self) -> str:
        """Its DICOMweb root, before ``/studies``."""
        return f"{self.root}/dicom-web"

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "orthanc.log").read_text(errors="replace")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()  # a decent end takes it 3.5 s, and nobody reads this storage again

    def start(self) -> None:
        """Start it, on the ports it had before if it was started before, and wait until it answers."""
        binary = orthanc_binary()
        self.folder.mkdir(parents=True, exist_ok=True)
        again = self.port != 0
        for attempt in range(3):  # another process may take the port between our look and Orthanc's bind
            if not again:
                self.port, self.dicom_port = free_port(), free_port()
            configuration = self.folder / "orthanc.json"
            configuration.write_text(json.dumps(self._configuration()))
            with (self.folder / "orthanc.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*self.within, binary, str(configuration)],
                    stdout=log,
                    stderr=log,
                    env={**os.environ, "TCP_NODELAY": "1"},
                )
            try:
                wait_until(self._answers, process=self._process, what="Orthanc")
                return
            except RuntimeError:
                self.stop()
                if attempt == 2:
                    raise

    def stop(self) -> None:
        """End it and wait."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    # --- what it holds ----------------------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        """Return the JSON of a GET of its REST interface."""
        answer = requests.get(self.root + path, auth=self.auth, timeout=PATIENCE_S)
        answer.raise_for_status()
        return answer.json()

    def instances(self) -> dict[str, str]:
        """Return SOP Instance UID -> Orthanc's own id of everything stored."""
        return {each["MainDicomTags"]["SOPInstanceUID"]: each["ID"] for each in self.get("/instances?expand")}

    def count(self) -> int:
        """Return how many instances it holds."""
        return int(self.get("/statistics")["CountInstances"])

    def tags(self, sop_instance: str) -> dict[str, Any]:
        """Return keyword -> value of a stored instance's elements."""
        found: dict[str, Any] = self.get(f"/instances/{self.instances()[sop_instance]}/simplified-tags")
        return found

    def file(self, sop_instance: str) -> bytes:
        """Return the DICOM file as it stored it."""
        answer = requests.get(
            f"{self.root}/instances/{self.instances()[sop_instance]}/file", auth=self.auth, timeout=PATIENCE_S
        )
        answer.raise_for_status()
        return answer.content

    def lose(self, sop_instance: str) -> None:
        """Remove one instance."""
        url = f"{self.root}/instances/{self.instances()[sop_instance]}"
        requests.delete(url, auth=self.auth, timeout=PATIENCE_S).raise_for_status()

    def clear(self) -> None:
        """Remove everything it holds."""
        for patient in self.get("/patients"):
            requests.delete(f"{self.root}/patients/{patient}", auth=self.auth, timeout=PATIENCE_S).raise_for_status()

    # --- starting -----------------------------------------------------------------------------------------------------

    def _configuration(self) -> dict[str, Any]:
        storage = str(self.folder / "storage")
        return {
            "Name": "test",
            "StorageDirectory": storage,
            "IndexDirectory": storage,
            "Plugins": [str(DICOMWEB_PLUGIN)],
            "HttpPort": self.port,
            "HttpDescribeErrors": True,
            "RemoteAccessAllowed": self.address != "127.0.0.1",
            "AuthenticationEnabled": self.auth is not None,
            "RegisteredUsers": {self.auth[0]: self.auth[1]} if self.auth else {},
            "DicomPort": self.dicom_port,
            "DicomAet": self.ae_title,
            "DicomAlwaysAllowStore": True,
            "DicomAlwaysAllowEcho": True,
            "UnknownSopClassAccepted": True,
            "OverwriteInstances": self.overwrite,
            "StableAge": 1,
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": True},
        }

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.root}/system", auth=self.auth, timeout=PATIENCE_S).ok
        except requests.RequestException:
            return False
