"""The demo's far end: a throw-away Orthanc on loopback, or a folder where there is none."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from appliance.errors import CannotStart

PLUGINS = (
    Path("/usr/share/orthanc/plugins"),
    Path("/usr/lib/orthanc/plugins"),
    Path("/usr/local/share/orthanc/plugins"),
)
USER, PASSWORD = "portal", "demo"  # of a server that listens on loopback for as long as the demo lasts
START_S = 30.0


def free_port(wanted: int) -> int:
    """Return ``wanted`` if nobody listens on it on loopback, else a free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CannotStart("No TCP port is free on loopback.")


class OrthancCloud:
    """A real Orthanc with its DICOMweb plugin, its files in ``folder``, gone when ``close`` returns."""

    def __init__(self, folder: Path, executable: str, plugin: Path) -> None:
        folder.mkdir(parents=True)
        self.port = free_port(8042)
        self.words = "Orthanc"
        self._folder = folder
        settings = {
            "Name": "research portal (demo)",
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "Plugins": [str(plugin)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        with (folder / "orthanc.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - the Orthanc of this machine, our own arguments
                [executable, str(folder / "orthanc.json")],
                stdout=log,
                stderr=log,
                env={**os.environ, "TCP_NODELAY": "1"},
            )
        self._wait()

    @property
    def look(self) -> str:
        """Where a person can look."""
        return f"http://127.0.0.1:{self.port}/app/explorer.html   (user {USER}, password {PASSWORD})"

    def destination(self, folder: Path) -> dict[str, Any]:
        """The destination of the configuration; its password file is written into ``folder``."""
        secret = folder / "portal.password"
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD)
        return {
            "name": "research",
            "url": f"http://127.0.0.1:{self.port}/dicom-web",
            "existing": "kept",
            "auth": {"kind": "basic", "user": USER, "password_file": str(secret)},
        }

    def arrived(self) -> int:
        """How many instances are there."""
        return int(json.loads(self._get("/statistics"))["CountInstances"])

    def files(self) -> Iterator[bytes]:
        """Every instance that is there, as a DICOM file."""
        for instance in json.loads(self._get("/instances")):
            yield self._get(f"/instances/{instance}/file")

    def close(self) -> None:
        """End the server."""
        self._process.terminate()
        self._process.wait(10)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self._get("/system")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        self._process.kill()
        raise CannotStart(f"Orthanc did not start; nothing was sent. Its log: {self._folder / 'orthanc.log'}")

    def _get(self, path: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - http on loopback
            return bytes(answer.read())


class FolderCloud:
    """A folder destination, for a machine without Orthanc."""

    words = "the folder destination"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def look(self) -> str:
        """Where a person can look."""
        return str(self._folder)

    def destination(self, _folder: Path) -> dict[str, Any]:
        """The destination of the configuration."""
        return {"name": "research", "folder": str(self._folder)}

    def arrived(self) -> int:
        """How many instances are there."""
        return len(self._paths())

    def files(self) -> Iterator[bytes]:
        """Every instance that is there, as a DICOM file."""
        for path in self._paths():
            yield path.read_bytes()

    def close(self) -> None:
        """Nothing to end."""

    def _paths(self) -> Sequence[Path]:
        return sorted(self._folder.rglob("*.dcm")) if self._folder.is_dir() else []


def start_cloud(folder: Path) -> OrthancCloud | FolderCloud:
    """Start Orthanc if this machine has it and its DICOMweb plugin; otherwise use a folder."""
    executable = shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin")  # not on every user's path
    plugin = next((found for place in PLUGINS for found in place.glob("libOrthancDicomWeb.so*")), None)
    if executable is None or plugin is None:
        return FolderCloud(folder / "cloud")
    return OrthancCloud(folder / "cloud", executable, plugin)
