"""The inbox service killed at any moment: what was dropped is in the house or still in the inbox."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from appliance.dicom.sniff import identify
from tests.make import make
from tests.peers.patience import until

STEM = "2.25.1234567890"
TEMPLATE = make.file(make.ct(SOPInstanceUID=f"{STEM}{0:010d}", size=8))

SERVICE = """
import sys, threading
from pathlib import Path
from appliance.config import Clinic, Config, Destination, Inbox, Spool
from appliance.services.inbox import InboxService
from appliance.services.loop import run
root = Path(sys.argv[1])
config = Config(
    site="test", state=root / "var", destinations=(Destination(name="d", folder=root / "out"),),
    inbox=Inbox(path=root / "inbox", quiet_s=0.1, scan_s=0.1, processed_days=int(sys.argv[2]),
                clinics={"clinic-a": Clinic("clinic_a")}),
    spool=Spool(reserve_gb=0),
)
run(InboxService(config), threading.Event(), idle_s=0.02)
"""


def image(number):
    return TEMPLATE.replace(f"{STEM}{0:010d}".encode(), f"{STEM}{number:010d}".encode())


def started(root, days):
    return subprocess.Popen([sys.executable, "-c", SERVICE, str(root), str(days)], cwd=Path.cwd())


def waiting(clinic):
    return [path for path in clinic.rglob("*") if path.is_file() and path.relative_to(clinic).parts[0][0] != "_"]


def survives(root, days, seed):
    """Drop 400 files while the service is killed eight times, let it finish, and return the UIDs of the originals."""
    chance = random.Random(seed)
    clinic = root / "inbox" / "clinic-a"
    clinic.mkdir(parents=True)
    for part in range(8):
        for number in range(part * 50, part * 50 + 50):
            folder = clinic / f"study{number // 20}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number}.part").write_bytes(image(number))
            (folder / f"{number}.part").rename(folder / f"{number}")
        service = started(root, days)
        time.sleep(chance.uniform(0.5, 1.2))
        os.kill(service.pid, signal.SIGKILL)
        service.wait()
    service = started(root, days)
    try:
        taken = until(lambda: not waiting(clinic) and not list(clinic.glob("_receipts/.item*")), every_s=0.05)
        assert taken, f"{len(waiting(clinic))} files were not taken"
    finally:
        service.terminate()
        service.wait()
    return [identify(path).sop_instance for path in (root / "var" / "inside" / "received").rglob("*.dcm")]


def test_no_file_whose_place_in_the_inbox_is_empty_is_missing_after_kills(tmp_path):
    wanted = {f"{STEM}{number:010d}" for number in range(400)}

    kept = survives(tmp_path / "kept", 7, seed=1)
    removed = survives(tmp_path / "removed", 0, seed=2)

    assert set(kept) == wanted and set(removed) == wanted
    # One file at most is taken twice by each kill: the one that was durable and not yet moved.
    assert len(kept) <= len(wanted) + 8 and len(removed) <= len(wanted) + 8
    shelf = [path for path in (tmp_path / "kept/inbox/clinic-a/_processed").rglob("*") if path.is_file()]
    assert len(shelf) == len(wanted)


def test_receipts_after_kills_account_for_every_file(tmp_path):
    survives(tmp_path, 7, seed=3)

    texts = [path.read_text() for path in (tmp_path / "inbox" / "clinic-a" / "_receipts").glob("*.txt")]
    taken = sum(int(line.split()[0]) for text in texts for line in text.splitlines() if " taken:" in line)
    assert taken == 400
