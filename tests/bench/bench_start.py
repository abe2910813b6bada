"""A backlog of a million: from process start to the first accepted image, ``queue --json``, and claiming work.

    python -m tests.bench.bench_start [rows …]

Real processes on real state folders, one with a thousand instances waiting on each side and one with a million, in
turns, so that both share the machine's moods; only the ratio means something. Exit code 1 if one is above 1.5.

The rows are put in by the spool's own bulk calls, thousands a commit. Each has its file where it belongs, so that what
looks through folders at the start has as much to look at as it will have; but the files are second names (hard links)
of a few small ones: a million inodes would take minutes and gigabytes, and no measured step opens one.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from tests.bench.bench_backlog import NOW, _ready
from tests.make import make
from tests.make.spooled import arrival
from tests.peers.appliance_process import Appliance
from tests.peers.caller import CT, EXPLICIT, Caller

SMALL, LARGE = 1_000, 1_000_000
ALLOWED = 1.5
TURNS = 9
BATCH = 5_000
NAMES = 50_000  # second names of one file; ext4 allows 65,000
CLAIMS = 50  # claims of an original in a turn
BATCHES = 10  # claims of five parcels in a turn


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Backlog:
    """A site with ``rows`` instances that wait for de-identification and as many that wait for the destination."""

    def __init__(self, root: Path, rows: int) -> None:
        self.rows = rows
        self.edge = Appliance(root, [{"name": "research", "url": "http://127.0.0.1:9/dicom-web"}])
        self._sent = 0
        spool, outbox = Spool(self.edge.state / "inside", reserve_bytes=0), Outbox(self.edge.state / "outside")
        for start in range(0, rows, BATCH):
            numbers = range(start, min(start + BATCH, rows))
            arrivals = [arrival(number, source=f"CT{number % 7}") for number in numbers]
            ready = [_ready(number) for number in numbers]
            spool.arrived(arrivals)
            outbox.rows.admitted(ready, NOW - 100)
            body = self._body(start, make.file(make.ct()))
            _named(body, [spool.layout.original(each.id) for each in arrivals])
            _named(body, [outbox.layout.ready(each.out) for each in ready])
        spool.close()
        outbox.close()

    def _body(self, start: int, content: bytes) -> Path:
        """The file whose second names the next ones are."""
        body = self.edge.folder / f"body-{2 * start // NAMES}"
        if not body.exists():
            body.write_bytes(content)
        return body

    # --- what is measured: each returns seconds -------------------------------------------------------------------

    def first_image(self) -> float:
        """From the start of the receiver's process to the first Success."""
        took = self._receive()
        assert self.edge.stop() == 0
        return took

    def first_image_after_a_kill(self) -> float:
        took = self._receive()
        self.edge.kill()
        return took

    def _receive(self) -> float:
        self._sent += 1
        data = make.ct(seed=f"sent {self._sent}")
        body = make.data_set(data)
        began = time.perf_counter()
        self.edge.start("receive")
        while True:
            try:
                with Caller(self.edge.port) as caller:
                    caller.request({1: (CT, [EXPLICIT])})
                    assert caller.store(1, CT, data.SOPInstanceUID, body) == 0
                return time.perf_counter() - began
            except ConnectionRefusedError:
                assert time.perf_counter() - began < 120, self.edge.log[-2000:]
                time.sleep(0.002)

    def queue(self) -> float:
        """``appliance queue --json`` as a process."""
        began = time.perf_counter()
        told = subprocess.run(
            [sys.executable, "-m", "appliance.cli", "queue", "--json", "-c", str(self.edge.file)],
            capture_output=True,
            check=True,
        )
        took = time.perf_counter() - began
        assert json.loads(told.stdout)["received"] >= self.rows
        return took

    def claim_originals(self) -> float:
        """A process's first claim and the next ones, each given back."""
        spool = Spool(self.edge.state / "inside", reserve_bytes=0)
        began = time.perf_counter()
        for _ in range(CLAIMS):
            (instance,) = spool.claim(1, NOW, set())
            spool.defer(instance, NOW + 60)
        took = time.perf_counter() - began
        spool.close()
        return took

    def claim_parcels(self) -> float:
        outbox = Outbox(self.edge.state / "outside")
        began = time.perf_counter()
        for _ in range(BATCHES):
            parcels = outbox.claim("research", 5, 64 << 20, NOW, set())
            assert len(parcels) == 5
            outbox.later(parcels, "research", NOW + 60)
        took = time.perf_counter() - began
        outbox.close()
        return took


MEASURED: dict[str, Callable[[Backlog], float]] = {
    "start to first image": Backlog.first_image,
    "the same after kill -9": Backlog.first_image_after_a_kill,
    "appliance queue --json": Backlog.queue,
    f"{CLAIMS} claims of an original": Backlog.claim_originals,
    f"{BATCHES} claims of 5 parcels": Backlog.claim_parcels,
}


def main(sizes: list[int]) -> int:
    """Print the table; return the exit code."""
    folder = Path(tempfile.mkdtemp(prefix="bench-start-"))
    backlogs = []
    try:
        for rows in sizes:
            began = time.perf_counter()
            backlogs.append(Backlog(folder / str(rows), rows))
            say(f"{rows:>9,} waiting on each side made in {time.perf_counter() - began:.0f} s")
        worst = _compare(backlogs)
    finally:
        for backlog in backlogs:
            backlog.edge.kill()
        shutil.rmtree(folder)
    say(f"worst ratio {worst:.2f}, allowed {ALLOWED}")
    return int(worst > ALLOWED)


def _compare(backlogs: list[Backlog]) -> float:
    """Print a line for each step; return the worst ratio."""
    say(f"{'ms, median of ' + str(TURNS):<28}" + "".join(f"{each.rows:>12,}" for each in backlogs) + "       ratio")
    worst = 0.0
    for name, step in MEASURED.items():
        took: list[list[float]] = [[] for _ in backlogs]
        for turn in range(TURNS + 1):
            for backlog, times in zip(backlogs, took, strict=True):
                seconds = step(backlog)
                if turn:  # the first warms up
                    times.append(seconds)
        small, *_, large = found = [statistics.median(times) * 1000 for times in took]
        worst = max(worst, large / small)
        say(f"{name:<28}" + "".join(f"{ms:>12.1f}" for ms in found) + f"{large / small:>12.2f}")
    return worst


def _named(body: Path, names: list[Path]) -> None:
    for folder in {name.parent for name in names}:
        folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        os.link(body, name)


def test_a_million_waiting_slow_neither_start_nor_queue_nor_claims() -> None:
    assert main([SMALL, LARGE]) == 0


if __name__ == "__main__":
    sys.exit(main([int(text.replace(",", "")) for text in sys.argv[1:]] or [SMALL, LARGE]))
