"""A backlog of a million: what counting, claiming, opening and arriving cost beside their cost at a thousand.

    python -m tests.bench.bench_backlog [rows …]

Both backlogs are measured in turns within one run, and only the ratio means something. Exit code 1 if one is above 1.5.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from appliance.model import Ready
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from tests.make.spooled import arrival, out_of

SMALL, LARGE = 1_000, 1_000_000
ALLOWED = 1.5
TURNS = 60
BATCH = 5_000
NOW = 2_000_000_000.0


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Backlog:
    """Both sides with ``rows`` waiting instances in each; rows only: no measured step opens their files."""

    def __init__(self, root: Path, rows: int) -> None:
        self.rows = rows
        self.root = root
        self.spool = Spool(root / "inside", reserve_bytes=0)
        self.outbox = Outbox(root / "outside")
        self._next = rows
        for start in range(0, rows, BATCH):
            numbers = range(start, min(start + BATCH, rows))
            self.spool.arrived(arrival(number, source=f"CT{number % 7}") for number in numbers)
            self.outbox.rows.admitted([_ready(number) for number in numbers], NOW - 100)

    def count(self) -> None:
        assert sum(count.n for count in self.outbox.counts()) >= self.rows
        assert sum(count.n for count in self.spool.counts()) >= self.rows

    def oldest(self) -> None:
        assert self.spool.oldest_waiting(NOW) > 0
        assert self.outbox.oldest_waiting(NOW) > 0

    def claim(self) -> None:
        (instance,) = self.spool.claim(1, NOW, set())
        self.spool.defer(instance, NOW + 60)

    def claim_batch(self) -> None:
        parcels = self.outbox.claim("research", 5, 64 << 20, NOW, set())
        assert len(parcels) == 5
        self.outbox.later(parcels, "research", NOW + 60)

    def settle(self) -> None:
        parcels = self.outbox.claim("research", 1, 64 << 20, NOW, set())
        assert parcels
        self.outbox.stored(parcels, "research", NOW)

    def arrive(self) -> None:
        self._next += 1
        assert self.spool.arrived([arrival(self._next)]) == 1

    def open_and_arrive(self) -> None:
        """From start to the first accepted image: open the side, receive a file, give it its row."""
        self._next += 1
        came = arrival(self._next)
        spool = Spool(self.root / "inside", reserve_bytes=0)
        with spool.receiving("bench") as receiving, receiving.draft() as draft:
            draft.write(b"image")
            draft.keep(came.id)
        assert spool.arrived([came]) == 1
        spool.close()

    def open_and_claim(self) -> None:
        spool = Spool(self.root / "inside", reserve_bytes=0)
        assert spool.claim(1, NOW, set())
        spool.close()

    def close(self) -> None:
        self.spool.close()
        self.outbox.close()


MEASURED: dict[str, Callable[[Backlog], None]] = {
    "counts of both sides": Backlog.count,
    "oldest waiting": Backlog.oldest,
    "claim one original": Backlog.claim,
    "claim a batch of parcels": Backlog.claim_batch,
    "settle a delivery": Backlog.settle,
    "row of an arrival": Backlog.arrive,
    "open, receive, row": Backlog.open_and_arrive,
    "open, first claim": Backlog.open_and_claim,
}


def main(sizes: list[int]) -> int:
    """Print the table; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        backlogs = []
        for rows in sizes:
            began = time.perf_counter()
            backlogs.append(Backlog(Path(folder) / str(rows), rows))
            say(f"{rows:>9,} rows a side made in {time.perf_counter() - began:.0f} s")
        say(f"{'ms, median of ' + str(TURNS):<28}" + "".join(f"{rows:>12,}" for rows in sizes) + "       ratio")
        worst = 0.0
        for name, step in MEASURED.items():
            small, *_, large = found = _side_by_side(backlogs, step)
            worst = max(worst, large / small)
            say(f"{name:<28}" + "".join(f"{ms:>12.3f}" for ms in found) + f"{large / small:>12.2f}")
        for backlog in backlogs:
            backlog.close()
    say(f"worst ratio {worst:.2f}, allowed {ALLOWED}")
    return int(worst > ALLOWED)


def _side_by_side(backlogs: list[Backlog], step: Callable[[Backlog], None]) -> list[float]:
    """Return the median ms of ``step`` for each backlog, measured in turns so that the machine's moods are shared."""
    took: list[list[float]] = [[] for _ in backlogs]
    for turn in range(TURNS + 5):
        for backlog, times in zip(backlogs, took, strict=True):
            began = time.perf_counter()
            step(backlog)
            if turn >= 5:
                times.append((time.perf_counter() - began) * 1000)
    return [statistics.median(times) for times in took]


def _ready(number: int) -> Ready:
    return Ready(
        out=out_of(str(number)),
        round=1,
        sop_class="1.2.840.10008.5.1.4.1.1.2",
        sop_instance=f"2.25.{number}",
        study=f"2.25.9{number // 300}",
        series=f"2.25.8{number // 100}",
        transfer_syntax="1.2.840.10008.1.2.1",
        digest=f"{number:064x}",
        size=500_000,
        source=f"CT{number % 7}",
        project="main",
        rules_digest="rules",
        destinations=("research",),
    )


if __name__ == "__main__":
    sys.exit(main([int(text.replace(",", "")) for text in sys.argv[1:]] or [SMALL, LARGE]))
