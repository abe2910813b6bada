"""The inside: originals as files and rows together. Every move of an original goes through here.

Order of each move, so that a power cut between any two lines loses nothing: the row is committed durably, then the file
is moved or removed. What a crash left undone is finished by ``recovery``; until then ``original`` finds the file where
it lies.
"""

import io
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from appliance.errors import IllegalMove, RequestRefused
from appliance.lifecycle import Event, State
from appliance.model import Arrival, Instance
from appliance.reasons import Reason, note
from appliance.spool.custody import Custody
from appliance.spool.files import Receiving, make_folder, put_durably, rename_durably, unlink
from appliance.spool.journal import Journal, Passed
from appliance.spool.journal_view import InsideCount, Trace
from appliance.spool.layout import Inside
from appliance.spool.rounds import ComeTo, take_up
from appliance.spool.settled import Settled
from appliance.spool.standing import Standing

__all__ = ["Passed", "Spool"]

PURGED = "original-purged"  # begins the message of a request that comes after the original went


class Spool:
    """The inside's facade.

    root           ``<state>/inside``
    reserve_bytes  below this much free space nothing more is received
    clock          POSIX seconds
    """

    def __init__(self, root: Path, *, reserve_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self.layout = Inside(root)
        self.layout.make()
        self.journal = Journal(self.layout.database)
        self.settings = self.journal.settings
        self.custody = Custody(self.journal.database)
        self._reserve = reserve_bytes
        self._clock = clock

    def close(self) -> None:
        """Close the journal; an owner says that it ended cleanly."""
        self.custody.end()
        self.journal.close()

    # --- coming in ------------------------------------------------------------------------------------------------

    def receiving(self, role: str) -> Receiving:
        """Return a locked folder of this process to receive into; folders of processes that died are swept."""
        return Receiving(self.layout.receiving, role, self._reserve, self.layout.original)

    def arrived(self, arrivals: Iterable[Arrival]) -> int:
        """Give durable files their RECEIVED rows, in one commit; what has a row is left alone. Return how many are new.

        May be done again after any exception, or not at all: recovery finds the files.
        """
        return self.journal.arrived(arrivals)

    def next_item(self) -> int:
        """Return a new number for an inbox item."""
        return self.journal.next_item()

    # --- working --------------------------------------------------------------------------------------------------

    def claim(self, limit: int, now: float, busy: Collection[str]) -> list[Instance]:
        """Return at most ``limit`` RECEIVED instances that are due, the longest due first, ids in ``busy`` left out.

        Attempts are counted before the work. Of several versions of one SOP Instance only the earliest is given.
        """
        return self.journal.claim(limit, now, busy)

    def original(self, spool_id: str) -> Path:
        """Return where the original lies: in ``received``, or in quarantine if a crash came between row and file.

        If it is nowhere, the path where it should be: opening it says so.
        """
        return self.layout.find(spool_id) or self.layout.original(spool_id)

    def passed(self, passed: Sequence[Passed]) -> None:
        """RECEIVED -> PASSED: the outside has them, file and row. Done again, it changes nothing.

        Raises IllegalMove, after moving the others, if one is neither RECEIVED nor PASSED in its round.
        """
        lost = self.journal.passed(passed, self._clock())
        for each in lost:
            found = self.journal.instance(each.instance.id)
            if found is None or (found.round, found.state, found.out) != (each.instance.round, State.PASSED, each.out):
                raise IllegalMove(f"{each.instance.id} is no longer RECEIVED in round {each.instance.round}")

    def exclude(self, instance: Instance, reason: Reason, detail: str, digest: str = "") -> None:
        """RECEIVED -> DISCARDED: a rule or a duplicate. The original is kept for a while. Raises IllegalMove."""
        self.journal.withhold(instance, Event.EXCLUDED, reason.value, detail, digest, self._clock())

    def hold(self, instance: Instance, reason: Reason, detail: str, digest: str = "", study: str = "") -> None:
        """RECEIVED -> HELD: no identity yet. ``study`` as for ``quarantine``. Raises IllegalMove."""
        self.journal.withhold(instance, Event.HELD_BACK, reason.value, detail, digest, self._clock(), study)

    def quarantine(self, instance: Instance, reason: Reason, detail: str, digest: str = "", study: str = "") -> None:
        """RECEIVED -> QUARANTINED: row first, then the file into quarantine/<reason>/, with a note.

        study  the pseudonymous Study Instance UID, if one was made: by it a person finds what belongs together
        """
        self.journal.withhold(instance, Event.REFUSED, reason.value, detail, digest, self._clock(), study)
        self.put_in_quarantine(instance.id, reason, detail)

    def found_quarantined(self, arrivals: Iterable[Arrival], reason: Reason, come_to: Iterable[ComeTo]) -> None:
        """Give files that lie in quarantine their rows, in one commit with the rounds that they had come to."""
        self.journal.found_quarantined(arrivals, reason.value, come_to, self._clock())

    def take_up(self, found: Iterable[ComeTo]) -> None:
        """Let RECEIVED instances of a journal that was made again go on in the round that they had come to."""
        take_up(self.journal.database, found, self._clock())

    def defer(self, instance: Instance, not_before: float) -> None:
        """Let a RECEIVED instance wait until ``not_before`` (POSIX seconds). Raises IllegalMove."""
        self.journal.defer(instance, not_before)

    # --- an operator's moves --------------------------------------------------------------------------------------

    def release(self, spool_id: str, *, accept: Reason | None = None, by: str = "") -> None:
        """HELD, QUARANTINED, REJECTED or DISCARDED -> RECEIVED, a new round by today's rules.

        accept  a reason that is overridden for these bytes from now on
        Raises RequestRefused with what can be done instead; IllegalMove if somebody else was faster.
        """
        instance, outside = self._known(spool_id)
        events = {
            (State.HELD, ""): Event.IDENTITY_CAME,
            (State.QUARANTINED, ""): Event.RELEASED,
            (State.DISCARDED, ""): Event.REPLAYED,
            (State.PASSED, State.REJECTED.value): Event.RELEASED,
        }
        event = events.get((instance.state, outside if instance.state is State.PASSED else ""))
        if event is None:
            raise RequestRefused(_cannot("released", instance, outside))
        self._again(instance, event, accept, by)

    def replay(self, spool_id: str, *, by: str = "") -> None:
        """FORWARDED or DISCARDED -> RECEIVED, a new round: processed and delivered again. Raises as ``release``."""
        instance, outside = self._known(spool_id)
        if instance.state is not State.DISCARDED and (instance.state, outside) != (State.PASSED, State.FORWARDED):
            raise RequestRefused(_cannot("replayed", instance, outside))
        self._again(instance, Event.REPLAYED, None, by)

    def discard(self, spool_id: str, *, by: str = "") -> None:
        """HELD, QUARANTINED or REJECTED -> DISCARDED; the original is kept for a while. Raises as ``release``."""
        instance, outside = self._known(spool_id, purged_too=True)
        waits = instance.state in (State.HELD, State.QUARANTINED)
        if not waits and (instance.state, outside) != (State.PASSED, State.REJECTED):
            raise RequestRefused(_cannot("discarded", instance, outside))
        self.journal.drop(instance, Reason.BY_OPERATOR.value, by=by, at=self._clock())
        self.take_from_quarantine(spool_id)

    def erase(self, spool_id: str, *, by: str = "") -> None:
        """Remove an original for good, whatever it waits for: nothing of it can be released or replayed any more.

        Raises RequestRefused while it is on its way (RECEIVED, READY): it is asked again when that ended.
        """
        instance, outside = self._known(spool_id, purged_too=True)
        if instance.state is State.RECEIVED or (instance.state is State.PASSED and not outside):
            raise RequestRefused(_cannot("erased", instance, outside))
        if instance.state is not State.DISCARDED and outside != State.FORWARDED:
            self.discard(spool_id, by=by)
        self.original_purged([spool_id])

    def _again(self, instance: Instance, event: Event, accept: Reason | None, by: str) -> None:
        code = "" if accept is None else accept.value
        self.journal.again(instance, event, accept=code, by=by, at=self._clock())
        self.take_from_quarantine(instance.id)

    def _known(self, spool_id: str, *, purged_too: bool = False) -> tuple[Instance, str]:
        facts = self.journal.facts(spool_id)
        if facts is None:
            raise RequestRefused(f"{spool_id} is not in the journal; nothing was changed. 'appliance trace' finds it.")
        instance, outside, purged = facts
        if purged and not purged_too:
            raise RequestRefused(
                f"{PURGED}: the original of {spool_id} was removed after its time; nothing was changed."
                " Have the sender send it again."
            )
        return instance, outside

    # --- files of the quarantine ----------------------------------------------------------------------------------

    def put_in_quarantine(self, spool_id: str, reason: Reason, detail: str) -> None:
        """Move the file of a QUARANTINED row to its reason's folder, beside its note. May be done again."""
        target = self.layout.quarantined(spool_id, reason)
        make_folder(target.parent)
        put_durably(io.BytesIO(note(reason, spool_id, detail).encode()), target.with_suffix(".txt"))
        self._move(spool_id, target)

    def take_from_quarantine(self, spool_id: str) -> None:
        """Move the file of a row that is not QUARANTINED back to ``received``. May be done again."""
        self._move(spool_id, self.layout.original(spool_id))
        for _, folder in self.layout.reason_folders():
            unlink(folder / f"{spool_id}.txt")

    def _move(self, spool_id: str, target: Path) -> None:
        found = self.layout.find(spool_id)
        if found is not None and found != target:
            rename_durably(found, target)

    # --- following the outside ------------------------------------------------------------------------------------

    def followed(self, generation: str) -> int:
        """Return the number up to which the outbox of this generation was followed; 0 for another generation."""
        return self.journal.followed(generation)

    def follow(self, settled: Sequence[Settled], generation: str) -> None:
        """Take over what the outbox settled: FORWARDED ones may let go of their original. May be done twice."""
        self.journal.follow(settled, generation)

    def delivered(self, outs: Iterable[str], at: float) -> None:
        """Take over that every destination named these, without moving the cursor."""
        settled = [Settled(0, out, State.FORWARDED.value, "", "", at) for out in outs]
        self.journal.settle(settled)

    def withdrawable(self, limit: int) -> list[str]:
        """Return outside names of DISCARDED instances whose rejected file the outside still keeps."""
        return self.journal.withdrawable(limit)

    def withdrawn(self, outs: Sequence[str]) -> None:
        """Remember that the outside let go of these rejected files (``Outbox.withdraw``)."""
        self.journal.withdrawn(outs)

    def requeue(self, outs: Sequence[str]) -> None:
        """PASSED -> RECEIVED in the same round: the outside lost these before anybody named them."""
        self.journal.requeue(outs, self._clock())

    # --- purging --------------------------------------------------------------------------------------------------

    def purgeable_originals(self, before: float, limit: int) -> list[str]:
        """Return ids of originals that every destination named before ``before`` (POSIX seconds)."""
        return self.journal.purgeable_originals(before, limit)

    def purgeable_discarded(self, before: float, limit: int) -> list[str]:
        """Return ids of originals that were discarded before ``before``."""
        return self.journal.purgeable_discarded(before, limit)

    def original_purged(self, ids: Sequence[str]) -> None:
        """Remember in one commit that these originals go, then remove what is left of them.

        Only DISCARDED and FORWARDED ones go; others in ``ids`` are left alone. May be done again.
        """
        self.journal.original_purged(ids)
        for spool_id, (_, _, purged) in self.journal.states(ids).items():
            if purged:
                unlink(self.original(spool_id))

    def purge_rows(self, before: float, limit: int = 1000) -> int:
        """Forget instances that ended before ``before`` and whose original is gone; return how many, at most limit."""
        return self.journal.purge_rows(before, limit)

    # --- looking --------------------------------------------------------------------------------------------------

    def known_digest(self, digest: str) -> list[Instance]:
        """Return the instances whose original's Data Set has this digest, the oldest first."""
        return self.journal.known_digest(digest)

    def standings(self, sop_instances: Iterable[str]) -> dict[str, list[Standing]]:
        """Return how each of these original SOP Instance UIDs stands: its rows, in order of arrival."""
        return self.journal.standings(sop_instances)

    def has_original(self, spool_id: str) -> bool:
        """Whether the original is there as a file."""
        return self.layout.find(spool_id) is not None

    def counts(self) -> list[InsideCount]:
        """Return the counts by state, outside, source and reason; its cost does not depend on the rows."""
        return self.journal.counts()

    def oldest_waiting(self, now: float) -> float:
        """Return for how many seconds the oldest RECEIVED instance has waited; 0 if none waits."""
        oldest = self.journal.oldest_waiting()
        return 0.0 if oldest is None else max(0.0, now - oldest)

    def trace(self, text: str) -> list[Trace]:
        """Return what has this id, outside name or SOP Instance UID, with its history."""
        return self.journal.trace(text)

    def quarantined(self, *, after: str = "", limit: int = 500) -> list[Instance]:
        """Return the quarantined in order of arrival, after an id."""
        return self.journal.quarantined(after=after, limit=limit)

    def waiting_for(self, reason: Reason, *, study: str = "", after: str = "", limit: int = 500) -> list[Instance]:
        """Return what is held, quarantined, discarded or rejected for ``reason``, in order of arrival."""
        return self.journal.waiting_for(reason, study=study, after=after, limit=limit)

    def accepted(self, outs: Iterable[str], reason: Reason) -> set[str]:
        """Return those outside names of ``outs`` whose instance has ``reason`` accepted."""
        return self.journal.accepted(outs, reason.value)

    def item_counts(self, item: int) -> dict[tuple[State, str], int]:
        """Return for an inbox item how many of its instances are in which visible state for which reason."""
        return self.journal.item_counts(item)


def _cannot(done: str, instance: Instance, outside: str) -> str:
    state = instance.state.value if instance.state is not State.PASSED else outside or State.READY.value
    waits = " It goes on by itself." if state in (State.RECEIVED, State.READY) else ""
    return f"{instance.id} is {state} and can't be {done}; nothing was changed.{waits}"
