"""The threads that make deliveries: one a connection, one delivery at a time, no state of the house in their hands."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.model import Parcel
from appliance.outlet.breaker import Permit
from appliance.outlet.destination import Destination, Later, Receipt, Unavailable, deliver_changed, deliver_replacing

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt to make.

    destination  name
    parcels      of one study, each SOP Instance UID once
    changed      it is one parcel, another version of which was delivered before
    keeps        the destination keeps what it has
    """

    destination: str
    parcels: tuple[Parcel, ...]
    permit: Permit
    changed: bool = False
    keeps: bool = True

    @property
    def size(self) -> int:
        """Bytes of all parcels."""
        return sum(parcel.size for parcel in self.parcels)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What came of it."""

    delivery: Delivery
    receipt: Receipt
    seconds: float


class Carrier:
    """A thread with one connection. ``give`` and ``free`` belong to the service's thread."""

    def __init__(
        self,
        destination: Destination,
        done: "queue.SimpleQueue[Delivered]",
        *,
        name: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._destination = destination
        self._done = done
        self._clock = clock
        self._jobs: queue.SimpleQueue[Delivery | None] = queue.SimpleQueue()
        # A daemon, so that a request that hangs beyond the drain does not hold up the end of the process: what it
        # delivers is delivered again under the same UID.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.free = True

    def start(self) -> None:
        """Begin to wait for deliveries."""
        self._thread.start()

    def give(self, delivery: Delivery) -> None:
        """Have this delivery made; only while ``free``, which the service sets again when it comes back."""
        self.free = False
        self._jobs.put(delivery)

    def stop(self) -> None:
        """Let the thread end after what it has in hand."""
        self._jobs.put(None)

    def join(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""
        self._thread.join(max(0.0, seconds))
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (delivery := self._jobs.get()) is not None:
            began = self._clock()
            try:
                receipt = self._deliver(delivery)
            except Exception as error:  # the edge of a service loop (house-style C2): nothing may end it
                log.exception("delivery failed unexpectedly", extra={"destination": delivery.destination})
                receipt = _unexpected(delivery, type(error).__name__)
            self._done.put(Delivered(delivery, receipt, self._clock() - began))
        self._destination.close()

    def _deliver(self, delivery: Delivery) -> Receipt:
        if delivery.changed:
            deliver = deliver_changed if delivery.keeps else deliver_replacing
            return deliver(self._destination, delivery.parcels[0])
        return self._destination.deliver(delivery.parcels)


def _unexpected(delivery: Delivery, what: str) -> Receipt:
    """An error of ours: these wait and go alone next time; the breaker keeps a broken program from running hot."""
    return Receipt(
        {parcel.out: Later(None, f"unexpected {what}") for parcel in delivery.parcels},
        Unavailable(None, f"an unexpected {what} of the appliance; the log has its place.", sure=False),
    )
