"""The only door between the two sides: originals in, de-identified instances out, everything else to a human.

The parent claims RECEIVED instances, workers do them, and the parent commits what came back in batches, in the one
order that a power cut cannot turn against a patient: mapping, file in ready, outbox row, journal row. Each line may
be done twice; none may be skipped.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from appliance.deid.pseudonyms import out_name
from appliance.lifecycle import State
from appliance.mapping.store import MappingStore
from appliance.model import Instance, Ready
from appliance.reasons import Reason
from appliance.services.follow import Follower
from appliance.services.operator import Operator
from appliance.services.pool import Died, Finished, Overran, Pool
from appliance.services.worker import Job, Made, Result, Withheld
from appliance.spool.inside import Passed, Spool
from appliance.spool.outbox import Making, Outbox

log = logging.getLogger(__name__)

DEATHS = 3  # workers that one instance may end before it is quarantined
HOPELESS = 10  # beginnings of one instance, ours ended each time: it must be what ends us
BATCH = 64  # results committed together, at most
TAKE_S = 0.05  # how long to wait for results


class Observer(Protocol):
    """What the service tells its metrics."""

    def deidentified(self, source: str, count: int) -> None: ...

    def withheld(self, source: str, reason: Reason) -> None: ...


class Deidentify:
    """RECEIVED -> PASSED, DISCARDED, HELD or QUARANTINED.

    is_manual       (project, source) -> whether nothing leaves until an operator opens the source
    destinations    project -> names of its destinations
    domain_of       (source, clinic) -> identity domain
    """

    name = "deidentify"

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        mapping: MappingStore,
        pool: Pool[Job, Result],
        *,
        key: bytes,
        is_manual: Callable[[str, str], bool],
        destinations: Callable[[str], tuple[str, ...]],
        domain_of: Callable[[str, str], str],
        follower: Follower,
        operator: Operator,
        observer: Observer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spool = spool
        self._outbox = outbox
        self._mapping = mapping
        self._pool = pool
        self._key = key
        self._is_manual = is_manual
        self._destinations = destinations
        self._domain_of = domain_of
        self._follower = follower
        self._operator = operator
        self._observer = observer
        self._clock = clock
        self._in_hand: dict[str, Instance] = {}
        self._making: Making | None = None

    def start(self) -> None:
        """Start the workers and take a staging folder; rules and key were checked before."""
        self._making = self._outbox.making()
        self._pool.start()

    def step(self) -> bool:
        """Carry out requests, commit what came back, hand out more, follow what the outside settled."""
        asked = self._operator.step()
        came = self._pool.take(TAKE_S if self._in_hand else 0)
        if came:
            self._commit(came)
        given = self._hand_out()
        followed = self._follower.step(self._clock())
        return bool(asked or came or given or followed)

    def stop(self) -> None:
        """Give up what is in hand: it is done again after the next start, with the same result."""
        self._pool.stop()
        if self._making is not None:
            self._making.close()

    # --- handing out ----------------------------------------------------------------------------------------------

    def _hand_out(self) -> int:
        suspect = any(instance.attempts > DEATHS for instance in self._in_hand.values())
        room = 0 if suspect else self._pool.room
        if room <= 0:
            return 0
        claimed = self._spool.claim(room, self._clock(), set(self._in_hand))
        for instance in claimed:
            self._begin(instance)
        return len(claimed)

    def _begin(self, instance: Instance) -> None:
        out = out_name(self._key, instance.id, instance.round)
        if self._outbox.state(out) in (State.FORWARDED, State.REJECTED):
            # A crash came between the outside's row and ours: the outside's word holds within a round.
            self._spool.passed([Passed(instance, out, "", "", "", "")])
            return
        if instance.attempts > HOPELESS:
            self._quarantine(instance, Reason.WORKER_DIED, "")
            return
        assert self._making is not None  # noqa: S101 - start() came first
        self._in_hand[instance.id] = instance
        self._pool.give(
            Job(
                id=instance.id,
                round=instance.round,
                original=self._spool.original(instance.id),
                staged=self._making.folder / f"{out}.dcm",
                provenance=instance.provenance,
                announced=(instance.sop_class, instance.sop_instance) if instance.provenance.calling_ae else ("", ""),
                accepted=instance.accepted,
                domain=self._domain_of(instance.provenance.source, instance.provenance.clinic),
            )
        )

    # --- committing -----------------------------------------------------------------------------------------------

    def _commit(self, came: Sequence[Finished[Job, Result] | Died[Job] | Overran[Job]]) -> None:
        made: list[tuple[Instance, Made]] = []
        for answer in came:
            instance = self._in_hand.pop(answer.job.id)
            match answer:
                case Finished(_, Made() as result):
                    made.append((instance, result))
                case Finished(_, Withheld(reason, detail, digest)):
                    self._withhold(instance, reason, detail, digest)
                case Died(_, exit_code):
                    self._died(instance, exit_code)
                case Overran():
                    self._quarantine(instance, Reason.TOOK_TOO_LONG, "")
        fresh = [pair for pair in made if not self._is_duplicate(*pair)]
        if fresh:
            self._pass_on(fresh)

    def _pass_on(self, made: Sequence[tuple[Instance, Made]]) -> None:
        """Mapping, file, outbox row, journal row: in this order, each durable before the next."""
        collided = set(self._mapping.commit([minted for _, result in made for minted in result.minted]))
        passing = []
        for instance, result in made:
            if collided.intersection(result.minted):
                result.staged.unlink(missing_ok=True)
                self._quarantine(instance, Reason.PSEUDONYM_COLLISION, "", result.original_digest)
            else:
                passing.append((instance, result))
        self._outbox.admit([(self._ready(instance, result), result.staged) for instance, result in passing])
        self._spool.passed(
            [
                Passed(
                    instance,
                    result.staged.stem,
                    result.sop_instance,
                    result.study,
                    result.original_digest,
                    result.rules_digest,
                )
                for instance, result in passing
            ]
        )
        for instance, _ in passing:
            self._observer.deidentified(instance.provenance.source, 1)
            log.info("deidentified", extra={"spool_id": instance.id})

    def _ready(self, instance: Instance, made: Made) -> Ready:
        provenance = instance.provenance
        return Ready(
            out=made.staged.stem,
            round=instance.round,
            sop_class=made.sop_class,
            sop_instance=made.sop_instance,
            study=made.study,
            series=made.series,
            transfer_syntax=made.transfer_syntax,
            digest=made.digest,
            size=made.size,
            source=provenance.source,
            project=provenance.project,
            rules_digest=made.rules_digest,
            destinations=self._destinations(provenance.project),
            gated=self._is_manual(provenance.project, provenance.source),
            supersedes=instance.out,
        )

    def _is_duplicate(self, instance: Instance, made: Made) -> bool:
        """Discard the second of the same bytes, unless sending again is how somebody repairs something."""
        if instance.round > 1:
            return False  # an operator asked for this round
        for first in self._spool.known_digest(made.original_digest):
            if first.id != instance.id and self._still_serves(first, made):
                made.staged.unlink(missing_ok=True)
                self._withhold(instance, Reason.DUPLICATE, f"Of {first.id}.", made.original_digest)
                return True
        return False

    def _still_serves(self, first: Instance, made: Made) -> bool:
        if first.state in (State.RECEIVED, State.HELD, State.QUARANTINED):
            return True
        if first.state is not State.PASSED:
            return False
        outside = self._outbox.state(first.out)
        return outside in (State.READY, State.REJECTED) or (
            outside is State.FORWARDED and first.rules_digest == made.rules_digest
        )

    # --- withholding ----------------------------------------------------------------------------------------------

    def _died(self, instance: Instance, exit_code: int) -> None:
        log.warning("worker died", extra={"spool_id": instance.id, "exit_code": exit_code})
        if instance.attempts >= DEATHS:
            self._quarantine(instance, Reason.WORKER_DIED, "")
        else:
            self._spool.defer(instance, self._clock())

    def _withhold(self, instance: Instance, reason: Reason, detail: str, digest: str) -> None:
        match reason:
            case Reason.EXCLUDED_BY_RULE | Reason.DUPLICATE:
                self._spool.exclude(instance, reason, detail, digest)
                self._told(instance, reason)
            case Reason.NO_IDENTITY_YET:
                self._spool.hold(instance, reason, detail, digest)
                self._told(instance, reason)
            case _:
                self._quarantine(instance, reason, detail, digest)

    def _quarantine(self, instance: Instance, reason: Reason, detail: str, digest: str = "") -> None:
        self._spool.quarantine(instance, reason, detail, digest)
        self._told(instance, reason)

    def _told(self, instance: Instance, reason: Reason) -> None:
        self._observer.withheld(instance.provenance.source, reason)
        log.info("withheld", extra={"spool_id": instance.id, "reason": reason.value})


def now_utc() -> datetime:
    """The moment, aware."""
    return datetime.now(UTC)


def staged_name(out: str, folder: Path) -> Path:
    """Where the result of an outside name is written before it is ready."""
    return folder / f"{out}.dcm"
