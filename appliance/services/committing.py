"""Storage commitment: keeps what peers ask, looks how the instances stand, and reports on an association of its own.

Part of the receive service: a thread for each peer that is promised something, so that one that does not answer holds
up nobody. Of several receiving processes one reports, the holder of a lock. Before each attempt all instances are
looked at anew, because a peer may delete on our word; a crash between its answer and the row means one report more.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from appliance.commitment import Commitment, is_ae_title
from appliance.config import Peer
from appliance.dicom.commitment import Asked, Event, Reference, event_of
from appliance.errors import SpoolFull
from appliance.intake.commitment_report import NotTaken, report
from appliance.intake.statuses import Status
from appliance.model import Provenance
from appliance.services.alone import Lock
from appliance.spool.backoff import backoff
from appliance.spool.commitments import Commitments, CommitmentState, InUse, NotKept, Request, TooMany
from appliance.spool.database import DatabaseDamaged
from appliance.spool.inside import Spool
from appliance.spool.standing import Verdict, verdict

log = logging.getLogger(__name__)

AT_ONCE = 50  # requests that one association reports
LOOK_S = 0.5  # how often a thread looks for what is due
LONGEST_LOOK_S = 60.0  # until instances are looked at again that are on their way
SURE_S = 10.0  # an instance without a row is looked for this long: rows follow their files
SHORTEST_PAUSE_S = 5.0  # after the first report that a peer did not take
LONGEST_PAUSE_S = 600.0
KEPT_S = 30 * 86_400.0  # what ended is remembered this long
HOUR_S = 3600.0

Report = Callable[[Commitment, str, Sequence[Event]], Iterator[int]]


@dataclass(frozen=True, slots=True)
class _Judged:
    """A request of which all is known: the failures among its instances."""

    request: Request
    failures: dict[Reference, int]


def key_of(peer: Peer) -> str:
    """Return what names this entry of the configuration in the rows."""
    return f"{peer.ae_title} {peer.address or 'any'}"


class Committing:
    """The commitments of a receiver. ``ask`` may be called from any thread.

    peers        those of the configuration that have ``commitment``
    ae_title     ours, where the peer called us by no proper one
    rowed_until  the moment before which every file of this process has its row
    is_repaired  whether the files that an earlier death left without have theirs
    failed       is told of each report that a peer did not take, and why
    clock        POSIX seconds; chance: 0 <= x < 1, drawn anew each time
    """

    def __init__(
        self,
        spool: Spool,
        peers: Sequence[Peer],
        ae_title: str,
        *,
        rowed_until: Callable[[], datetime],
        is_repaired: Callable[[], bool],
        clock: Callable[[], float],
        chance: Callable[[], float],
        failed: Callable[[Peer, str], None] = lambda _peer, _why: None,
        send: Report = report,
    ) -> None:
        self._spool = spool
        self._peers = {key_of(peer): peer for peer in peers}
        self._ae_title = ae_title
        self._rowed_until = rowed_until
        self._is_repaired = is_repaired
        self._clock = clock
        self._chance = chance
        self._failed = failed
        self._send = send
        self._commitments = Commitments(spool.layout.commitments)
        self._lock = Lock(spool.layout.root / "commitments.lock")
        self._taking = threading.Lock()
        self._is_ours = False
        self._stopping = threading.Event()
        self._asked = {key: threading.Event() for key in self._peers}
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to look and report."""
        if self._commitments.was_set_aside is not None:
            _tell_loss()
        for key, peer in self._peers.items():
            # A daemon: a peer that does not answer holds up the end of the process no longer than ``stop`` says.
            thread = threading.Thread(target=self._run, args=(key, peer), name=f"{peer.source}-commitment", daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, seconds: float) -> None:
        """End; a report under way may come to its end within so many seconds, and is repeated otherwise."""
        self._stopping.set()
        for event in self._asked.values():
            event.set()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._commitments.close()
        self._lock.release()

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many requests there are by source and state."""
        found: dict[tuple[str, CommitmentState], int] = {}
        with self._mending():
            found = self._commitments.counts()
        return {(source, state.value): n for (source, state), n in found.items()}

    def ask(self, peer: Peer, provenance: Provenance, asked: Asked) -> Status:
        """Keep a request, durably, and return what is answered."""
        key = key_of(peer)
        called = provenance.called_ae if is_ae_title(provenance.called_ae) else self._ae_title
        try:
            self._commitments.ask(key, provenance.source, called, asked, self._clock())
        except InUse:
            return Status.COMMITMENT_IN_USE
        except (TooMany, SpoolFull, OSError):
            return Status.COMMITMENT_NO_RESOURCES
        except NotKept as error:
            log.warning("a request for commitment was not kept", extra={"detail": str(error)})
            return Status.COMMITMENT_FAILED
        self._asked[key].set()
        return Status.COMMITMENT_ASKED

    # --- a peer's thread ------------------------------------------------------------------------------------------

    def _run(self, key: str, peer: Peer) -> None:
        failures = 0
        while not self._stopping.is_set():
            if failures:  # what is asked meanwhile does not make an unreachable peer answer
                self._stopping.wait(self._pause(failures))
            else:
                self._asked[key].wait(LOOK_S)
            self._asked[key].clear()
            if self._stopping.is_set():
                return
            try:
                failures = 0 if not self._mine() or self.step(key, peer) else failures + 1
            except Exception:  # the edge of this thread's loop: what is asked for stays, and is looked at again
                log.exception("step of commitment failed", extra={"source": peer.source})
                failures += 1

    def step(self, key: str, peer: Peer) -> bool:
        """Look at what is due and report what can be; return False if the peer did not take what was to be told."""
        promised = peer.commitment
        assert promised is not None  # noqa: S101 - only such peers have a thread
        now = self._clock()
        due: list[Request] = []
        waiting: list[tuple[Request, float]] = []
        ready: list[_Judged] = []
        with self._mending():
            due = self._commitments.due(key, now, AT_ONCE)
        for request in due:
            failures = self._judge(request, promised, now)
            if failures is None:
                wait = min(max(LOOK_S, (now - request.asked_at) / 10), LONGEST_LOOK_S)
                waiting.append((request, now + wait))
            elif request.settled and now - request.settled > promised.report_hours * HOUR_S:
                self._give_up(request, peer)
            else:
                ready.append(_Judged(request, failures))
        if waiting:
            self._commitments.look_again(waiting)
        if len(due) == AT_ONCE:
            self._asked[key].set()  # there may be more: go on at once
        by_name: dict[str, list[_Judged]] = {}
        for each in ready:
            by_name.setdefault(each.request.called_ae, []).append(each)
        return all(self._report(peer, promised, called, judged) for called, judged in by_name.items())

    def _judge(self, request: Request, promised: Commitment, now: float) -> dict[Reference, int] | None:
        """Return the failures among the instances; None while not all is known."""
        references = request.asked.references
        standings = self._spool.standings({each.sop_instance for each in references})
        late = promised.promise == "delivered" and now - request.asked_at > promised.deliver_hours * HOUR_S
        failures: dict[Reference, int] = {}
        for each in references:
            found = standings.get(each.sop_instance, [])
            said = verdict(promised.promise, each.sop_class, found, self._spool.has_original)
            if said is Verdict.WAITS and late:
                said = Verdict.FAILED
            if said is Verdict.WAITS or (said is Verdict.UNKNOWN and not self._is_sure(request, now)):
                return None
            if said is not Verdict.COMMITTED:
                failures[each] = said.value
        return failures

    def _is_sure(self, request: Request, now: float) -> bool:
        """Whether every file that came before the request has its row, as far as can be told."""
        age_s = now - request.asked_at
        if 0 <= age_s < SURE_S or not self._is_repaired():
            return False
        return age_s < 0 or self._rowed_until().timestamp() > request.asked_at  # or the clock was set back since

    def _report(self, peer: Peer, promised: Commitment, called: str, judged: Sequence[_Judged]) -> bool:
        self._commitments.begun([each.request for each in judged], self._clock())
        events = [event_of(each.request.asked, each.failures) for each in judged]
        taken = 0
        try:
            # The statuses first: asked for one more than there are, their sender releases the association.
            for status, each in zip(self._send(promised, called, events), judged, strict=True):
                if status:
                    self._refused(each.request, peer, status)
                else:
                    self._taken(each, peer)
                    taken += 1
        except NotTaken as error:
            log.warning(
                "reports of commitment were not taken; they are repeated, and the peer keeps its instances until then",
                extra={"source": peer.source, "detail": str(error), "count": len(judged) - taken},
            )
            self._failed(peer, f"This happened: {error}.")
            return False
        return True

    def _taken(self, judged: _Judged, peer: Peer) -> None:
        failed = len(judged.failures)
        self._commitments.ended(judged.request, CommitmentState.REPORTED, self._clock(), failed=failed)
        committed = len(judged.request.asked.references) - failed
        log.info("commitment reported", extra={"source": peer.source, "accepted": committed, "refused": failed})

    def _refused(self, request: Request, peer: Peer, status: int) -> None:
        self._commitments.look_again([(request, self._clock() + self._pause(request.attempts + 1))])
        log.warning(
            "a report of commitment was refused; it is repeated, and the peer keeps its instances until then",
            extra={"source": peer.source, "status": status, "attempts": request.attempts + 1},
        )
        self._failed(peer, f"It was answered with the status {status:04X}.")

    def _give_up(self, request: Request, peer: Peer) -> None:
        self._commitments.ended(request, CommitmentState.GIVEN_UP, self._clock())
        log.error(
            "a report of commitment was given up: the peer did not take it within commitment.report_hours. What was"
            " received goes its way, and the peer keeps its instances. Compare host, port and ae_title of the peer's"
            " commitment in scp.peers with what the peer listens on, then have it ask again",
            extra={"source": peer.source, "attempts": request.attempts},
        )

    def tidy(self) -> None:
        """Forget what ended long ago, and give up what is open of peers that are promised nothing any more."""
        now = self._clock()
        lost = 0
        with self._mending():
            self._commitments.forget(now - KEPT_S)
            lost = self._commitments.give_up_others(self._peers, now)
        if lost:
            log.error(
                "reports of commitment were given up: their peers are no longer promised any in scp.peers. Their"
                " instances are kept and go their way; the peers keep their own",
                extra={"count": lost},
            )

    def _mine(self) -> bool:
        with self._taking:
            self._is_ours = self._is_ours or self._lock.take()
            return self._is_ours

    @contextmanager
    def _mending(self) -> Iterator[None]:
        """Begin a damaged database anew; what was to be done with it is left undone."""
        try:
            yield
        except DatabaseDamaged:
            self._commitments.set_aside()
            _tell_loss()

    def _pause(self, failures: int) -> float:
        return backoff(failures, self._chance(), shortest_s=SHORTEST_PAUSE_S, longest_s=LONGEST_PAUSE_S)


def _tell_loss() -> None:
    log.error(
        "the requests for commitment were damaged and begun anew: who waits for a report gets none, and keeps its"
        " instances, which are here and go their way. Look at the disk; have the modalities ask again"
    )
