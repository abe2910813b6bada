"""The way to one destination: what is claimed for it, who carries it, and when it may be tried."""

import queue
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from appliance.model import Parcel
from appliance.outlet.batch_size import BatchSize
from appliance.outlet.breaker import Breaker, BreakerState, Permit
from appliance.outlet.destination import Destination, Later, Receipt, RefusedForGood, Stored, Unavailable
from appliance.services.carrier import Carrier, Delivered, Delivery

CREDIT = 3  # bare refusals that are believed after an instance was stored
FRESH = 1  # attempts, this one included, up to which a parcel goes with others


REFUSES_ALL = (
    "it refuses one instance after the other without saying why in a STOW-RS answer, and stores none. "
    "Check url, client_certificate and the proxies before it."
)


class Claims(Protocol):
    """What a lane needs of the outbox."""

    def claim(
        self, destination: str, limit: int, max_bytes: int, now: float, busy: Collection[str]
    ) -> Sequence[Parcel]: ...

    def earlier_digests(self, sop_instance: str, destination: str) -> Sequence[str]: ...

    def due(self, seqs: Collection[int], destination: str) -> Collection[int]: ...


@dataclass(frozen=True, slots=True)
class _Request:
    parcels: tuple[Parcel, ...]
    changed: bool


class Lane:
    """One destination as the service sees it. Used by the service's thread alone.

    keeps   it keeps an instance that it has
    proves  what became of a changed version is looked up, not believed; a folder knows by itself
    """

    def __init__(
        self,
        name: str,
        connections: Sequence[Destination],
        done: "queue.SimpleQueue[Delivered]",
        breaker: Breaker,
        size: BatchSize,
        *,
        keeps: bool,
        proves: bool,
    ) -> None:
        self.name = name
        self.breaker = breaker
        self.size = size
        self.told: BreakerState | None = None  # what the observer knows
        self.paused = False  # by a person: nothing new is begun
        self._keeps = keeps
        self._proves = proves
        self._credit = 0
        self._carriers = [
            Carrier(connection, done, name=f"{name}-{number}") for number, connection in enumerate(connections)
        ]
        self._waiting: deque[_Request] = deque()  # claimed, not yet given to a carrier
        self._in_hand: set[str] = set()
        self._carried: dict[int, Carrier] = {}  # id of a delivery -> who has it

    def start(self) -> None:
        """Start the threads."""
        for carrier in self._carriers:
            carrier.start()

    def hand_out(self, claims: Claims, now: float) -> int:
        """Give every free connection a delivery, as far as the breaker permits; return how many were given."""
        given = 0
        for carrier in self._carriers if not self.paused else ():
            if not carrier.free:
                continue
            permit = self.breaker.permit()
            if permit is None:
                break
            request = self._next(claims, now, permit)
            if request is None:
                self.breaker.unused(permit)
                break
            delivery = Delivery(self.name, request.parcels, permit, request.changed, self._keeps)
            self._carried[id(delivery)] = carrier
            carrier.give(delivery)
            given += 1
        return given

    def believed(self, receipt: Receipt) -> Receipt:
        """Doubt bare refusals by a destination that stores nothing: a lost client certificate makes nginx answer 400 to
        everything, and that must not reject a whole backlog. What is doubted is tried again."""
        verdicts = dict(receipt.verdicts)
        doubted = False
        for out, verdict in receipt.verdicts.items():
            match verdict:
                case Stored():
                    self._credit = CREDIT
                case RefusedForGood(explained=False) if self._credit:
                    self._credit -= 1
                case RefusedForGood(detail=detail, explained=False):
                    verdicts[out] = Later(None, detail)
                    doubted = True
        if not doubted or receipt.unavailable is not None:
            return replace(receipt, verdicts=verdicts)
        return replace(receipt, verdicts=verdicts, unavailable=Unavailable(None, REFUSES_ALL, sure=False))

    def came_back(self, delivered: Delivered) -> None:
        """Take note of a delivery: the connection is free, the size and the breaker learn from it."""
        delivery, receipt = delivered.delivery, delivered.receipt
        self._carried.pop(id(delivery)).free = True
        self._in_hand.difference_update(parcel.out for parcel in delivery.parcels)
        if receipt.too_large:
            self.size.was_too_large(delivery.size)
        elif receipt.too_much:
            self.size.was_too_much(len(delivery.parcels), delivery.size)
        elif receipt.unavailable is None:
            self.size.took(delivered.seconds, len(delivery.parcels), delivery.size)
        trouble = receipt.unavailable
        if trouble is None:
            self.breaker.worked(delivery.permit)
        else:
            self.breaker.failed(delivery.permit, trouble.after_s, trouble.detail, sure=trouble.sure)

    def reconsider(self, claims: Claims) -> None:
        """Begin nothing that was stopped or recalled since it was claimed."""
        parcels = [parcel for request in self._waiting for parcel in request.parcels]
        due = set(claims.due([parcel.seq for parcel in parcels], self.name)) if parcels else set()
        self._in_hand.difference_update(parcel.out for parcel in parcels if parcel.seq not in due)
        kept = [(tuple(each for each in request.parcels if each.seq in due), request) for request in self._waiting]
        self._waiting = deque(replace(request, parcels=parcels) for parcels, request in kept if parcels)

    @property
    def in_hand(self) -> Collection[str]:
        """Outside names that were claimed and have not come back."""
        return self._in_hand

    @property
    def is_busy(self) -> bool:
        """Whether a delivery is under way."""
        return bool(self._carried)

    def stop(self) -> None:
        """Give nothing more out; what was claimed and not begun stays READY."""
        self._waiting.clear()
        for carrier in self._carriers:
            carrier.stop()

    def join(self, deadline: float, clock: Callable[[], float]) -> int:
        """Wait for the threads until ``deadline``; return how many deliveries are abandoned."""
        return sum(not carrier.join(deadline - clock()) for carrier in self._carriers)

    def _next(self, claims: Claims, now: float, permit: Permit) -> _Request | None:
        if not self._waiting:
            limit = 1 if permit.probe else self.size.instances
            claimed = claims.claim(self.name, limit, self.size.bytes, now, set(self._in_hand))
            self._waiting.extend(self._requests(claimed, claims))
            self._in_hand.update(parcel.out for request in self._waiting for parcel in request.parcels)
        if not self._waiting:
            return None
        request = self._waiting.popleft()
        if permit.probe and len(request.parcels) > 1:
            # The first delivery after a pause is small: it decides for all the others.
            self._waiting.appendleft(_Request(request.parcels[1:], request.changed))
            request = _Request(request.parcels[:1], request.changed)
        return request

    def _requests(self, claimed: Sequence[Parcel], claims: Claims) -> Iterator[_Request]:
        """Divide what was claimed: what failed before goes alone, so that a bad one is found and stops no other."""
        together: list[Parcel] = []
        seen: set[str] = set()
        for parcel in claimed:
            if parcel.sop_instance in seen:
                continue  # a later version waits for the earlier: it is claimed again
            seen.add(parcel.sop_instance)
            changed = self._proves and self._is_changed(parcel, claims)
            if changed or parcel.attempts > FRESH:
                yield _Request((parcel,), changed)
            else:
                together.append(parcel)
        if together:
            yield _Request(tuple(together), changed=False)

    def _is_changed(self, parcel: Parcel, claims: Claims) -> bool:
        return any(digest != parcel.digest for digest in claims.earlier_digests(parcel.sop_instance, self.name))
