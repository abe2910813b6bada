"""The forward service in this process, on an outbox in a temporary folder, stepped by its own loop."""

import queue
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from appliance.config import Destination
from appliance.reasons import Reason
from appliance.services.carrier import Delivered
from appliance.services.forward import Forward, lane_to
from appliance.services.lane import Lane
from appliance.services.loop import run
from appliance.services.outside_operator import OutsideOperator
from appliance.services.recalling import Recalling, courier_to
from appliance.services.reconciling import DAY_S, Reconciling, asker_to
from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from tests.peers.patience import PATIENCE_S, until


class Observed:
    """Counts what the service tells its metrics."""

    def __init__(self) -> None:
        self.stored_instances: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.requests = 0
        self.breakers: list[tuple[str, bool]] = []
        self.pauses: dict[str, bool] = {}

    def stored(self, destination: str, source: str, size: int) -> None:
        self.stored_instances[f"{destination} {source}"] += 1
        self.bytes[destination] += size

    def delivered(self, destination: str, seconds: float) -> None:
        self.requests += 1

    def refused(self, destination: str, reason: Reason) -> None:
        self.refusals[reason.value] += 1

    def later(self, destination: str, count: int) -> None:
        self.retries[destination] += count

    def breaker(self, destination: str, is_open: bool) -> None:
        self.breakers.append((destination, is_open))

    def paused(self, destination: str, by_person: bool) -> None:
        self.pauses[destination] = by_person


class Forwarding:
    """A running forward service. A context manager.

    hurry  seconds of back-off become this share of a second, so that tests need not wait
    """

    def __init__(
        self, root: Path, destinations: Sequence[Destination], *, hurry: float = 1.0, drain_s: float = 5.0
    ) -> None:
        self.outbox = Outbox(root / "outside")
        self.requests = Requests(root / "requests")
        self.observed = Observed()
        self._began = time.time()
        done: queue.SimpleQueue[Delivered] = queue.SimpleQueue()
        chance = random.Random(1).random

        def clock() -> float:
            return self._began + (time.time() - self._began) / hurry

        self.lanes: list[Lane] = [
            lane_to(destination, done, clock=lambda: time.monotonic() / hurry, chance=chance)
            for destination in destinations
        ]
        self.reconciling = Reconciling(
            self.outbox,
            [
                asker_to(each, clock=lambda: time.monotonic() / hurry, chance=chance)
                for each in destinations
                if each.url
            ],
            kept_s=7 * DAY_S,
            clock=clock,
        )
        self._service = Forward(
            Outbox(root / "outside"),
            self.lanes,
            done,
            operator=OutsideOperator(
                self.outbox,
                Requests(root / "requests"),
                {lane.name: lane.breaker for lane in self.lanes},
                self.reconciling,
            ),
            reconciling=self.reconciling,
            recalling=Recalling(
                self.outbox,
                [courier_to(each, clock=lambda: time.monotonic() / hurry, chance=chance) for each in destinations],
                clock=clock,
                chance=chance,
            ),
            observer=self.observed,
            clock=clock,
            chance=chance,
            drain_s=drain_s,
        )
        self._stop = threading.Event()
        self.errors: list[int] = []
        self._thread = threading.Thread(
            target=run,
            args=(self._service, self._stop),
            kwargs={"idle_s": 0.01, "failed": lambda: self.errors.append(1)},
            daemon=True,
        )

    def __enter__(self) -> "Forwarding":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.outbox.close()

    def stop(self) -> float:
        """SIGTERM; return the seconds until it had ended."""
        began = time.monotonic()
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the service did not end"
        return time.monotonic() - began

    def states(self) -> dict[str, int]:
        """How many are READY, FORWARDED and REJECTED."""
        counted: Counter[str] = Counter()
        for each in self.outbox.counts():
            counted[each.state.value] += each.n
        return dict(counted)

    def until(self, so: Callable[[], bool], *, every_s: float = 0.01) -> None:
        """Wait until it is so, looking ``every_s``."""
        assert until(so, every_s=every_s), f"not so after {PATIENCE_S} s: {self.states()}"

    def until_settled(self) -> dict[str, int]:
        """Wait until nothing is READY; return the counts."""
        self.until(lambda: not self.states().get("READY"))
        return self.states()
