"""A destination's thread for what is no delivery, with a connection of its own: one errand at a time.

So neither recalls nor questions wait for a backlog of deliveries, or hold it up.
"""

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from appliance.outlet.breaker import Breaker

Errand = TypeVar("Errand")
Report = TypeVar("Report")


class Reports(Generic[Report]):
    """What comes back from all the threads of one kind, written by the service's thread alone.

    write  writes a report; what it raises passes through, and the report is written again the next time
    """

    def __init__(self, write: Callable[[Report], None]) -> None:
        self.came: queue.SimpleQueue[Report] = queue.SimpleQueue()
        self._write = write
        self._unwritten: Report | None = None

    def take(self) -> bool:
        """Write what has come; return whether there was anything."""
        took = False
        while self._unwritten is not None or not self.came.empty():
            if self._unwritten is None:
                self._unwritten = self.came.get_nowait()
            self._write(self._unwritten)  # on a full disk the step fails, and the next one writes it again
            self._unwritten = None
            took = True
        return took


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
