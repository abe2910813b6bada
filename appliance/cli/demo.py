"""``appliance demo``: the main job on real input, to look at, in half a minute.

Starts a loopback Orthanc and the appliance, sends one invented study by C-STORE as a scanner would, drops another as
a zip into ``inbox/clinic-a`` as a clinic would, waits until both are in Orthanc, and shows them before and after.
"""

import io
import json
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from appliance.cli.demo_cloud import FolderCloud, OrthancCloud, free_port, start_cloud
from appliance.dicom import phantom
from appliance.errors import ApplianceError, CannotStart
from appliance.intake.receipts import CLOSED
from appliance.intake.scu import send

MARK = ".appliance-demo"  # only a folder that holds this file is ever removed
WAIT_S = 90.0
RECEIPT_S = 20.0  # a receipt is brought up to date every few seconds
SHOWN = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "InstitutionName",
    "ReferringPhysicianName",
    "StudyDate",
    "StudyDescription",
    "StudyInstanceUID",
    "SOPInstanceUID",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One invented study and the way that it takes."""

    title: str
    files: dict[str, bytes]  # SOP Instance UID -> DICOM file


def demo(folder: Path, *, once: bool, console: Console) -> int:
    """Run the demo in ``folder`` (made anew); return the exit status. Stays up until Ctrl-C unless ``once``."""
    _fresh(folder)
    cloud = start_cloud(folder)
    if isinstance(cloud, FolderCloud):
        console.print(
            "Orthanc is not installed here (apt-get install orthanc orthanc-dicomweb): the demo delivers into a folder."
        )
    process: subprocess.Popen[bytes] | None = None
    try:
        ports = {"scp": free_port(11112), "watch": free_port(9112)}
        config = _configure(folder, cloud, ports)
        with (folder / "appliance.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - this very program
                [sys.executable, "-m", "appliance.cli", "run", "-c", str(config)], stdout=log, stderr=log
            )
        _wait_until_ready(process, ports["watch"], folder / "appliance.log")
        samples = _samples()
        _send_as_scanner(samples[0], folder, ports["scp"], console)
        _drop_as_clinic(samples[1], folder, console)
        _wait_until_delivered(cloud, sum(len(sample.files) for sample in samples), folder, console)
        _show(samples, cloud, console)
        _show_receipt(folder, console)
        _say_where(folder, cloud, config, ports, console, stays=not once)
        if not once:
            _stay(process, console)
    except KeyboardInterrupt:
        console.print("\nStopping.")
    finally:
        if process is not None:
            process.terminate()
            process.wait(60)
        cloud.close()
    return 0


def _fresh(folder: Path) -> None:
    if folder.exists():
        if not (folder / MARK).exists():
            raise CannotStart(
                f"{folder} exists and is no demo folder; nothing was touched. Name another with --folder."
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _configure(folder: Path, cloud: OrthancCloud | FolderCloud, ports: dict[str, int]) -> Path:
    """Write the demo's configuration. JSON is YAML, and needs no quoting of our own."""
    key = folder / "secrets" / "pseudonym.key"
    key.parent.mkdir(mode=0o700)
    key.touch(mode=0o600)
    key.write_text(secrets.token_hex(32) + "\n")
    (folder / "inbox" / "clinic-a").mkdir(parents=True)
    settings: dict[str, Any] = {
        "site": "demo",
        "state": "./state",
        "mapping": {"key_file": "./secrets/pseudonym.key"},
        "scp": {"ae_title": "EDGE", "host": "127.0.0.1", "port": ports["scp"]},
        "inbox": {"path": "./inbox", "quiet_s": 1, "clinics": {"clinic-a": {"source": "clinic_a"}}},
        "destinations": [cloud.destination(folder / "secrets")],
        "spool": {"reserve_gb": 0.1},
        "watch": {"host": "127.0.0.1", "port": ports["watch"]},
    }
    config = folder / "appliance.yaml"
    config.write_text(json.dumps(settings, indent=2) + "\n")
    return config


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise CannotStart(f"The appliance did not become ready; nothing was sent. Its log: {log}")


def _samples() -> list[Sample]:
    scanner = phantom.study(
        name="Mustermann^Erika", patient_id="MRN-004711", born="19570312", when=datetime(2026, 3, 2, 9, 15, tzinfo=UTC)
    )
    clinic = phantom.study(
        name="Doe^John",
        patient_id="C-0815",
        born="19691124",
        when=datetime(2026, 3, 9, 14, 30, tzinfo=UTC),
        institution="Clinic A",
    )
    return [Sample("by C-STORE, from scanner CT1", dict(scanner)), Sample("as a zip, in inbox/clinic-a", dict(clinic))]


def _send_as_scanner(sample: Sample, folder: Path, port: int, console: Console) -> None:
    sent = folder / "sent"
    sent.mkdir()
    paths = []
    for number, body in enumerate(sample.files.values()):
        paths.append(sent / f"{number}.dcm")
        paths[-1].write_bytes(body)
    count = send("127.0.0.1", port, paths, calling="CT1", called="EDGE")
    console.print(f"Sent {count} instances {sample.title}: each was answered with Success.")


def _drop_as_clinic(sample: Sample, folder: Path, console: Console) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        for number, body in enumerate(sample.files.values()):
            target.writestr(f"Doe_John/IM{number:04d}", body)
    part = folder / "inbox" / "clinic-a" / "Doe_John_2026.zip.part"
    part.write_bytes(archive.getvalue())
    part.rename(part.with_suffix(""))  # the name without .part says: complete
    console.print(f"Dropped {len(sample.files)} instances {sample.title}.")


def _wait_until_delivered(cloud: OrthancCloud | FolderCloud, wanted: int, folder: Path, console: Console) -> None:
    deadline = time.monotonic() + WAIT_S
    with console.status("Waiting until they have arrived …"):
        while (count := cloud.arrived()) < wanted:
            if time.monotonic() > deadline:
                raise ApplianceError(
                    f"Only {count} of {wanted} instances arrived in {cloud.words}; none is lost. "
                    f"See: appliance queue -c {folder / 'appliance.yaml'} and the log {folder / 'appliance.log'}"
                )
            time.sleep(0.2)
    console.print(f"All {wanted} instances are in {cloud.words}.\n")


def _show(samples: Iterable[Sample], cloud: OrthancCloud | FolderCloud, console: Console) -> None:
    """Print one instance of each study, before and after. They are matched by their pixels: all else is new."""
    arrived = [pydicom.dcmread(io.BytesIO(body)) for body in cloud.files()]
    for sample in samples:
        before = pydicom.dcmread(io.BytesIO(next(iter(sample.files.values()))))
        after = next(each for each in arrived if each.PixelData == before.PixelData)
        table = Table(title=f"One instance {sample.title}", title_justify="left")
        for heading in ("", "before (inside the hospital)", f"after (in {cloud.words})"):
            table.add_column(heading, overflow="fold")
        for keyword in SHOWN:
            table.add_row(keyword, str(before.get(keyword, "")), str(after.get(keyword, "")))
        console.print(table)


def _show_receipt(folder: Path, console: Console) -> None:
    """Print what the clinic finds in its folder, once it says that its images were delivered."""
    receipts = folder / "inbox" / "clinic-a" / "_receipts"
    deadline = time.monotonic() + RECEIPT_S
    text = ""
    while CLOSED not in text and time.monotonic() < deadline:
        time.sleep(0.2)
        text = "".join(path.read_text() for path in sorted(receipts.glob("*.txt")))
    console.print("The clinic finds this receipt in its folder:")
    console.print(Panel(text.rstrip(), expand=False))


def _say_where(
    folder: Path,
    cloud: OrthancCloud | FolderCloud,
    config: Path,
    ports: dict[str, int],
    console: Console,
    *,
    stays: bool,
) -> None:
    """Print where to look; what ends with the demo is not named when it ends now."""
    receipts = folder / "inbox" / "clinic-a" / "_receipts"
    program = "appliance" if shutil.which("appliance") else Path(sys.executable).with_name("appliance")
    for what, where, is_kept in (
        ("What arrived", cloud.look, isinstance(cloud, FolderCloud)),
        ("Metrics", f"http://127.0.0.1:{ports['watch']}/metrics", False),
        ("The clinic's receipt", str(receipts), True),
        ("Where everything is", f"{program} queue -c {config}", True),
        ("One instance's way", f"{program} trace -c {config} ID", True),
        ("Send your own", f"storescu 127.0.0.1 {ports['scp']} -aec EDGE FILE.dcm", False),
    ):
        if not (stays or is_kept):
            continue
        console.print(f"{what + ':':24}{where}", soft_wrap=True)


def _stay(process: subprocess.Popen[bytes], console: Console) -> None:
    console.print("\nIt stays up until Ctrl-C.")
    process.wait()
