"""Both sides for whoever only looks: the status page, the metrics, the command line. Nothing is written."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from appliance.errors import ApplianceError, Unsafe
from appliance.lifecycle import State
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.spool import arrivals
from appliance.spool.arrivals import Mark, Received
from appliance.spool.deliveries import Deliveries
from appliance.spool.exports import Export
from appliance.spool.held import held
from appliance.spool.journal import Journal
from appliance.spool.journal_view import Trace
from appliance.spool.layout import Inside, Outside
from appliance.spool.missing import Missing
from appliance.spool.outbox_view import Delivery, Left
from appliance.spool.pauses import Pause
from appliance.spool.recalls import Recalled, Wanted
from appliance.spool.shape import Ages, Study, delivered_ids, newest_rules, newest_studies, ready_by_age, waiting_by_age
from appliance.spool.tally import Tally, tally

GATED = "GATED"  # a delivery that waits for an operator's leave
LOOKED_AT = 5000  # instances that are looked through for such
_AFTER_ALL_IDS = "~"


class Unreadable(ApplianceError):
    """The rows of a side cannot be read now."""


class Overview:
    """What both sides' rows say together. Before anything was received, that there is nothing.

    state  the folder of the configuration's ``state``

    Every method raises Unreadable when a database cannot be read.
    """

    def __init__(self, state: Path) -> None:
        self._inside = Journal.open_readonly(Inside(state / "inside").database)
        self._outside = Deliveries.open_readonly(Outside(state / "outside").database)

    def close(self) -> None:
        """Close both."""
        self._inside.close()
        self._outside.close()

    def tally(self) -> Tally:
        """Return the counts by visible state, source and reason; they add up. Costs the same whatever waits."""
        with _told():
            outside = self._outside.counts()  # first: what the outside has, the inside has too
            return tally(self._inside.counts(), outside)

    def oldest_waiting(self, now: float) -> dict[State, float]:
        """Return for RECEIVED and READY for how many seconds the oldest has waited; 0 if none waits."""
        with _told():
            moments = {State.RECEIVED: self._inside.oldest_waiting(), State.READY: self._outside.oldest_ready()}
        return {state: 0.0 if moment is None else max(0.0, now - moment) for state, moment in moments.items()}

    def destinations(self) -> dict[str, dict[str, int]]:
        """Return destination -> delivery state -> how many."""
        with _told():
            return self._outside.destinations()

    def trace(self, text: str) -> list[tuple[Trace, list[Delivery]]]:
        """Return what has this id, outside name or UID (a pseudonymous study's too), with its deliveries."""
        with _told():
            found = self._inside.trace(text)
            if not found:
                found = [trace for out in self._outside.trace(text) for trace in self._inside.trace(out)]
            return [(trace, self._outside.deliveries(trace.instance.out)) for trace in self._as_seen_outside(found)]

    def left(self, studies: Iterable[str]) -> list[Left]:
        """Return every delivery of every instance of these pseudonymous studies."""
        with _told():
            return self._outside.left(studies)

    def left_by(self, wanted: Wanted) -> list[Left]:
        """Return every delivery of every instance of these pseudonymous studies, or made by these rules."""
        with _told():
            return self._outside.left_by(wanted)

    def rules_digests(self, prefix: str) -> list[str]:
        """Return the digests of rules that begin so, of what has come to the outside."""
        with _told():
            return self._outside.rules_digests(prefix)

    def recalls(self, wanted: Wanted | None = None) -> list[Recalled]:
        """Return the recalls of what is named, or of everything that is not confirmed yet."""
        with _told():
            if wanted is None:
                return self._outside.recalls.all(unfinished=True)
            return self._outside.recalls.of_studies({left.study for left in self._outside.left_by(wanted)})

    def recalls_of(self, sop_instance: str) -> list[Recalled]:
        """Return the recalls of one pseudonymous SOP Instance UID."""
        with _told():
            return self._outside.recalls.of_instance(sop_instance)

    def recalls_changed(self, followed: tuple[str, int], limit: int) -> tuple[str, list[tuple[int, Recalled]]]:
        """Return the outbox's generation, and (number, recall) of what changed since, in order.

        followed  generation and number up to which it was followed: another generation is followed from the front
        """
        with _told():
            generation, (known, number) = self._outside.generation, followed
            return generation, self._outside.recalls.changed_since(number if known == generation else 0, limit)

    def received_since(self, mark: Mark, limit: int) -> list[Received] | None:
        """Return the originals' rows after ``mark``, in order; None when the journal is another one than it was."""
        with _told():
            rows = self._inside.database
            return arrivals.received_since(rows, mark, limit) if arrivals.is_there(rows, mark) else None

    def exported_since(self, followed: tuple[str, int], limit: int) -> tuple[str, list[Export] | None]:
        """Return the outbox's generation, and deliveries after a number, in order; None: it is another one than it was.

        followed  generation ("" while there was no outbox) and number up to which deliveries were followed
        """
        with _told():
            generation, (known, number) = self._generation(), followed
            exports = self._outside.exports
            if not generation:
                return known, []
            if known and (known != generation or number > exports.newest()):
                return generation, None
            return generation, exports.since(number if known else 0, limit)

    def newest(self) -> tuple[Mark, tuple[str, int]]:
        """Return the mark of the last original; the outbox's generation, and the number of the last delivery."""
        with _told():
            generation = self._generation()
            return arrivals.newest(self._inside.database), (generation, self._outside.exports.newest())

    def recall_counts(self) -> dict[str, dict[str, int]]:
        """Return destination -> state of recalls -> how many."""
        with _told():
            return self._outside.recalls.counts()

    def missing_counts(self) -> dict[str, dict[str, int]]:
        """Return destination -> state of what it named as stored and has not -> how many."""
        with _told():
            return self._outside.missing.counts()

    def missing(self) -> list[Missing]:
        """Return what destinations named as stored and have not, or have not yet again."""
        with _told():
            return self._outside.missing.open()

    def pauses(self) -> dict[str, Pause]:
        """Return destination -> who paused it and when, of those that a person paused."""
        with _told():
            return self._outside.pauses.all()

    def reconciled(self) -> dict[str, float]:
        """Return destination -> when it was last asked for everything, POSIX seconds."""
        with _told():
            return self._outside.missing.asked_last()

    def held(self) -> dict[str, int]:
        """Return source -> bytes of its originals that are on the disk."""
        with _told():
            return held(self._inside.database)

    def by_age(self, tally: Tally, now: float) -> dict[State, Ages]:
        """Return what waits by state and age; costs as much as looking through an index of what waits."""
        people = (State.HELD, State.QUARANTINED, State.REJECTED)
        reasons = {state: [code for of, code in tally.by_reason if of is state] for state in people}
        with _told():
            inside = waiting_by_age(self._inside.database, reasons, now)
            return {**inside, State.READY: ready_by_age(self._outside.database, now)}

    def newest_studies(self, limit: int) -> list[Study]:
        """Return the studies of which something changed last, the newest first."""
        with _told():
            return newest_studies(self._inside.database, self._outside.database, limit)

    def delivered_ids(self, study: str) -> list[str]:
        """Return the ids of a pseudonymous study's FORWARDED instances whose originals are still here."""
        with _told():
            return delivered_ids(self._inside.database, self._outside.database, study)

    def newest_rules(self) -> str:
        """Return the digest of the rules that made the newest instance, "" before there is one."""
        with _told():
            return newest_rules(self._outside.database)

    def waiting_for(self, reason: Reason, *, after: str, limit: int) -> list[Instance]:
        """Return what is held, quarantined, discarded or rejected for ``reason``, in order of arrival, after an id.

        Also what the outside refused and the inside has not followed yet, as ``tally`` counts it.
        """
        with _told():
            found = {each.id: each for each in self._refused_just_now(reason) if each.id > after}
            found |= {each.id: each for each in self._inside.waiting_for(reason, after=after, limit=limit)}
        return [found[spool_id] for spool_id in sorted(found)[:limit]]

    def gates(self) -> tuple[dict[tuple[str, str], int], list[tuple[str, str]]]:
        """Return (source, project) -> how many wait for an operator's leave, and the pairs that were opened."""
        with _told():
            return self._outside.gated(), self._outside.opened()

    def gated(self, source: str, project: str, limit: int) -> list[tuple[str, str]]:
        """Return (id, outside name) of the newest instances that wait for leave, among the LOOKED_AT last passed."""
        found: list[tuple[str, str]] = []
        with _told():
            for trace in self._inside.passed_below(_AFTER_ALL_IDS, LOOKED_AT):
                instance = trace.instance
                if (instance.provenance.source, instance.provenance.project) != (source, project):
                    continue
                if any(delivery.state == GATED for delivery in self._outside.deliveries(instance.out)):
                    found.append((instance.id, instance.out))
                    if len(found) == limit:
                        break
        return found

    def _generation(self) -> str:
        """The outbox's generation, "" while there is no outbox that can be read."""
        generation = self._outside.generation
        return generation if self._outside.database.is_there else ""

    def _refused_just_now(self, reason: Reason) -> Iterator[Instance]:
        """Yield what the outside refused for ``reason`` and the inside has not followed, among the next LOOKED_AT."""
        followed = self._inside.followed(self._outside.generation)
        for settled in self._outside.settled_since(followed, LOOKED_AT):
            if (settled.state, settled.reason) == (State.REJECTED.value, reason.value):
                for trace in self._as_seen_outside(self._inside.trace(settled.out)):
                    if (trace.outside, trace.instance.out) == (State.REJECTED.value, settled.out):
                        yield trace.instance

    def _as_seen_outside(self, traces: list[Trace]) -> list[Trace]:
        """Return the traces with what the outside has settled and the inside has not followed yet, up to a second."""
        behind = [trace.instance.out for trace in traces if trace.instance.state is State.PASSED and not trace.outside]
        endings = self._outside.endings(behind)
        return [_settled(trace, endings.get(trace.instance.out)) for trace in traces]


def _settled(trace: Trace, ending: tuple[str, str, str] | None) -> Trace:
    state, reason, detail = ending or ("", "", "")
    if state not in (State.FORWARDED.value, State.REJECTED.value):
        return trace
    return replace(trace, outside=state, instance=replace(trace.instance, reason=reason, detail=detail))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise Unreadable(
            "You may not read the state folder. Nothing was changed, and no image is touched by that. "
            "Be a member of the group appliance-operators, or use sudo."
        ) from error
    except (sqlite3.Error, OSError, Unsafe) as error:
        raise Unreadable(
            f"The rows of the state folder cannot be read ({type(error).__name__}). No image is touched by that; a "
            "damaged database is rebuilt from the files when its service starts. Check that you may read the state "
            "folder, then restart the services."
        ) from error
