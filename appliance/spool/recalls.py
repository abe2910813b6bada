"""The rows of recalls: what was delivered and is to be taken back. The only SQL that writes them.

A recall is asked for in pages of one durable commit each, and each page may be asked for again; every move of a row is
a compare-and-set by its state. Until its row says that an instance is gone, no later version of it is sent there.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.lifecycle import RECALL_MOVES, RecallState
from appliance.model import Parcel, Recall
from appliance.reasons import Reason
from appliance.spool.database import Database
from appliance.spool.settled import Ended
from appliance.spool.settling import LONGEST_DETAIL, STOPPED, end, next_number, settle

PAGE = 500  # instances of one commit
LOST_ANSWER_S = 30.0  # what was sent and not answered may still be on its way into the destination's store
BURIED_S = 2 * 86_400.0  # nothing deferred beyond now + this is believed (a clock was wrong)
MOST = 10_000  # rows that a list returns at most

# A refusal because an earlier version is there says that something of this UID is there.
_THERE = (Reason.ALREADY_THERE_DIFFERENT.value,)
_FACTS = "sop_instance, destination, out, study, series, state, attempts"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken back: every instance of these pseudonymous studies, or all that was made by these rules."""

    studies: tuple[str, ...] = ()
    rules_digest: str = ""


@dataclass(frozen=True, slots=True)
class Recalled:
    """How far a recall is, for whoever looks. Times in POSIX seconds."""

    sop_instance: str
    destination: str
    out: str
    study: str
    series: str
    state: RecallState
    attempts: int
    asked: float
    at: float
    detail: str


@dataclass(frozen=True, slots=True)
class Begun:
    """One page of a recall: how many deliveries are to be taken back, which waiting ones ended, where the next begins.

    after  the last instance that was looked at; None if there are no more
    """

    recalls: int
    ended: list[Ended]
    after: int | None


@dataclass(frozen=True, slots=True)
class Moved:
    """What came of asking a destination once. ``detail`` "" leaves the one that is there."""

    recall: Recall
    state: RecallState
    not_before: float = 0.0
    detail: str = ""


class Recalls:
    """The recalls of an outbox. Reading works on a read-only database as well."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- beginning ------------------------------------------------------------------------------------------------

    def begin(self, wanted: Wanted, destinations: Collection[str], at: float, *, after: int = 0) -> Begun:
        """Ask for one page of what is wanted, and let nothing of it leave that waits. May be done again.

        destinations  configured names: where an instance is looked for of which it is not known any more where it went
        """
        with self._database.writing(durably=True) as connection:
            page = _page(connection, wanted, after)
            count, ended = 0, []
            for instance in page:
                reached = _reached(connection, instance, destinations, wanted.rules_digest)
                for destination, said_so in reached.items():
                    _ask(connection, instance, destination, at, not_before=0 if said_so else at + LOST_ANSWER_S)
                count += len(reached)
                ended += _withdraw(connection, instance, at)
        return Begun(count, ended, page[-1].seq if len(page) == PAGE else None)

    # --- carrying out ---------------------------------------------------------------------------------------------

    def claim(self, destination: str, limit: int, now: float, busy: Collection[str]) -> list[Recall]:
        """Return what is due at a destination.

        busy  outside names on their way there at this moment: what is recalled of their instances waits for them
        """
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_FACTS} FROM recall INDEXED BY recall_due"  # noqa: S608 - our columns
                " WHERE destination = :destination AND state IN ('REQUESTED', 'DELETED', 'IMPOSSIBLE')"
                " AND (not_before <= :now OR not_before > :beyond) AND sop_instance NOT IN"
                " (SELECT sop_instance FROM instance WHERE out IN (SELECT value FROM json_each(:busy)))"
                " ORDER BY not_before LIMIT :limit",
                {
                    "destination": destination,
                    "now": now,
                    "beyond": now + BURIED_S,
                    "busy": json.dumps(list(busy)),
                    "limit": limit,
                },
            ).fetchall()
        return [
            Recall(uid, destination, out, study, series, RecallState(state), attempts)
            for uid, destination, out, study, series, state, attempts in rows
        ]

    def moved(self, moves: Sequence[Moved], at: float) -> None:
        """Write what came of asking, in one durable commit; what changed meanwhile is left alone."""
        with self._database.writing(durably=True) as connection:
            for each in moves:
                recall = each.recall
                if each.state is not recall.state and each.state not in RECALL_MOVES[recall.state]:
                    raise ValueError(f"a recall does not go from {recall.state} to {each.state}")  # our bug
                done = connection.execute(
                    "UPDATE recall SET state = :state, not_before = :not_before,"
                    " number = CASE WHEN state = :state THEN number ELSE :number END,"
                    " at = CASE WHEN state = :state THEN at ELSE :at END,"
                    " attempts = CASE WHEN state = :state THEN attempts + 1 ELSE 0 END,"
                    " detail = CASE WHEN :detail = '' AND state = :state THEN detail ELSE :detail END"
                    " WHERE sop_instance = :uid AND destination = :destination AND state = :before",
                    {
                        "state": each.state.value,
                        "not_before": each.not_before,
                        "number": next_number(connection),
                        "at": at,
                        "detail": each.detail[:LONGEST_DETAIL],
                        "uid": recall.sop_instance,
                        "destination": recall.destination,
                        "before": recall.state.value,
                    },
                )
                if done.rowcount and each.state is RecallState.ABSENT:
                    _taken_back(connection, recall)

    def give_up(self, configured: Collection[str], detail: str, at: float) -> int:
        """Let a person take back what is open at destinations that are no longer configured; return how many."""
        with self._database.writing(durably=True) as connection:
            rows = connection.execute(
                "SELECT sop_instance, destination FROM recall"
                " WHERE state IN ('REQUESTED', 'DELETED') AND destination NOT IN (SELECT value FROM json_each(?))",
                (json.dumps(list(configured)),),
            ).fetchall()
            for row in rows:
                connection.execute(
                    "UPDATE recall SET state = 'IMPOSSIBLE', detail = ?, at = ?, number = ?"
                    " WHERE sop_instance = ? AND destination = ?",
                    (detail, at, next_number(connection), *row),
                )
        return len(rows)

    def purge(self, before: float, limit: int) -> int:
        """Forget what was taken back or replaced before ``before``; at most ``limit``."""
        with self._database.writing(durably=False) as connection:
            return connection.execute(
                "DELETE FROM recall WHERE (sop_instance, destination) IN (SELECT sop_instance, destination FROM recall"
                " WHERE state IN ('ABSENT', 'REPLACED') AND at < ? LIMIT ?)",
                (before, limit),
            ).rowcount

    # --- looking --------------------------------------------------------------------------------------------------

    def open_at(self, out: str) -> set[str]:
        """Return the destinations from which an instance is about to be deleted."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT r.destination FROM instance i JOIN recall r USING (sop_instance)"
                " WHERE i.out = ? AND r.state IN ('REQUESTED', 'DELETED')",
                (out,),
            ).fetchall()
        return {destination for (destination,) in rows}

    def unsettled(self, destination: str) -> int:
        """Return how many are to be asked for at a destination, now or later."""
        with self._database.reading() as connection:
            (n,) = connection.execute(
                "SELECT coalesce(sum(n), 0) FROM recall_tally WHERE destination = ?"
                " AND state IN ('REQUESTED', 'DELETED', 'IMPOSSIBLE')",
                (destination,),
            ).fetchone()
        return int(n)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return destination -> state -> how many; its cost does not depend on the rows."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT destination, state, n FROM recall_tally WHERE n > 0").fetchall()
        found: dict[str, dict[str, int]] = {}
        for destination, state, n in rows:
            found.setdefault(destination, {})[state] = n
        return found

    def of_instance(self, sop_instance: str) -> list[Recalled]:
        """Return how far the recalls of one pseudonymous SOP Instance UID are."""
        return self._list("sop_instance = :value", sop_instance)

    def of_studies(self, studies: Iterable[str]) -> list[Recalled]:
        """Return the recalls of these pseudonymous studies."""
        return self._list("study IN (SELECT value FROM json_each(:value))", json.dumps(list(studies)))

    def all(self, *, unfinished: bool) -> list[Recalled]:
        """Return recalls, or those that are not confirmed yet; at most MOST."""
        return self._list("state IN ('REQUESTED', 'DELETED', 'IMPOSSIBLE')" if unfinished else "1", "")

    def changed_since(self, number: int, limit: int) -> list[tuple[int, Recalled]]:
        """Return (number, recall) of what changed after the number, in order."""
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT number, {_FACTS}, asked, at, detail FROM recall"  # noqa: S608 - our columns
                " WHERE number > ? ORDER BY number LIMIT ?",
                (number, limit),
            ).fetchall()
        return [(changed, _recalled(row)) for changed, *row in rows]

    def _list(self, where: str, value: str) -> list[Recalled]:
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_FACTS}, asked, at, detail FROM recall WHERE {where}"  # noqa: S608 - our words
                " ORDER BY study, destination, sop_instance LIMIT :most",
                {"value": value, "most": MOST},
            ).fetchall()
        return [_recalled(row) for row in rows]


def selected(wanted: Wanted) -> tuple[str, str]:
    """Return a condition on rows of instances, with one parameter ``:value``, and its value."""
    if wanted.rules_digest:
        return "rules_digest = :value", wanted.rules_digest
    return "study IN (SELECT value FROM json_each(:value))", json.dumps(wanted.studies)


def replaced_by(connection: sqlite3.Connection, parcel: Parcel, destination: str, at: float) -> None:
    """A later version was stored: what was recalled of the instance is no longer there. Within a transaction.

    The same bytes again repair nothing: what a person has to delete stays so.
    """
    row = connection.execute(
        "SELECT 1 FROM recall WHERE sop_instance = :uid AND destination = :destination AND seq < :seq"
        " AND (state IN ('REQUESTED', 'DELETED') OR (state = 'IMPOSSIBLE' AND NOT EXISTS"
        " (SELECT 1 FROM instance i WHERE i.seq = recall.seq AND i.digest = :digest)))",
        {
            "uid": parcel.sop_instance,
            "destination": destination,
            "seq": parcel.seq,
            "digest": parcel.digest,
        },
    ).fetchone()
    if row is not None:
        connection.execute(
            "UPDATE recall SET state = 'REPLACED', at = ?, detail = '', number = ?"
            " WHERE sop_instance = ? AND destination = ?",
            (at, next_number(connection), parcel.sop_instance, destination),
        )


@dataclass(frozen=True, slots=True)
class _Instance:
    seq: int
    out: str
    state: str
    sop_instance: str
    study: str
    series: str


def _page(connection: sqlite3.Connection, wanted: Wanted, after: int) -> list[_Instance]:
    where, value = selected(wanted)
    rows = connection.execute(
        "SELECT seq, out, state, sop_instance, study, series FROM instance"  # noqa: S608 - our words
        f" WHERE seq > :after AND {where} ORDER BY seq LIMIT :limit",
        {"after": after, "value": value, "limit": PAGE},
    ).fetchall()
    return [_Instance(*row) for row in rows]


def _reached(
    connection: sqlite3.Connection, instance: _Instance, configured: Collection[str], rules_digest: str
) -> dict[str, bool]:
    """Return the destinations that may have this version of an instance -> whether they said so."""
    rows = connection.execute(
        "SELECT destination, state, attempts, reason FROM delivery WHERE seq = ?", (instance.seq,)
    ).fetchall()
    if not rows:  # the outbox was lost
        return dict.fromkeys(configured, True)
    return {
        destination: state == "STORED"
        for destination, state, attempts, why in rows
        if _may_be_there(state, attempts, why)
        and not (rules_digest and _replaced(connection, instance, destination, rules_digest))
    }


def _may_be_there(state: str, attempts: int, reason: str) -> bool:
    """Whether a delivery says that something is there, or may be: an answer can be lost."""
    stopped = {each.value for each in STOPPED}
    return (
        state == "STORED"
        or (state in ("WAITING", "ABANDONED") and attempts > 0)
        or (state == "REFUSED" and (reason in _THERE or (reason in stopped and attempts > 0)))
    )


def _replaced(connection: sqlite3.Connection, instance: _Instance, destination: str, rules_digest: str) -> bool:
    """Whether a version that other rules made took its place there."""
    row = connection.execute(
        "SELECT 1 FROM instance i JOIN delivery d USING (seq) WHERE i.sop_instance = ? AND i.seq > ?"
        " AND d.destination = ? AND d.state = 'STORED' AND i.rules_digest <> ?",
        (instance.sop_instance, instance.seq, destination, rules_digest),
    ).fetchone()
    return row is not None


def _ask(
    connection: sqlite3.Connection, instance: _Instance, destination: str, at: float, *, not_before: float
) -> None:
    connection.execute(
        "INSERT INTO recall (sop_instance, destination, state, seq, out, study, series, asked, at, not_before, number)"
        " VALUES (?, ?, 'REQUESTED', ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sop_instance, destination) DO UPDATE SET"
        " state = 'REQUESTED', attempts = 0, not_before = excluded.not_before, asked = excluded.asked,"
        " at = excluded.at, detail = '', number = excluded.number, study = excluded.study,"
        " series = CASE WHEN excluded.series = '' THEN series ELSE excluded.series END,"
        " out = CASE WHEN excluded.seq > seq THEN excluded.out ELSE out END, seq = max(seq, excluded.seq)",
        (
            *(instance.sop_instance, destination, instance.seq, instance.out, instance.study, instance.series),
            *(at, at, not_before, next_number(connection)),
        ),
    )


def _withdraw(connection: sqlite3.Connection, instance: _Instance, at: float) -> list[Ended]:
    """Let nothing more of an instance leave; return it if nothing waits for it any more."""
    ended: list[Ended] = []
    if instance.state == "READY":
        rows = connection.execute(
            "SELECT destination FROM delivery WHERE seq = ? AND state IN ('GATED', 'WAITING')", (instance.seq,)
        ).fetchall()
        for (destination,) in rows:
            end(connection, instance.seq, destination, "REFUSED", at, Reason.RECALLED.value)
            ended += settle(connection, instance.seq, at)
    return ended


def _taken_back(connection: sqlite3.Connection, recall: Recall) -> None:
    """What was stored there of the versions that were recalled is there no more."""
    connection.execute(
        "UPDATE delivery SET state = 'RECALLED' WHERE destination = :destination AND state = 'STORED' AND seq IN"
        " (SELECT seq FROM instance WHERE sop_instance = :uid AND seq <= (SELECT seq FROM recall"
        " WHERE sop_instance = :uid AND destination = :destination))",
        {"destination": recall.destination, "uid": recall.sop_instance},
    )


def _recalled(row: Sequence[Any]) -> Recalled:
    uid, destination, out, study, series, state, attempts, asked, at, detail = row
    return Recalled(uid, destination, out, study, series, RecallState(state), attempts, asked, at, detail)
