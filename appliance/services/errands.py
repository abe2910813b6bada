"""A destination's thread for what is no delivery, with a connection of its own: one errand at a time.

So neither recalls nor questions wait for a backlog of deliveries, or hold it up.
"""

import queue
import threading
from typing import Generic, TypeVar

from appliance.outlet.breaker import Breaker

Errand = TypeVar("Errand")
Report = TypeVar("Report")


class Errands(Generic[Errand, Report]):
    """Does errands and gives a report of each. All but ``work`` and ``close`` belong to the service's thread.

    name  of the destination
    kind  what they are about, for the thread's name
    """

    def __init__(self, name: str, kind: str, breaker: Breaker) -> None:
        self.name = name
        self.breaker = breaker
        self.free = True
        self._errands: queue.SimpleQueue[Errand | None] = queue.SimpleQueue()
        # A daemon: a request that hangs beyond the drain does not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"{name}-{kind}", daemon=True)
        self._came: queue.SimpleQueue[Report] | None = None

    def work(self, errand: Errand) -> Report:
        """Do an errand, in the thread. Never raises."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the connection, in the thread."""
        raise NotImplementedError

    def start(self, came: "queue.SimpleQueue[Report]") -> None:
        """Begin to wait for errands; reports go into ``came``."""
        self._came = came
        self._thread.start()

    def send(self, errand: Errand) -> None:
        """Have this done; only while ``free``, which the service sets again when the report is written."""
        self.free = False
        self._errands.put(errand)

    def stop(self) -> None:
        """Let the thread end after what it has in hand."""
        self._errands.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the end, at most so long."""
        self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        while (errand := self._errands.get()) is not None:
            report = self.work(errand)
            if self._came is not None:
                self._came.put(report)
        self.close()
