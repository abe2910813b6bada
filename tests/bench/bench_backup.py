"""A backup of a hospital with a million images, made, looked at and put back on a fresh host.

    python -m tests.bench.bench_backup [images]

A hundredth as many patients; each image has its rows on both sides, its report and its four UIDs in the mapping. Prints
seconds and the largest memory of each command, and the size of the file. Exit code 1 if putting it back takes longer
than the seed system's four hours, or the host has not as many rows then.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyrage

from appliance.config import Config
from appliance.deid.outcome import Minted
from appliance.mapping.store import MappingStore
from appliance.spool.outbox import Outbox
from appliance.spool.reports import Entry, Reports, packed
from tests.bench.bench_backlog import BATCH, NOW, Backlog, say
from tests.make.site import configured

IMAGES = 1_000_000
MOST_S = 4 * 3600.0
KEY = bytes.fromhex("5e" * 32)  # what ``configured`` writes


def main(images: int) -> int:
    """Print what was measured; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        recipient = pyrage.x25519.Identity.generate()
        identity = root / "identity"
        identity.write_text(f"{recipient}\n")
        here, fresh = (_site(root / name, str(recipient.to_public())) for name in ("here", "fresh"))
        began = time.perf_counter()
        _fill(here, images)
        say(f"{images:,} images made in {time.perf_counter() - began:.0f} s, {_mib(here.state)} MiB of databases")
        _command("backup", here, "make")
        (backup,) = (here.file.parent / "backups").glob("*.age")
        say(f"the file: {backup.stat().st_size >> 20} MiB")
        _command("verification", here, "verify")
        shutil.rmtree(fresh.file.parent / "secrets")
        took = _command("restore", fresh, "restore", str(backup), "--identity", str(identity))
        outbox = Outbox(fresh.state / "outside")
        rows = sum(count.n for count in outbox.counts())
        outbox.close()
    say(f"rows of the outside then: {rows:,}")
    return int(took > MOST_S or rows != images)


def _site(folder: Path, recipient: str) -> Config:
    (folder / "backups").mkdir(parents=True)
    return configured(folder, f"backup: {{folder: ./backups, recipients: [{recipient}]}}\n")


def _fill(site: Config, images: int) -> None:
    backlog = Backlog(site.state, images)
    backlog.close()
    reports = Reports(site.state / "inside" / "reports.db")
    account = packed('{"kept": []}')
    with MappingStore(site.mapping_store, KEY) as store:
        for start in range(0, images, BATCH):
            numbers = range(start, min(start + BATCH, images))
            reports.keep(
                [Entry(f"id-{n}", 1, NOW, out=f"{n:040x}", sop_instance=_uid(n, 4), body=account) for n in numbers]
            )
            store.commit([each for n in numbers for each in _minted(n)])
    reports.close()


def _minted(number: int) -> list[Minted]:
    """What an image brings into the mapping: its UIDs, and every hundredth a patient."""
    uids = [Minted("uid", "", f"1.2.840.1.{number}.{of}", _uid(number, of)) for of in range(4)]
    if number % 100:
        return uids
    return [Minted("patient", "site", f"P{number:09d}", f"st-elsewhere-{number:016d}"), *uids]


def _uid(number: int, of: int) -> str:
    return f"2.25.{10**37 + number * 10 + of}"


def _command(name: str, site: Config, *arguments: str) -> float:
    """Run ``appliance backup``; print and return its seconds."""
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "appliance.cli", "backup", *arguments, "-c", str(site.file)], stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(child.pid, 0)
    took = time.perf_counter() - began
    assert os.waitstatus_to_exitcode(status) == 0, name
    say(f"{name:<14}{took:>8.1f} s{used.ru_maxrss >> 10:>8} MiB")
    return took


def _mib(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*.db*")) >> 20


def test_a_million_images_are_put_back_within_hours() -> None:
    assert main(IMAGES) == 0


if __name__ == "__main__":
    sys.exit(main(int((sys.argv[1:] or [IMAGES])[0])))
