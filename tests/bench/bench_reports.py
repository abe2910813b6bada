"""What keeping a report for each instance costs the way of an image: the service with and without, in turns.

    python -m tests.bench.bench_reports [instances]

Measured is the time from the first instance to the last one being PASSED, by one worker. Exit code 1 if the median of
the ratios is above 1.05. Then the size of the store for so many instances of one series.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from appliance.services import worker
from appliance.services.deidentify import Deidentify
from appliance.services.reporting import Reporting
from appliance.services.worker import Equipment, Job, Result
from appliance.spool.inside import Spool
from tests.bench.bench_deid import as_scanned
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured

INSTANCES = 300
TURNS = 7
ALLOWED = 1.05


class _Nobody:
    """An observer that counts nothing."""

    def __getattr__(self, name: str) -> object:
        return lambda *_: None


def without_account(equipment: Equipment, job: Job) -> Result:
    """Work as it would be without an account; in the worker's process."""
    worker.account_of = lambda *_: "{}"  # type: ignore[assignment]
    return worker.work(equipment, job)


def once(folder: Path, instances: int) -> float:
    """Return how many seconds ``instances`` took; start and stop are left out."""
    site = configured(folder, "deidentify: {workers: 1}\n")
    spool = Spool(site.state / "inside", reserve_bytes=0)
    data = as_scanned(make.ct(size=256))
    service = Deidentify(site, _Nobody())  # type: ignore[arg-type]
    service.start()
    while service.step():
        pass
    for number in range(instances):
        data.SOPInstanceUID, data.InstanceNumber = f"1.2.3.{number}", number
        arrive(spool, data)
    began = time.perf_counter()
    while service.step() or service._in_hand:
        pass
    took = time.perf_counter() - began
    service.stop()
    assert sum(count.n for count in spool.counts() if count.state == "PASSED") == instances
    spool.close()
    return took


def main(instances: int = INSTANCES) -> int:
    """Measure, print, and return the exit code."""
    ratios, size = [], 0
    for _ in range(TURNS):
        with tempfile.TemporaryDirectory() as folder:
            with_reports = once(Path(folder), instances)
            size = sum(file.stat().st_size for file in Path(folder).rglob("reports.db*") if "shm" not in file.name)
        with (
            tempfile.TemporaryDirectory() as folder,
            mock.patch("appliance.services.deidentify.work", without_account),
            mock.patch.object(Reporting, "flush", lambda self: self._waiting.clear()),
        ):
            ratios.append(with_reports / once(Path(folder), instances))
    median = statistics.median(ratios)
    sys.stdout.write(
        f"an instance with a report takes {median:.3f} of one without; {size / instances:.0f} bytes each\n"
    )
    return int(median > ALLOWED)


def test_a_report_costs_at_most_a_twentieth_of_an_image_s_way() -> None:
    assert main() == 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
