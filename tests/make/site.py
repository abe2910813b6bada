"""A site in a folder: its configuration, and instances in its spool as services would have left them."""

import time
from datetime import UTC, datetime
from pathlib import Path

from appliance import config
from appliance.config import Config
from appliance.model import Arrival, Provenance
from appliance.reasons import Reason
from appliance.spool.inside import Spool

ID = "20261120T181522123Z-CT1-k7f3q9"


def configured(folder: Path, more: str = "", *, destinations: str = "[{name: research, folder: ./out}]") -> Config:
    """Write and load ``site.yaml``: any free ports, no reserve, a key file that is there."""
    key = folder / "secrets" / "pseudonym.key"
    if not key.exists():
        key.parent.mkdir(exist_ok=True)
        key.write_text("5e" * 32 + "\n")
        key.chmod(0o600)
    file = folder / "site.yaml"
    file.write_text(
        "site: st-elsewhere\nstate: ./var\nmapping: {key_file: ./secrets/pseudonym.key}\n"
        f"spool: {{reserve_gb: 0}}\nwatch: {{port: 0}}\ndestinations: {destinations}\n{more}"
    )
    return config.load(file)


def received(site: Config, spool_id: str = ID, *, source: str = "CT1", body: bytes = b"x") -> None:
    """An original with its row."""
    spool = Spool(site.state / "inside", reserve_bytes=0)
    came = Provenance(source, calling_ae="SCANNER\x1b[31m", peer="10.1.2.3")
    spool.layout.original(spool_id).write_bytes(body)
    spool.arrived([Arrival(spool_id, datetime.now(UTC), came, "1.2.3", "1.2.3.4", "1.2.840.10008.1.2", len(body))])
    spool.close()


def quarantined(site: Config, spool_id: str = ID, reason: Reason = Reason.NO_PATIENT_ID) -> None:
    """An original that waits for a person."""
    received(site, spool_id)
    spool = Spool(site.state / "inside", reserve_bytes=0)
    (instance,) = spool.claim(1, time.time(), set())
    spool.quarantine(instance, reason, "(0010,0020) is empty.")
    spool.close()
