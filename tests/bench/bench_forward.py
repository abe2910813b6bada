"""How fast and how dearly we forward: one instance a request against batches, into a real Orthanc, side by side.

    python -m tests.bench.bench_forward [--count 400] [--kind ct|mr]

Prints instances a second and our CPU seconds a GB. Ratios count; absolute figures belong to the machine. Orthanc runs
with TCP_NODELAY=1, or its replies would wait 40 ms each.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from appliance.config import Destination
from appliance.model import Parcel
from tests.make.outside import admit
from tests.make.parcels import padded
from tests.peers.forwarding import Forwarding
from tests.peers.orthanc import Orthanc

KINDS = {"ct": 512 * 1024, "mr": 70 * 1024}
WAYS: dict[str, dict[str, int]] = {
    "one a request, 1 connection": {"connections": 1, "batch_instances": 1},
    "one a request, 4 connections": {"connections": 4, "batch_instances": 1},
    "batches, 1 connection": {"connections": 1},
    "batches, 4 connections": {"connections": 4},
}


def cpu_s() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(root: Path, orthanc: Orthanc, made: Sequence[Parcel], settings: dict[str, int]) -> tuple[float, float]:
    """Return (instances a second, CPU seconds a GB) of forwarding ``made``."""
    destination = Destination(name="research", url=orthanc.dicomweb, existing="replaced", **settings)  # type: ignore[arg-type]
    with Forwarding(root, [destination]) as running:
        admit(running.outbox, made)
        before, began = cpu_s(), time.monotonic()
        running.until(lambda: not running.states().get("READY"), every_s=0.1)
        took, cpu = time.monotonic() - began, cpu_s() - before
    return len(made) / took, cpu / (sum(parcel.size for parcel in made) / 1e9)


def main() -> None:
    """Measure every way, each with instances of its own."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--count", type=int, default=400)
    asked.add_argument("--kind", choices=KINDS, default="ct")
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, Orthanc(Path(folder) / "orthanc", overwrite=True) as orthanc:
        for number, (name, settings) in enumerate(WAYS.items()):
            root = Path(folder) / str(number)
            made = padded(root / "made", count=options.count, size=KINDS[options.kind], patient=f"bench-{number}")
            rate, cpu = measure(root, orthanc, made, settings)
            sys.stdout.write(f"{options.kind} {name:32} {rate:7.0f} instances/s {cpu:6.2f} CPU s/GB\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
