"""The journal for whoever only looks: counts, lists, traces. Also the questions that the writing side asks."""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appliance.lifecycle import State
from appliance.model import Instance, Provenance, is_out_name, is_spool_id
from appliance.reasons import Reason
from appliance.spool.database import Database
from appliance.spool.settings import Settings
from appliance.spool.standing import Standing

COLUMNS = (
    "id, round, state, source, project, calling_ae, called_ae, peer, clinic, item, received, sop_class, sop_instance,"
    " transfer_syntax, size, attempts, accepted, reason, detail, out, digest, rules_digest"
)
_TRACED = f"{COLUMNS}, outside, new_sop_instance, new_study, not_before, moved, purged"
MOST = 1000  # instances that a trace returns at most


@dataclass(frozen=True, slots=True)
class InsideCount:
    """How many originals are in this state.

    outside  what the outbox last said of the outside name that the row has: "" or FORWARDED or REJECTED. Of a row that
             is not PASSED it speaks of a round that the instance has left: that outside row counts no more.
    reason   code, or ""
    """

    state: State
    outside: str
    source: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True)
class Move:
    """One line of an instance's history; ``at`` in POSIX seconds, ``by`` an operator's name or ""."""

    round: int
    at: float
    event: str
    state: str
    reason: str
    detail: str
    out: str
    by: str


@dataclass(frozen=True, slots=True)
class Trace:
    """All that the journal knows of an instance.

    outside       of a PASSED one: FORWARDED, REJECTED, or "" while it waits outside or was not followed yet
    sop_instance  the pseudonymous one, "" until it passed; so is study
    not_before    POSIX seconds: deferred until then; 0 if not
    moved         when state or outside changed last
    purged        the original was removed after its time
    """

    instance: Instance
    outside: str
    sop_instance: str
    study: str
    not_before: float
    moved: float
    purged: bool
    history: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A row whose image waits for something. ``outside``: what the outside said, "" or REJECTED."""

    seq: int
    id: str
    state: State
    outside: str

    @property
    def seen(self) -> State:
        """The state that a person is shown."""
        return self.state if self.state is not State.PASSED else State(self.outside or State.READY)


class JournalView:
    """What can be asked of the journal."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.settings = Settings(database)

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    def counts(self) -> list[InsideCount]:
        """Return how many instances there are by state, outside, source and reason: its cost is that of the answer."""
        with self.database.reading() as connection:
            rows = connection.execute("SELECT state, outside, source, reason, n FROM tally WHERE n > 0").fetchall()
        return [InsideCount(State(state), *rest) for state, *rest in rows]

    def oldest_waiting(self) -> float | None:
        """Return when the oldest RECEIVED instance came, POSIX seconds; None if none waits."""
        with self.database.reading() as connection:
            (oldest,) = connection.execute("SELECT min(received) FROM instance WHERE state = 'RECEIVED'").fetchone()
        return None if oldest is None else float(oldest)

    def instance(self, spool_id: str) -> Instance | None:
        """Return the instance of this id."""
        return next(iter(self._instances("WHERE id = ?", spool_id)), None)

    def facts(self, spool_id: str) -> tuple[Instance, str, bool] | None:
        """Return the instance, what the outside said of it, and whether its original was purged."""
        with self.database.reading() as connection:
            row = connection.execute(
                f"SELECT {COLUMNS}, outside, purged FROM instance WHERE id = ?",  # noqa: S608 - our columns
                (spool_id,),
            ).fetchone()
        return None if row is None else (instance_of(row[:-2]), str(row[-2]), bool(row[-1]))

    def known_digest(self, digest: str) -> list[Instance]:
        """Return the instances whose original has this digest, the oldest first; at most a thousand."""
        return self._instances("WHERE digest = ? AND digest <> '' ORDER BY id LIMIT ?", digest, MOST)

    def waiting_for(self, reason: Reason, *, study: str = "", after: str = "", limit: int = 500) -> list[Instance]:
        """Return what is held, quarantined, discarded or rejected for ``reason``, in order of arrival, after an id.

        study  a pseudonymous Study Instance UID: only of that one, as far as it is known of what did not pass
        """
        return self._instances(
            "WHERE reason = ? AND reason <> '' AND id > ? AND ? IN ('', new_study) ORDER BY id LIMIT ?",
            *(reason.value, after, study, limit),
        )

    def quarantined(self, *, after: str = "", limit: int = 500) -> list[Instance]:
        """Return the quarantined in order of arrival, after an id."""
        return self._instances("WHERE state = 'QUARANTINED' AND id > ? ORDER BY id LIMIT ?", after, limit)

    def trace(self, text: str) -> list[Trace]:
        """Return what has this id, outside name or SOP Instance UID (original or pseudonymous), with its history."""
        if is_spool_id(text):
            where = "id = :text"
        elif is_out_name(text):
            # An earlier round's name is in the history only.
            where = "(out = :text AND out <> '') OR id IN (SELECT id FROM move WHERE out = :text AND out <> '')"
        else:
            where = "(sop_instance = :text AND sop_instance <> '')" + (
                " OR (new_sop_instance = :text AND new_sop_instance <> '')"
            )
        with self.database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_TRACED} FROM instance"  # noqa: S608 - our columns
                f" WHERE {where} ORDER BY id LIMIT {MOST}",
                {"text": text},
            ).fetchall()
            return [_trace(connection, row) for row in rows]

    def item_counts(self, item: int) -> dict[tuple[State, str], int]:
        """Return for an inbox item how many of its instances are in which visible state for which reason ("" if none).

        PASSED counts as READY until the outside settled it. Costs as much as the item is large.
        """
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT CASE WHEN state <> 'PASSED' THEN state WHEN outside = '' THEN 'READY' ELSE outside END AS seen,"
                " reason, count(*) FROM instance WHERE item = ? AND item > 0 GROUP BY seen, reason",
                (item,),
            ).fetchall()
        return {(State(state), reason): n for state, reason, n in rows}

    def states(self, ids: Iterable[str]) -> dict[str, tuple[State, str, bool]]:
        """Return (state, reason, purged) of those of ``ids`` that have a row."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT id, state, reason, purged FROM instance WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(list(ids)),),
            ).fetchall()
        return {spool_id: (State(state), reason, bool(purged)) for spool_id, state, reason, purged in rows}

    def standings(self, sop_instances: Iterable[str]) -> dict[str, list[Standing]]:
        """Return how each of these original SOP Instance UIDs stands: its rows, in order of arrival. Unknown: none."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT sop_instance, id, sop_class, state, outside, reason FROM instance WHERE sop_instance <> ''"
                " AND sop_instance IN (SELECT value FROM json_each(?)) ORDER BY id",
                (json.dumps(list(sop_instances)),),
            ).fetchall()
        found: dict[str, list[Standing]] = {}
        for sop_instance, spool_id, sop_class, state, outside, reason in rows:
            found.setdefault(sop_instance, []).append(Standing(spool_id, sop_class, State(state), outside, reason))
        return found

    def accepted(self, outs: Iterable[str], code: str) -> set[str]:
        """Return those outside names of ``outs`` whose instance has this reason accepted."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT out, accepted FROM instance WHERE out <> '' AND out IN (SELECT value FROM json_each(?))",
                (json.dumps(list(outs)),),
            ).fetchall()
        return {out for out, accepted in rows if code in accepted.split()}

    def passed_below(self, spool_id: str, limit: int) -> list[Trace]:
        """Return instances that the outside has, or has a left round of, with ids below ``spool_id``, newest first.

        Without their history.
        """
        with self.database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_TRACED} FROM instance"  # noqa: S608 - our columns
                " WHERE (state = 'PASSED' OR outside <> '') AND id < ? ORDER BY id DESC LIMIT ?",
                (spool_id, limit),
            ).fetchall()
        return [_traced(row, ()) for row in rows]

    def undelivered(self, after: int, limit: int) -> list[Undelivered]:
        """Return the rows after a seq, in order of arrival, whose image waits for something and must have its file.

        Not those that are known to have none (``original-missing``).
        """
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT seq, id, state, outside FROM instance WHERE seq > :after AND purged = 0"
                " AND (state IN ('RECEIVED', 'HELD', 'QUARANTINED') OR (state = 'PASSED' AND outside <> 'FORWARDED'))"
                " AND reason <> :known ORDER BY seq LIMIT :limit",
                {"after": after, "limit": limit, "known": Reason.ORIGINAL_MISSING.value},
            ).fetchall()
        return [Undelivered(seq, spool_id, State(state), outside) for seq, spool_id, state, outside in rows]

    def uncounted(self) -> int:
        """Return how far the counts are from the rows; 0 is right. Looks through all of them."""
        with self.database.reading() as connection:
            (wrong,) = connection.execute(
                "SELECT abs((SELECT count(*) FROM instance) - (SELECT coalesce(sum(n), 0) FROM tally))"
            ).fetchone()
        return int(wrong)

    def withdrawable(self, limit: int) -> list[str]:
        """Return outside names of discarded instances whose rejected file the outside still keeps."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT out FROM instance WHERE state = 'DISCARDED' AND outside = 'REJECTED' LIMIT ?", (limit,)
            ).fetchall()
        return [out for (out,) in rows]

    def purgeable_originals(self, before: float, limit: int) -> list[str]:
        """Return ids whose original every destination named before ``before``, the longest ago first."""
        return self._ids("state = 'PASSED' AND outside = 'FORWARDED' AND purged = 0", before, limit)

    def purgeable_discarded(self, before: float, limit: int) -> list[str]:
        """Return ids that were discarded before ``before``, the longest ago first."""
        return self._ids("state = 'DISCARDED' AND purged = 0", before, limit)

    def followed(self, generation: str) -> int:
        """Return how far the outbox of this generation was followed; 0 for another one."""
        known, _, number = self.settings.get("followed").partition(" ")
        return int(number) if known == generation else 0

    def _instances(self, where: str, *values: Any) -> list[Instance]:
        with self.database.reading() as connection:
            rows = connection.execute(f"SELECT {COLUMNS} FROM instance {where}", values).fetchall()  # noqa: S608 - ours
        return [instance_of(row) for row in rows]

    def _ids(self, where: str, before: float, limit: int) -> list[str]:
        with self.database.reading() as connection:
            rows = connection.execute(
                f"SELECT id FROM instance WHERE {where} AND moved < ? ORDER BY moved LIMIT ?",  # noqa: S608 - ours
                (before, limit),
            ).fetchall()
        return [spool_id for (spool_id,) in rows]


def instance_of(row: tuple[Any, ...]) -> Instance:
    """Return the instance of a row of COLUMNS."""
    spool_id, number, state, source, project, calling_ae, called_ae, peer, clinic, item, received, *rest = row
    sop_class, sop_instance, transfer_syntax, size, attempts, accepted, reason, detail, out, digest, rules = rest
    return Instance(
        id=spool_id,
        round=number,
        state=State(state),
        provenance=Provenance(source, project, calling_ae, called_ae, peer, clinic, item),
        received=datetime.fromtimestamp(received, UTC),
        sop_class=sop_class,
        sop_instance=sop_instance,
        transfer_syntax=transfer_syntax,
        size=size,
        attempts=attempts,
        accepted=frozenset(accepted.split()),
        reason=reason,
        detail=detail,
        out=out,
        digest=digest,
        rules_digest=rules,
    )


def _trace(connection: sqlite3.Connection, row: tuple[Any, ...]) -> Trace:
    moves = connection.execute(
        "SELECT round, at, event, state, reason, detail, out, by FROM move WHERE id = ? ORDER BY number", (row[0],)
    ).fetchall()
    return _traced(row, tuple(Move(*move) for move in moves))


def _traced(row: tuple[Any, ...], history: tuple[Move, ...]) -> Trace:
    *columns, outside, sop_instance, study, not_before, moved, purged = row
    return Trace(instance_of(tuple(columns)), outside, sop_instance, study, not_before, moved, bool(purged), history)
