"""The journal: a row for each original, its moves, and what the outside said of it. The only SQL that writes it.

A move is a compare-and-set by (id, round, state): whoever comes second gets IllegalMove. Moves are committed durably
(synchronous=FULL), because a file is moved or removed after them and the row is then the only memory of why. Arrivals
and claims are not: the received file says the same as an arrival's row, and a power cut that forgets an attempt has not
been the instance's doing.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.errors import IllegalMove
from appliance.lifecycle import Event, State, after, starts_new_round
from appliance.model import Arrival, Instance
from appliance.spool import rounds
from appliance.spool.backoff import LONGEST_S
from appliance.spool.database import Database
from appliance.spool.held import count_once
from appliance.spool.journal_schema import SCHEMA, VERSION
from appliance.spool.journal_view import COLUMNS, JournalView, instance_of
from appliance.spool.rounds import ComeTo
from appliance.spool.settings import put
from appliance.spool.settled import Settled

LONGEST_DETAIL = 2000  # characters of a detail that are kept


@dataclass(frozen=True, slots=True)
class Passed:
    """What the journal keeps of an instance that the outside has: new UIDs, and digests for duplicates."""

    instance: Instance
    out: str
    sop_instance: str
    study: str
    digest: str
    rules_digest: str


class Journal(JournalView):
    """The inside's rows, for the services that write them."""

    def __init__(self, path: Path) -> None:
        super().__init__(Database(path, SCHEMA, VERSION))
        count_once(self.database)

    @staticmethod
    def open_readonly(path: Path) -> JournalView:
        """The rows for whoever only looks; works while others write, and shows nothing while there is no database."""
        return JournalView(Database(path, SCHEMA, VERSION, read_only=True))

    # --- arriving -------------------------------------------------------------------------------------------------

    def arrived(self, arrivals: Iterable[Arrival]) -> int:
        """Insert RECEIVED rows in one commit; what has a row already is left as it is. Return how many are new."""
        with self.database.writing(durably=False) as connection:
            return _insert(connection, [_row(arrival, State.RECEIVED, "", "") for arrival in arrivals])

    def found_quarantined(
        self, arrivals: Iterable[Arrival], reason: str, come_to: Iterable[ComeTo] = (), at: float = 0.0
    ) -> int:
        """Insert QUARANTINED rows for files found in the folder of ``reason``, in their rounds by the same commit."""
        with self.database.writing(durably=True) as connection:
            new = _insert(connection, [_row(arrival, State.QUARANTINED, reason, "") for arrival in arrivals])
            rounds.write(connection, come_to, at)
        return new

    # --- claiming -------------------------------------------------------------------------------------------------

    def claim(self, limit: int, now: float, busy: Collection[str]) -> list[Instance]:
        """Return at most ``limit`` due instances that are not ``busy``, the longest due first, one more attempt each.

        What was deferred beyond the longest back-off is due too: a clock that was wrong must not bury work.
        """
        with self.database.writing(durably=False) as connection:
            rows = connection.execute(
                # Both halves walk the partial index ``due`` from an end and stop at the limit.
                f"SELECT * FROM (SELECT {COLUMNS} FROM instance INDEXED BY due"  # noqa: S608 - our columns
                " WHERE state = 'RECEIVED' AND blocked = 0 AND not_before <= :now"
                " AND id NOT IN (SELECT value FROM json_each(:busy)) ORDER BY not_before, id LIMIT :limit)"
                f" UNION ALL SELECT * FROM (SELECT {COLUMNS} FROM instance INDEXED BY due"
                " WHERE state = 'RECEIVED' AND blocked = 0 AND not_before > :beyond"
                " AND id NOT IN (SELECT value FROM json_each(:busy)) ORDER BY not_before, id LIMIT :limit)"
                " LIMIT :limit",
                {"now": now, "beyond": now + LONGEST_S, "limit": limit, "busy": json.dumps(list(busy))},
            ).fetchall()
            claimed = [instance_of(row) for row in rows]
            connection.executemany(
                "UPDATE instance SET attempts = attempts + 1 WHERE id = ?", [(instance.id,) for instance in claimed]
            )
        return [_attempted(instance) for instance in claimed]

    def defer(self, instance: Instance, not_before: float) -> None:
        """Let a RECEIVED instance wait until ``not_before``."""
        with self.database.writing(durably=False) as connection:
            _same(
                connection.execute(
                    "UPDATE instance SET not_before = ? WHERE id = ? AND round = ? AND state = 'RECEIVED'",
                    (not_before, instance.id, instance.round),
                ),
                instance,
            )

    # --- moving ---------------------------------------------------------------------------------------------------

    def withhold(
        self, instance: Instance, event: Event, reason: str, detail: str, digest: str, at: float, study: str = ""
    ) -> None:
        """RECEIVED to HELD, QUARANTINED or DISCARDED, with its reason. Raises IllegalMove."""
        state = after(instance.state, event)
        with self.database.writing(durably=True) as connection:
            _same(
                connection.execute(
                    "UPDATE instance SET state = ?, reason = ?, detail = ?, moved = ?,"
                    " digest = coalesce(nullif(?, ''), digest), new_study = coalesce(nullif(?, ''), new_study)"
                    " WHERE id = ? AND round = ? AND state = ?",
                    (
                        *(state, reason, detail[:LONGEST_DETAIL], at, digest, study),
                        *_as_claimed(instance),
                    ),
                ),
                instance,
            )
            _tell(connection, instance, event, state, at, reason=reason, detail=detail)

    def passed(self, passed: Sequence[Passed], at: float) -> list[Passed]:
        """RECEIVED to PASSED, in one commit; return those that lost a race and were left as they are."""
        lost = []
        with self.database.writing(durably=True) as connection:
            for each in passed:
                instance = each.instance
                done = connection.execute(
                    "UPDATE instance SET state = 'PASSED', out = ?, outside = '', reason = '', detail = '', moved = ?,"
                    " new_sop_instance = ?, new_study = ?, digest = CASE WHEN ? = '' THEN digest ELSE ? END,"
                    " rules_digest = ? WHERE id = ? AND round = ? AND state = 'RECEIVED'",
                    (
                        *(each.out, at, each.sop_instance, each.study, each.digest, each.digest, each.rules_digest),
                        *(instance.id, instance.round),
                    ),
                ).rowcount
                if not done:
                    lost.append(each)
                    continue
                _tell(connection, instance, Event.DEIDENTIFIED, State.PASSED, at, out=each.out)
                self._take_ahead(connection, each.out)
        return lost

    def again(self, instance: Instance, event: Event, *, accept: str, by: str, at: float) -> None:
        """A new round from HELD, QUARANTINED, DISCARDED or PASSED: RECEIVED, due at once. Raises IllegalMove."""
        state = after(instance.state, event)
        assert starts_new_round(event)  # noqa: S101 - our bug, and every event this is called with does
        accepted = " ".join(sorted(instance.accepted | ({accept} if accept else set())))
        with self.database.writing(durably=True) as connection:
            _same(
                connection.execute(
                    "UPDATE instance SET state = ?, round = round + 1, attempts = 0, not_before = 0, reason = '',"
                    " detail = '', accepted = ?, moved = ? WHERE id = ? AND round = ? AND state = ? AND purged = 0",
                    (state, accepted, at, *_as_claimed(instance)),
                ),
                instance,
            )
            _tell(connection, instance, event, state, at, reason=accept, by=by, round=instance.round + 1)

    def drop(self, instance: Instance, reason: str, *, by: str, at: float) -> None:
        """DISCARDED by an operator, from HELD, QUARANTINED or PASSED. Raises IllegalMove."""
        state = after(instance.state, Event.DROPPED)
        with self.database.writing(durably=True) as connection:
            _same(
                connection.execute(
                    "UPDATE instance SET state = ?, reason = ?, detail = '', moved = ?"
                    " WHERE id = ? AND round = ? AND state = ?",
                    (state, reason, at, *_as_claimed(instance)),
                ),
                instance,
            )
            _tell(connection, instance, Event.DROPPED, state, at, reason=reason, by=by)

    # --- following the outside ------------------------------------------------------------------------------------

    def follow(self, settled: Sequence[Settled], generation: str) -> None:
        """Take over what the outbox settled, and remember how far, in one commit. May be done twice."""
        with self.database.writing(durably=True) as connection:
            _follow(connection, settled)
            if settled:
                put(connection, "followed", f"{generation} {settled[-1].number}")

    def settle(self, settled: Sequence[Settled]) -> None:
        """Take over what the outbox settled, without moving the cursor."""
        with self.database.writing(durably=True) as connection:
            _follow(connection, settled)

    def requeue(self, outs: Sequence[str], at: float) -> None:
        """PASSED back to RECEIVED in the same round: the outside lost them, and they are done again."""
        with self.database.writing(durably=True) as connection:
            requeue(connection, outs, at)

    def withdrawn(self, outs: Iterable[str]) -> None:
        """Remember that the outside let go of these rejected files."""
        with self.database.writing(durably=False) as connection:
            connection.executemany(
                "UPDATE instance SET outside = '' WHERE out = ? AND out <> '' AND state = 'DISCARDED'",
                [(out,) for out in outs],
            )

    def _take_ahead(self, connection: sqlite3.Connection, out: str) -> None:
        row = connection.execute(
            "DELETE FROM ahead WHERE out = ? RETURNING outside, reason, detail, at", (out,)
        ).fetchone()
        if row is not None:
            _settle(connection, Settled(0, out, *row))

    # --- purging --------------------------------------------------------------------------------------------------

    def original_purged(self, ids: Iterable[str]) -> None:
        """Remember that these originals are gone, or about to go."""
        with self.database.writing(durably=True) as connection:
            connection.executemany(
                "UPDATE instance SET purged = 1 WHERE id = ?"
                " AND (state = 'DISCARDED' OR (state = 'PASSED' AND outside = 'FORWARDED'))",
                [(spool_id,) for spool_id in ids],
            )

    def purge_rows(self, before: float, limit: int) -> int:
        """Forget instances that ended before ``before`` and whose original is gone; at most ``limit`` in a commit."""
        with self.database.writing(durably=False) as connection:
            ids = connection.execute(
                "SELECT id FROM instance WHERE purged = 1 AND moved < ? ORDER BY moved LIMIT ?", (before, limit)
            ).fetchall()
            connection.executemany("DELETE FROM instance WHERE id = ?", ids)
            connection.executemany("DELETE FROM move WHERE id = ?", ids)
            connection.execute("DELETE FROM ahead WHERE at < ?", (before,))
        return len(ids)

    # --- inbox items --------------------------------------------------------------------------------------------------

    def next_item(self) -> int:
        """Return a number for an inbox item that no item had, also after the journal was rebuilt from files."""
        with self.database.writing(durably=True) as connection:
            (used,) = connection.execute(
                "SELECT max(coalesce((SELECT max(item) FROM instance WHERE item > 0), 0),"
                " coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'item'), 0))"
            ).fetchone()
            put(connection, "item", str(used + 1))
        return int(used) + 1


def requeue(connection: sqlite3.Connection, outs: Sequence[str], at: float) -> None:
    """PASSED back to RECEIVED in the same round, within a transaction; not what nothing is left of to do it again."""
    for out in outs:
        rows = connection.execute(
            "UPDATE instance SET state = 'RECEIVED', out = '', outside = '', reason = '', detail = '', attempts = 0,"
            " not_before = 0, moved = ? WHERE out = ? AND out <> '' AND state = 'PASSED' AND purged = 0"
            " RETURNING id, round",
            (at, out),
        ).fetchall()
        for spool_id, number in rows:
            connection.execute(
                "INSERT INTO move (id, round, at, event, state, reason, detail, out, by)"
                " VALUES (?, ?, ?, 'lost-outside', 'RECEIVED', '', '', ?, '')",
                (spool_id, number, at, out),
            )


def _follow(connection: sqlite3.Connection, settled: Sequence[Settled]) -> None:
    for each in settled:
        if each.lost:
            requeue(connection, [each.out], each.at)
        elif not _settle(connection, each):
            connection.execute(
                "INSERT OR REPLACE INTO ahead VALUES (?, ?, ?, ?, ?)",
                (each.out, each.state, each.reason, each.detail, each.at),
            )


def _settle(connection: sqlite3.Connection, settled: Settled) -> bool:
    """Write what the outside said of a PASSED row; False if there is none for this outside name."""
    row = connection.execute(
        "UPDATE instance SET outside = ?, reason = ?, detail = ?, moved = ?"
        " WHERE out = ? AND out <> '' AND state = 'PASSED' RETURNING id, round",
        (settled.state, settled.reason, settled.detail[:LONGEST_DETAIL], settled.at, settled.out),
    ).fetchone()
    if row is None:
        return False
    event = Event.ALL_STORED if settled.state == State.FORWARDED else Event.SOME_REFUSED
    connection.execute(
        "INSERT INTO move (id, round, at, event, state, reason, detail, out, by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')",
        (*row, settled.at, event, settled.state, settled.reason, settled.detail[:LONGEST_DETAIL], settled.out),
    )
    return True


def _tell(
    connection: sqlite3.Connection,
    instance: Instance,
    event: Event,
    state: State,
    at: float,
    *,
    reason: str = "",
    detail: str = "",
    out: str = "",
    by: str = "",
    round: int = 0,
) -> None:
    connection.execute(
        "INSERT INTO move (id, round, at, event, state, reason, detail, out, by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (instance.id, round or instance.round, at, event, state, reason, detail[:LONGEST_DETAIL], out, by),
    )


def _as_claimed(instance: Instance) -> tuple[str, int, State]:
    """What a compare-and-set compares."""
    return instance.id, instance.round, instance.state


def _same(cursor: sqlite3.Cursor, instance: Instance) -> None:
    if cursor.rowcount != 1:
        raise IllegalMove(f"{instance.id} is no longer {instance.state} in round {instance.round}; nothing was changed")


# --- rows -------------------------------------------------------------------------------------------------------------


def _row(arrival: Arrival, state: State, reason: str, detail: str) -> tuple[object, ...]:
    origin = arrival.provenance
    at = arrival.received.timestamp()
    return (
        *(arrival.id, state, at, origin.source, origin.project, origin.calling_ae, origin.called_ae, origin.peer),
        *(origin.clinic, origin.item, arrival.sop_class, arrival.sop_instance, arrival.transfer_syntax, arrival.size),
        *(reason, detail, at),
    )


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[object, ...]]) -> int:
    new = 0
    for row in rows:
        new += connection.execute(
            "INSERT INTO instance (id, round, state, received, source, project, calling_ae, called_ae, peer, clinic,"
            " item, sop_class, sop_instance, transfer_syntax, size, reason, detail, moved)"
            " VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            row,
        ).rowcount
    return new


def _attempted(instance: Instance) -> Instance:
    return replace(instance, attempts=instance.attempts + 1)
