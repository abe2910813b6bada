"""The rows of the outbox: instances and a delivery for each destination. The only SQL that writes them.

What is settled is numbered in the same commit, so that the inside can follow without missing one. Commits after which a
file is removed, or on which the journal builds, are durable; claims and deferrals are not.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from appliance.lifecycle import State
from appliance.model import Parcel, Ready
from appliance.reasons import Reason
from appliance.spool.backoff import LONGEST_S
from appliance.spool.database import Database
from appliance.spool.layout import Outside
from appliance.spool.outbox_schema import SCHEMA, VERSION
from appliance.spool.outbox_view import OutboxView
from appliance.spool.recalls import replaced_by
from appliance.spool.settled import Ended, Remembered
from appliance.spool.settling import LONGEST_DETAIL, end, next_number, settle, stored_all_the_same

_PARCEL = (
    "i.seq, i.out, i.sop_class, i.sop_instance, i.study, i.series, i.transfer_syntax, i.digest, i.size, i.source,"
    " d.attempts"
)


class Deliveries(OutboxView):
    """The outside's rows, for the services that write them."""

    def __init__(self, layout: Outside) -> None:
        super().__init__(Database(layout.database, SCHEMA, VERSION))
        self._layout = layout

    @staticmethod
    def open_readonly(path: Path) -> OutboxView:
        """The rows for whoever only looks; works while others write, and shows nothing while there is no database."""
        return OutboxView(Database(path, SCHEMA, VERSION, read_only=True))

    # --- admitting ------------------------------------------------------------------------------------------------

    def admitted(self, instances: Sequence[Ready], at: float) -> list[Ended]:
        """Insert READY rows and their deliveries in one commit; what has a row is left alone.

        Return what was superseded, the rounds before, whose rejected files go; and what no destination waits for.
        """
        ended = []
        with self.database.writing(durably=True) as connection:
            for ready in instances:
                if (seq := _insert(connection, ready, at)) is not None:
                    ended += _supersede(connection, ready)
                    ended += settle(connection, seq, at)
        return ended

    def restored(self, remembered: Iterable[Remembered]) -> None:
        """Insert rows of what was delivered or refused before the outbox was lost; what has a row is left alone."""
        with self.database.writing(durably=True) as connection:
            connection.executemany(
                "INSERT INTO instance (out, round, state, sop_class, sop_instance, study, series, transfer_syntax,"
                " digest, size, source, project, rules_digest, admitted, settled_at, reason, detail)"
                " VALUES (?, ?, ?, ?, ?, ?, '', '', '', 0, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (out) DO NOTHING",
                [
                    (
                        *(row.out, row.round, row.state, row.sop_class, row.sop_instance, row.study, row.source),
                        *(row.project, row.rules_digest, row.at, row.at, row.reason, row.detail),
                    )
                    for row in remembered
                ],
            )

    # --- claiming -------------------------------------------------------------------------------------------------

    def claim(self, destination: str, limit: int, max_bytes: int, now: float, busy: Collection[str]) -> list[Parcel]:
        """Return due parcels of one study for ``destination``, one more attempt each; see ``Outbox.claim``."""
        asked = {"destination": destination, "now": now, "beyond": now + LONGEST_S, "busy": json.dumps(list(busy))}
        with self.database.writing(durably=False) as connection:
            study = _next_study(connection, asked)
            if study is None:
                return []
            rows = connection.execute(
                f"SELECT {_PARCEL} FROM delivery d INDEXED BY due_of_study"  # noqa: S608 - our columns
                " JOIN instance i USING (seq)"
                " WHERE d.state = 'WAITING' AND d.blocked = 0 AND d.destination = :destination AND d.study = :study"
                " AND (d.not_before <= :now OR d.not_before > :beyond)"
                " AND d.out NOT IN (SELECT value FROM json_each(:busy)) ORDER BY d.seq LIMIT :limit",
                {**asked, "study": study, "limit": limit},
            ).fetchall()
            parcels: list[Parcel] = []
            room = max_bytes
            for row in rows:
                parcel = self._parcel(row)
                room -= parcel.size
                if parcels and room < 0:
                    break
                parcels.append(parcel)
            connection.executemany(
                "UPDATE delivery SET attempts = attempts + 1 WHERE seq = ? AND destination = ?",
                [(parcel.seq, destination) for parcel in parcels],
            )
        return parcels

    def _parcel(self, row: tuple[Any, ...]) -> Parcel:
        seq, out, sop_class, sop_instance, study, series, syntax, digest, size, source, attempts = row
        file = self._layout.ready(out)
        return Parcel(
            *(seq, out, sop_class, sop_instance, study, series, syntax, digest, size, file, attempts + 1, source)
        )

    def later(self, parcels: Iterable[Parcel], destination: str, not_before: float, detail: str) -> None:
        """Let these deliveries wait until ``not_before``."""
        with self.database.writing(durably=False) as connection:
            connection.executemany(
                "UPDATE delivery SET not_before = ?, detail = ?"
                " WHERE seq = ? AND destination = ? AND state = 'WAITING'",
                [(not_before, detail[:LONGEST_DETAIL], parcel.seq, destination) for parcel in parcels],
            )

    # --- settling -------------------------------------------------------------------------------------------------

    def stored(self, parcels: Iterable[Parcel], destination: str, at: float) -> list[Ended]:
        """These were named by ``destination``; return what no destination waits for any more."""
        with self.database.writing(durably=True) as connection:
            ended = []
            for parcel in parcels:
                if end(connection, parcel.seq, destination, "STORED", at):
                    ended += settle(connection, parcel.seq, at)
                else:
                    stored_all_the_same(connection, parcel.seq, destination, at)
                replaced_by(connection, parcel, destination, at)
        return ended

    def refused(self, parcel: Parcel, destination: str, reason: Reason, detail: str, at: float) -> list[Ended]:
        """``destination`` refused this one for good; return what no destination waits for any more."""
        with self.database.writing(durably=True) as connection:
            if not end(connection, parcel.seq, destination, "REFUSED", at, reason.value, detail):
                return []
            return settle(connection, parcel.seq, at)

    def abandon(self, destination: str, at: float, limit: int) -> tuple[int, list[Ended]]:
        """Give up at most ``limit`` open deliveries to ``destination``; return how many, and what is settled by it."""
        with self.database.writing(durably=True) as connection:
            seqs = connection.execute(
                "SELECT seq FROM delivery WHERE state IN ('GATED', 'WAITING') AND destination = ? ORDER BY seq LIMIT ?",
                (destination, limit),
            ).fetchall()
            ended = []
            for (seq,) in seqs:
                end(connection, seq, destination, "ABANDONED", at, Reason.DESTINATION_REMOVED.value)
                ended += settle(connection, seq, at)
        return len(seqs), ended

    def stopped(self, outs: Iterable[str], reason: Reason, at: float) -> tuple[int, list[Ended]]:
        """What waits of these leaves no more; return how many deliveries, and what is settled by it."""
        count, ended = 0, []
        with self.database.writing(durably=True) as connection:
            for out in outs:
                rows = connection.execute(
                    "SELECT seq, d.destination FROM instance i JOIN delivery d USING (seq)"
                    " WHERE i.out = ? AND d.state IN ('GATED', 'WAITING')",
                    (out,),
                ).fetchall()
                for seq, destination in rows:
                    end(connection, seq, destination, "REFUSED", at, reason.value)
                    ended += settle(connection, seq, at)
                count += len(rows)
        return count, ended

    def lost(self, out: str, at: float) -> None:
        """READY without its file: the inside is told to do it again."""
        with self.database.writing(durably=True) as connection:
            row = connection.execute("SELECT seq FROM instance WHERE out = ? AND state = 'READY'", (out,)).fetchone()
            if row is None:
                return
            connection.execute(
                "UPDATE delivery SET state = 'ABANDONED' WHERE seq = ? AND state IN ('GATED', 'WAITING')", row
            )
            connection.execute(
                "UPDATE instance SET state = 'LOST', settled = ?, settled_at = ? WHERE seq = ?",
                (next_number(connection), at, *row),
            )

    def withdrawn(self, outs: Iterable[str]) -> list[tuple[str, str]]:
        """REJECTED ones that an operator discarded are counted no more; return (outside name, reason) of those."""
        with self.database.writing(durably=True) as connection:
            return [
                row
                for out in outs
                for row in connection.execute(
                    "UPDATE instance SET state = 'SUPERSEDED' WHERE out = ? AND state = 'REJECTED'"
                    " RETURNING out, reason",
                    (out,),
                ).fetchall()
            ]

    # --- sources --------------------------------------------------------------------------------------------------

    def open_source(self, source: str, project: str) -> None:
        """What is admitted from now on is not gated."""
        with self.database.writing(durably=True) as connection:
            connection.execute("INSERT OR IGNORE INTO opened VALUES (?, ?)", (source, project))

    def close_source(self, source: str, project: str) -> None:
        """What is admitted from now on is gated again."""
        with self.database.writing(durably=True) as connection:
            connection.execute("DELETE FROM opened WHERE source = ? AND project = ?", (source, project))

    def ungate(self, source: str, project: str, limit: int) -> int:
        """Let at most ``limit`` gated deliveries of an open source go; return how many."""
        with self.database.writing(durably=True) as connection:
            return connection.execute(
                "UPDATE delivery SET state = 'WAITING' WHERE (seq, destination) IN ("
                "SELECT seq, destination FROM delivery WHERE state = 'GATED' AND source = :source"
                " AND project = :project AND EXISTS"
                " (SELECT 1 FROM opened WHERE source = :source AND project = :project) ORDER BY seq LIMIT :limit)",
                {"source": source, "project": project, "limit": limit},
            ).rowcount

    # --- purging --------------------------------------------------------------------------------------------------

    def purge_rows(self, before: float, limit: int) -> int:
        """Forget what ended before ``before``, but for REJECTED ones: they wait for a human. At most ``limit``."""
        with self.database.writing(durably=False) as connection:
            seqs = connection.execute(
                "SELECT seq FROM instance WHERE state IN ('FORWARDED', 'SUPERSEDED', 'LOST') AND settled_at < ?"
                " ORDER BY settled_at LIMIT ?",
                (before, limit),
            ).fetchall()
            connection.executemany("DELETE FROM delivery WHERE seq = ?", seqs)
            connection.executemany("DELETE FROM instance WHERE seq = ?", seqs)
        return len(seqs)


def _insert(connection: sqlite3.Connection, ready: Ready, at: float) -> int | None:
    """Insert an instance with its deliveries, return its seq; None if it has a row already.

    What was lost and is the same again does not go where it is stored already.
    """
    if not ready.destinations:
        raise ValueError("an instance without a destination would wait for ever")  # our bug: the config has one
    # Whoever brings it again knows nothing of its end (its journal was rebuilt, or it was told that the file is lost).
    forgotten = connection.execute(
        "SELECT seq FROM instance WHERE out = ? AND state IN ('LOST', 'SUPERSEDED')", (ready.out,)
    ).fetchone()
    stored: list[tuple[str, float]] = []
    if forgotten is not None:
        stored = connection.execute(
            "SELECT destination, d.at FROM delivery d JOIN instance i USING (seq)"
            " WHERE seq = ? AND d.state = 'STORED' AND i.state = 'LOST' AND i.digest = ?",
            (*forgotten, ready.digest),
        ).fetchall()
        connection.execute("DELETE FROM delivery WHERE seq = ?", forgotten)
        connection.execute("DELETE FROM instance WHERE seq = ?", forgotten)
    cursor = connection.execute(
        "INSERT INTO instance (out, round, state, sop_class, sop_instance, study, series, transfer_syntax, digest,"
        " size, source, project, rules_digest, admitted) VALUES (?, ?, 'READY', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (out) DO NOTHING",
        (
            *(ready.out, ready.round, ready.sop_class, ready.sop_instance, ready.study, ready.series),
            *(ready.transfer_syntax, ready.digest, ready.size, ready.source, ready.project, ready.rules_digest, at),
        ),
    )
    if not cursor.rowcount:
        return None
    is_open = connection.execute(
        "SELECT 1 FROM opened WHERE source = ? AND project = ?", (ready.source, ready.project)
    ).fetchone()
    state = "GATED" if ready.gated and not is_open else "WAITING"
    facts = (ready.sop_instance, ready.study, ready.out, ready.source, ready.project, ready.not_before)
    connection.executemany(
        "INSERT INTO delivery (seq, destination, state, sop_instance, study, out, source, project, not_before)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(cursor.lastrowid, destination, state, *facts) for destination in dict.fromkeys(ready.destinations)],
    )
    connection.executemany(
        "UPDATE delivery SET state = 'STORED', at = ? WHERE seq = ? AND destination = ?",
        [(at_before, cursor.lastrowid, destination) for destination, at_before in stored],
    )
    return cursor.lastrowid


def _supersede(connection: sqlite3.Connection, ready: Ready) -> list[Ended]:
    rows = connection.execute(
        "UPDATE instance SET state = 'SUPERSEDED' WHERE out = ? AND out <> ? AND state IN ('FORWARDED', 'REJECTED')"
        " RETURNING out, reason, detail",
        (ready.supersedes, ready.out),
    ).fetchall()
    return [Ended(out, State.REJECTED if reason else State.FORWARDED, reason, detail) for out, reason, detail in rows]


def _next_study(connection: sqlite3.Connection, asked: dict[str, object]) -> str | None:
    for due in ("not_before <= :now", "not_before > :beyond"):
        row = connection.execute(
            "SELECT study FROM delivery INDEXED BY due WHERE state = 'WAITING' AND blocked = 0"  # noqa: S608 - our words
            f" AND destination = :destination AND {due} AND out NOT IN (SELECT value FROM json_each(:busy))"
            " ORDER BY not_before, seq LIMIT 1",
            asked,
        ).fetchone()
        if row is not None:
            return str(row[0])
    return None
