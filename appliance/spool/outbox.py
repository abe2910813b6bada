"""The outside: de-identified instances as files and rows together. Every move of one goes through here.

Coming in: file durable in ready, then row and deliveries in one durable commit. Going out: the last delivery settles
the row in a durable commit, then the file leaves ready. What a crash left undone is finished by ``recovery``.
"""

import io
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from appliance.lifecycle import State
from appliance.model import Parcel, Ready
from appliance.reasons import Reason, note
from appliance.spool.custody import Custody
from appliance.spool.deliveries import Deliveries
from appliance.spool.files import (
    FILE_MODE,
    LockedFolder,
    fsync_folder,
    full_is_told,
    is_regular,
    make_folder,
    put_durably,
    rename,
    rename_durably,
    unlink,
)
from appliance.spool.layout import Outside
from appliance.spool.outbox_view import Delivery, Left, OutsideCount
from appliance.spool.recalls import Wanted
from appliance.spool.settled import Ended, Remembered, Settled

__all__ = ["Making", "Outbox"]

BATCH = 500  # deliveries opened or abandoned in one commit, so that nobody waits long for the database


class Making(LockedFolder):
    """A staging folder of this process alone, on the file system of ready: ``folder`` is where results are written."""


class Outbox:
    """The outside's facade.

    root   ``<state>/outside``
    clock  POSIX seconds
    """

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.layout = Outside(root)
        self.layout.make()
        self.rows = Deliveries(self.layout)
        self.recalls = self.rows.recalls
        self.missing = self.rows.missing
        self.exports = self.rows.exports
        self.pauses = self.rows.pauses
        self.settings = self.rows.settings
        self.custody = Custody(self.rows.database)
        self._clock = clock

    def close(self) -> None:
        """Close the database; an owner says that it ended cleanly."""
        self.custody.end()
        self.rows.close()

    # --- coming in ------------------------------------------------------------------------------------------------

    def making(self, role: str = "deidentify") -> Making:
        """Return a staging folder; those of processes that died are swept."""
        return Making(self.layout.making, role)

    def admit(self, made: Sequence[tuple[Ready, Path]]) -> None:
        """Rename the staged files into ready, durably, then insert their rows and deliveries in one commit.

        staged  complete and synced, on the file system of ready; gone afterwards

        May be done again after any exception: what has a row is left alone, a file that is in ready already is kept.
        The round that a new one supersedes goes in the same commit. What was LOST goes only where it is not. Raises
        SpoolFull.
        """
        states = self.rows.states(ready.out for ready, _ in made)
        folders = set()
        for ready, staged in made:
            if states.get(ready.out) in (State.FORWARDED, State.REJECTED):
                unlink(staged)  # settled in the meantime: nothing is sent twice
                continue
            target = self.layout.ready(ready.out)
            if is_regular(staged) or not is_regular(target):
                staged.chmod(FILE_MODE)  # forward is another user, and the worker's umask may have shut it out
                with full_is_told(target):
                    rename(staged, target)
            folders.add(target.parent)
        for folder in folders:
            fsync_folder(folder)
        for ended in self.rows.admitted([ready for ready, _ in made], self._clock()):
            self.remove(ended.out, ended.reason)

    # --- going out ------------------------------------------------------------------------------------------------

    def claim(self, destination: str, limit: int, max_bytes: int, now: float, busy: Collection[str]) -> list[Parcel]:
        """Return due parcels of one study: at most ``limit``, and ``max_bytes`` unless the first is larger.

        busy  outside names in flight to this destination, left out
        Attempts are counted before the work. Of several versions of one UID only the earliest open one is given.
        """
        return self.rows.claim(destination, limit, max_bytes, now, busy)

    def stored(self, parcels: Iterable[Parcel], destination: str, at: float) -> None:
        """``destination`` named these as stored. May be done again."""
        self._leave(self.rows.stored(parcels, destination, at))

    def refused(self, parcel: Parcel, destination: str, reason: Reason, detail: str) -> None:
        """``destination`` refused this one for good. May be done again."""
        self._leave(self.rows.refused(parcel, destination, reason, detail, self._clock()))

    def later(self, parcels: Iterable[Parcel], destination: str, not_before: float, detail: str = "") -> None:
        """Let these wait until ``not_before`` (POSIX seconds)."""
        self.rows.later(parcels, destination, not_before, detail)

    def file_lost(self, out: str) -> None:
        """A READY instance whose file is not there: the inside does it again, in the same round."""
        self.rows.lost(out, self._clock())

    def file_spoilt(self, out: str) -> None:
        """A READY instance whose file is not what was written: removed, so that nobody takes it for good, and lost.

        The file first: once the row says it, a new one may come into its place.
        """
        unlink(self.layout.ready(out))
        self.file_lost(out)

    def abandon(self, destination: str) -> int:
        """Give up every open delivery to ``destination``, in bounded commits; return how many.

        What was stored elsewhere becomes FORWARDED; what was stored nowhere REJECTED ``destination-removed``.
        """
        total = 0
        while True:
            count, ended = self.rows.abandon(destination, self._clock(), BATCH)
            self._leave(ended)
            total += count
            if count < BATCH:
                return total

    def stop(self, outs: Sequence[str], reason: Reason) -> int:
        """Let nothing more of these leave; return how many deliveries waited. They become REJECTED. May be done again.

        What is under way to a destination at this moment may still arrive; its delivery then says STORED.
        """
        count, ended = self.rows.stopped(outs, reason, self._clock())
        self._leave(ended)
        return count

    def recall(self, wanted: Wanted, destinations: Collection[str]) -> tuple[int, int]:
        """Ask for what left to be taken back, and withdraw what waits, in bounded commits. May be done again.

        destinations  configured names
        Return how many deliveries are to be taken back, and how many instances were withdrawn: they become REJECTED.
        """
        recalls, withdrawn, after = 0, 0, 0
        while True:
            page = self.recalls.begin(wanted, destinations, self._clock(), after=after)
            self._leave(page.ended)
            recalls += page.recalls
            withdrawn += len(page.ended)
            if page.after is None:
                return recalls, withdrawn
            after = page.after

    def accept_missing(self, destination: str) -> int:
        """What a destination lost need not be there; return how many instances that are."""
        return self.missing.accept(destination, self._clock())

    def withdraw(self, outs: Sequence[str]) -> None:
        """Let go of REJECTED instances that an operator discarded: row first, then file and note."""
        for out, reason in self.rows.withdrawn(outs):
            self.remove(out, reason)

    def drop(self, out: str) -> bool:
        """Let go of one REJECTED instance that an operator discarded; return whether it was one."""
        dropped = self.rows.withdrawn([out])
        for _, reason in dropped:
            self.remove(out, reason)
        return bool(dropped)

    def restore(self, remembered: Sequence[Remembered]) -> None:
        """Take back from the journal what this outbox had settled before it was lost; what it knows is left alone."""
        self.rows.restored(remembered)

    # --- release: manual ------------------------------------------------------------------------------------------

    def open_source(self, source: str, project: str) -> int:
        """Let everything of this source go, in bounded commits, and what comes later too; return deliveries opened."""
        self.rows.open_source(source, project)
        total = 0
        while count := self.rows.ungate(source, project, BATCH):
            total += count
        return total

    def close_source(self, source: str, project: str) -> None:
        """Gate what comes from now on; what was opened before goes on."""
        self.rows.close_source(source, project)

    def opened(self) -> list[tuple[str, str]]:
        """Return the (source, project) pairs that are open."""
        return self.rows.opened()

    # --- files ----------------------------------------------------------------------------------------------------

    def _leave(self, ended: Iterable[Ended]) -> None:
        for each in ended:
            if each.state is State.FORWARDED:
                unlink(self.layout.ready(each.out))
            else:
                self.put_in_rejected(each.out, Reason(each.reason), each.detail)

    def put_in_rejected(self, out: str, reason: Reason, detail: str) -> None:
        """Move the file of a REJECTED row to its reason's folder, beside its note. May be done again."""
        target = self.layout.rejected(out, reason)
        make_folder(target.parent)
        put_durably(io.BytesIO(note(reason, out, detail).encode()), target.with_suffix(".txt"))
        if is_regular(self.layout.ready(out)):
            rename_durably(self.layout.ready(out), target)

    def remove(self, out: str, reason: str) -> None:
        """Remove whatever file a row has left behind: in ready, and with its note in the folder of ``reason``."""
        unlink(self.layout.ready(out))
        if reason:
            rejected = self.layout.rejected(out, Reason(reason))
            unlink(rejected.with_suffix(".txt"))
            unlink(rejected)

    # --- looking --------------------------------------------------------------------------------------------------

    @property
    def generation(self) -> str:
        """A name that a rebuilt outbox does not share."""
        return self.rows.generation

    def state(self, out: str) -> State | None:
        """Return READY, FORWARDED or REJECTED; None if the outside does not have it or a later round took its place."""
        return self.rows.state(out)

    has = state

    def states(self, outs: Iterable[str]) -> dict[str, State]:
        """Return the states of those of ``outs`` that the outside has."""
        return self.rows.states(outs)

    def settled_since(self, cursor: int, limit: int) -> list[Settled]:
        """Return what was settled after the number ``cursor`` of this generation, in order."""
        return self.rows.settled_since(cursor, limit)

    def counts(self) -> list[OutsideCount]:
        """Return the counts by state, source and reason; its cost does not depend on the rows."""
        return self.rows.counts()

    def destinations(self) -> dict[str, dict[str, int]]:
        """Return destination -> GATED, WAITING, STORED, REFUSED, ABANDONED -> how many deliveries."""
        return self.rows.destinations()

    def waiting(self, destination: str) -> int:
        """Return how many deliveries wait for ``destination``; gated ones do not."""
        return self.rows.destinations().get(destination, {}).get("WAITING", 0)

    def deliveries(self, out: str) -> list[Delivery]:
        """Return how far ``out`` is at each of its destinations."""
        return self.rows.deliveries(out)

    def left(self, studies: Iterable[str]) -> list[Left]:
        """Return every delivery of every instance of these pseudonymous studies, in order of arrival."""
        return self.rows.left(studies)

    def earlier_digests(self, sop_instance: str, destination: str) -> list[str]:
        """Return digests of what ``destination`` stored under this UID before, the first delivered first.

        A destination with ``existing: kept`` has the first of them.
        """
        return self.rows.earlier_digests(sop_instance, destination)

    def due(self, seqs: Collection[int], destination: str) -> set[int]:
        """Return those of ``seqs`` that may go to this destination: neither stopped nor held back."""
        return self.rows.due(seqs, destination)

    def oldest_waiting(self, now: float) -> float:
        """Return for how many seconds the oldest READY instance has waited; 0 if none waits."""
        oldest = self.rows.oldest_ready()
        return 0.0 if oldest is None else max(0.0, now - oldest)

    def trace(self, uid: str) -> list[str]:
        """Return the outside names under this pseudonymous SOP Instance or Study UID."""
        return self.rows.trace(uid)

    def purge_rows(self, before: float, limit: int = 1000) -> int:
        """Forget what ended before ``before`` (POSIX seconds) but for REJECTED ones; return how many."""
        purges = (self.rows.purge_rows, self.recalls.purge, self.missing.purge, self.exports.purge)
        return sum(each(before, limit) for each in purges)
