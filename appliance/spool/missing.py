"""What a destination has named as stored and does not have: the rows of the daily reconciliation. The only SQL on them.

Found missing once, an instance is looked for again; found missing twice it is sent again, once by itself and as often
as a person asks. It counts as a difference until the destination is seen to have it, or a person accepts that it has
not.
"""

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from appliance.spool.database import Database
from appliance.spool.settings import Settings
from appliance.spool.settling import next_number

MOST = 10_000  # rows that a list returns at most
LOOKED_THROUGH = 20  # studies that one call looks through for one that is to be asked for


class MissingState(StrEnum):
    """How far an instance is that a destination does not have."""

    MISSING = "MISSING"  # the destination was searched, and does not have it
    SENT_AGAIN = "SENT_AGAIN"  # on its way again, or there and not looked for yet
    THERE = "THERE"  # seen there again: no difference any more
    ACCEPTED = "ACCEPTED"  # a person said that it need not be there


OPEN: Final = (MissingState.MISSING, MissingState.SENT_AGAIN)


@dataclass(frozen=True, slots=True)
class Delivered:
    """A study of which a destination named instances as stored: SOP Instance UIDs, pseudonymous as the study."""

    study: str
    instances: frozenset[str]


@dataclass(frozen=True, slots=True)
class Missing:
    """An instance that a destination named as stored and does not have, for whoever looks. Times in POSIX seconds.

    times  how often it was sent again
    found  when it was first missing; at when it came to its state
    """

    destination: str
    study: str
    sop_instance: str
    out: str
    state: MissingState
    times: int
    found: float
    at: float


class MissingRows:
    """The rows of what is missing at each destination, and when it was last asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._settings = Settings(database)

    # --- what to ask for ------------------------------------------------------------------------------------------

    def next_delivered(self, destination: str, after: str, since: float, until: float) -> tuple[str | None, Delivered]:
        """Return where to go on (None: this was the end) and the next study of which ``destination`` has something.

        after        the study looked at before, in the order of UIDs; "" at the beginning
        since, until when the destination named the instance as stored, POSIX seconds
        The study has no instances where LOOKED_THROUGH of them gave nothing to ask for.
        """
        with self._database.reading() as connection:
            for _ in range(LOOKED_THROUGH):
                (study,) = connection.execute("SELECT min(study) FROM instance WHERE study > ?", (after,)).fetchone()
                if study is None:
                    return None, Delivered(after, frozenset())
                after = study
                if found := _stored(connection, study, destination, since, until):
                    return study, Delivered(study, found)
        return after, Delivered(after, frozenset())

    def next_open(self, destination: str, after: str, since: float, until: float) -> tuple[str | None, Delivered]:
        """As ``next_delivered``, of the studies of which something is on its way again, or was found missing lately."""
        with self._database.reading() as connection:
            (study,) = connection.execute(
                "SELECT min(study) FROM missing WHERE destination = ? AND study > ?"
                " AND (state = 'SENT_AGAIN' OR (state = 'MISSING' AND found > ?))",
                (destination, after, since),
            ).fetchone()
            if study is None:
                return None, Delivered(after, frozenset())
            return study, Delivered(study, _stored(connection, study, destination, 0, until))

    # --- what came of it ------------------------------------------------------------------------------------------

    def asked(self, destination: str, delivered: Delivered, absent: Collection[str], at: float) -> None:
        """Write what a destination has not of what was asked for; what it has is missing no more."""
        there = delivered.instances - set(absent)
        with self._database.writing(durably=False) as connection:
            for uid in sorted(absent):
                connection.execute(
                    "INSERT INTO missing (destination, sop_instance, study, seq, out, state, found, at)"
                    " SELECT :destination, sop_instance, study, seq, out, 'MISSING', :at, :at FROM instance"
                    " WHERE sop_instance = :uid ORDER BY seq DESC LIMIT 1"
                    " ON CONFLICT (destination, sop_instance) DO UPDATE SET"
                    " looks = CASE WHEN state = 'MISSING' THEN looks + 1 ELSE 1 END,"
                    " at = CASE WHEN state = 'MISSING' THEN at ELSE excluded.at END,"
                    " state = CASE WHEN state = 'ACCEPTED' THEN state ELSE 'MISSING' END,"
                    " seq = excluded.seq, out = excluded.out",
                    {"destination": destination, "uid": uid, "at": at},
                )
            connection.executemany(
                "UPDATE missing SET state = 'THERE', at = ? WHERE destination = ? AND sop_instance = ?"
                " AND state <> 'THERE'",
                [(at, destination, uid) for uid in there],
            )

    def ended(self, destination: str, at: float) -> None:
        """Remember that a destination was asked for everything."""
        self._settings.put(f"reconciled {destination}", repr(at))

    def last(self, destination: str, at: float) -> float:
        """Return when ``ended`` was last said; ``at``, which is then remembered, if never."""
        known = self._settings.get(f"reconciled {destination}")
        if not known:
            self.ended(destination, at)
        return float(known or at)

    # --- sending again --------------------------------------------------------------------------------------------

    def to_send_again(self, destination: str, kept_since: float, *, by_person: bool) -> int:
        """Return how many can be sent again: missing at two looks, not sent again before, their originals kept.

        kept_since  POSIX seconds: what was settled later still has its original
        by_person   those too that were seen missing once, or were sent again before
        """
        with self._database.reading() as connection:
            (n,) = connection.execute(
                f"SELECT count(*) {_AGAIN}", _again(destination, kept_since, by_person)
            ).fetchone()
        return int(n)

    def send_again(self, destination: str, kept_since: float, at: float, limit: int, *, by_person: bool) -> int:
        """Let the inside make these again, and send them to this destination alone; return how many. At most limit."""
        with self._database.writing(durably=True) as connection:
            rows = connection.execute(
                f"SELECT m.sop_instance, m.seq {_AGAIN} ORDER BY m.seq LIMIT :limit",
                {**_again(destination, kept_since, by_person), "limit": limit},
            ).fetchall()
            for uid, seq in rows:
                connection.execute(
                    "UPDATE delivery SET state = 'ABANDONED' WHERE seq = ? AND destination = ?", (seq, destination)
                )
                connection.execute(
                    "UPDATE instance SET state = 'LOST', settled = ?, settled_at = ? WHERE seq = ?",
                    (next_number(connection), at, seq),
                )
                connection.execute(
                    "UPDATE missing SET state = 'SENT_AGAIN', times = times + 1, looks = 0, at = ?"
                    " WHERE destination = ? AND sop_instance = ?",
                    (at, destination, uid),
                )
        return len(rows)

    def accept(self, destination: str, at: float) -> int:
        """What is missing at a destination need not be there; return how many."""
        with self._database.writing(durably=True) as connection:
            return connection.execute(
                "UPDATE missing SET state = 'ACCEPTED', at = ? WHERE destination = ? AND state = 'MISSING'",
                (at, destination),
            ).rowcount

    def forget_others(self, configured: Iterable[str]) -> None:
        """Forget what is missing at destinations that are no longer configured."""
        names = list(configured)
        with self._database.writing(durably=False) as connection:
            known = {name for (name,) in connection.execute("SELECT DISTINCT destination FROM missing_tally")}
            for name in known - set(names):
                connection.execute("DELETE FROM missing WHERE destination = ?", (name,))

    def purge(self, before: float, limit: int) -> int:
        """Forget what was settled before ``before``; at most ``limit``."""
        with self._database.writing(durably=False) as connection:
            return connection.execute(
                "DELETE FROM missing WHERE (destination, sop_instance) IN (SELECT destination, sop_instance"
                " FROM missing WHERE state IN ('THERE', 'ACCEPTED') AND at < ? LIMIT ?)",
                (before, limit),
            ).rowcount

    # --- looking --------------------------------------------------------------------------------------------------

    def counts(self) -> dict[str, dict[str, int]]:
        """Return destination -> state -> how many; its cost does not depend on the rows."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT destination, state, n FROM missing_tally WHERE n > 0").fetchall()
        found: dict[str, dict[str, int]] = {}
        for destination, state, n in rows:
            found.setdefault(destination, {})[state] = n
        return found

    def asked_last(self) -> dict[str, float]:
        """Return destination -> when it was last asked for everything, POSIX seconds."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT substr(key, length('reconciled ') + 1), value FROM setting WHERE key GLOB 'reconciled *'"
            ).fetchall()
        return {destination: float(at) for destination, at in rows}

    def open(self) -> list[Missing]:
        """Return what is missing or on its way again; at most MOST."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT destination, study, sop_instance, out, state, times, found, at FROM missing"
                " WHERE state IN ('MISSING', 'SENT_AGAIN') ORDER BY destination, study, sop_instance LIMIT ?",
                (MOST,),
            ).fetchall()
        return [
            Missing(destination, study, uid, out, MissingState(state), *rest)
            for destination, study, uid, out, state, *rest in rows
        ]


# What can be sent again. Only FORWARDED: of a REJECTED one a person releases the whole, and a READY one still goes.
_AGAIN: Final = (
    "FROM missing m JOIN instance i USING (seq) WHERE m.destination = :destination AND m.state = 'MISSING'"
    " AND i.state = 'FORWARDED' AND i.settled_at > :kept_since AND (:by_person OR (m.looks > 1 AND m.times = 0))"
)


def _again(destination: str, kept_since: float, by_person: bool) -> dict[str, object]:
    return {"destination": destination, "kept_since": kept_since, "by_person": by_person}


def _stored(connection: sqlite3.Connection, study: str, destination: str, since: float, until: float) -> frozenset[str]:
    """Return what ``destination`` has of a study as we know it: the latest version, and nothing that is taken back."""
    rows: Sequence[tuple[str]] = connection.execute(
        "SELECT i.sop_instance FROM instance i JOIN delivery d ON d.seq = i.seq AND d.destination = :destination"
        " WHERE i.study = :study AND d.state = 'STORED' AND d.at > :since AND d.at <= :until"
        " AND i.state IN ('FORWARDED', 'REJECTED', 'READY')"
        " AND NOT EXISTS (SELECT 1 FROM instance n WHERE n.sop_instance = i.sop_instance AND n.seq > i.seq)"
        " AND NOT EXISTS (SELECT 1 FROM recall r WHERE r.sop_instance = i.sop_instance"
        " AND r.destination = :destination AND r.state IN ('REQUESTED', 'DELETED', 'IMPOSSIBLE'))",
        {"study": study, "destination": destination, "since": since, "until": until},
    ).fetchall()
    return frozenset(uid for (uid,) in rows)
