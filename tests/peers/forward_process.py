"""The forward service as a process of its own, to be killed: ``python -m tests.peers.forward_process ROOT URL``."""

import queue
import random
import subprocess
import sys
import time
from pathlib import Path

from appliance.config import Destination
from appliance.services.carrier import Delivered
from appliance.services.forward import Forward, lane_to
from appliance.services.loop import run, stop_on_signals
from appliance.services.outside_operator import OutsideOperator
from appliance.services.recalling import Recalling
from appliance.services.reconciling import Reconciling
from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from tests.peers.forwarding import Observed

ROOT = Path(__file__).parents[2]


def start(root: Path, url: str) -> subprocess.Popen[bytes]:
    """Start it on the outbox below ``root``."""
    return subprocess.Popen([sys.executable, "-m", "tests.peers.forward_process", str(root), url], cwd=ROOT)


def main(root: Path, url: str) -> None:
    """Forward what is in the outbox until a signal comes."""
    done: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
    outbox = Outbox(root / "outside")
    destination = Destination(name="research", url=url, existing="replaced", connections=2, batch_instances=4)
    lane = lane_to(destination, done, clock=lambda: time.monotonic() * 20, chance=random.random)
    reconciling = Reconciling(outbox, [], kept_s=0, clock=time.time)
    operator = OutsideOperator(outbox, Requests(root / "requests"), {lane.name: lane.breaker}, reconciling)
    run(
        Forward(
            outbox,
            [lane],
            done,
            operator=operator,
            recalling=Recalling(outbox, [], clock=time.time, chance=random.random),
            reconciling=reconciling,
            observer=Observed(),
            chance=random.random,
        ),
        stop_on_signals(),
        idle_s=0.01,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
