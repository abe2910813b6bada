"""The status page over a million waiting images a side, beside a thousand: it is asked for every half minute.

    python -m tests.bench.bench_status_page [rows …]

Prints milliseconds for the whole page, and for its parts that look through rows. Exit code 1 if the page takes two
seconds or more on the largest.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from appliance.spool.overview import Overview
from tests.bench.bench_backlog import NOW, Backlog, say

SMALL, LARGE = 1_000, 1_000_000
TURNS = 5
MOST_MS = 2000.0


def milliseconds(step) -> float:
    """Return the median of some turns."""
    took = []
    for _ in range(TURNS):
        began = time.perf_counter()
        step()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def main(sizes: list[int]) -> int:
    """Print the table; return the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        whole = {}
        for rows in sizes:
            backlog = Backlog(Path(folder) / str(rows), rows)
            overview = Overview(backlog.root)
            tally = overview.tally()
            parts = {
                "counts": lambda overview=overview: overview.tally(),
                "by age": lambda overview=overview, tally=tally: overview.by_age(tally, NOW),
                "newest studies": lambda overview=overview: overview.newest_studies(25),
            }
            found = {name: milliseconds(step) for name, step in parts.items()}
            whole[rows] = sum(found.values())
            told = ", ".join(f"{name} {ms:.1f}" for name, ms in found.items())
            say(f"{rows:>9,} rows a side: {whole[rows]:.1f} ms ({told})")
            overview.close()
            backlog.close()
    return int(whole[max(sizes)] >= MOST_MS)


def test_the_status_page_is_quick_over_a_million() -> None:
    assert main([SMALL, LARGE]) == 0


if __name__ == "__main__":
    sys.exit(main([int(each) for each in sys.argv[1:]] or [SMALL, LARGE]))
