"""The outbox for whoever only looks: counts, deliveries, traces. Also the questions that the writing side asks."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.lifecycle import OUTSIDE, State
from appliance.spool.database import Database
from appliance.spool.exports import Exports
from appliance.spool.missing import MissingRows
from appliance.spool.pauses import Pauses
from appliance.spool.recalls import Recalls, Wanted, selected
from appliance.spool.settings import Settings
from appliance.spool.settled import Settled

MOST = 1000  # outside names that a trace returns at most


@dataclass(frozen=True, slots=True)
class OutsideCount:
    """How many instances the outside has in this state, for this reason ("" if none)."""

    state: State
    source: str
    reason: str
    n: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far one instance is at one destination.

    state       GATED, WAITING, STORED, REFUSED, ABANDONED or RECALLED
    not_before  POSIX seconds: deferred until then
    at          when it ended, POSIX seconds; 0 while open
    """

    destination: str
    state: str
    attempts: int
    not_before: float
    at: float
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Left:
    """One delivery of one instance of a study: whether, when and where it left.

    state     of the instance: READY, FORWARDED, REJECTED, SUPERSEDED or LOST
    delivery  GATED, WAITING, STORED, REFUSED, ABANDONED or RECALLED; "" where the outbox was lost and only knows
              that it was sent
    at        when the delivery ended, POSIX seconds; 0 while open
    """

    out: str
    study: str
    sop_instance: str
    rules_digest: str
    state: str
    destination: str
    delivery: str
    at: float

    @property
    def has_left(self) -> bool:
        """Whether this delivery put the instance into somebody else's hands."""
        return self.delivery in ("STORED", "RECALLED") or (
            not self.delivery and self.state in ("FORWARDED", "SUPERSEDED")
        )


class OutboxView:
    """What can be asked of the outbox."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.settings = Settings(database)
        self.recalls = Recalls(database)
        self.missing = MissingRows(database)
        self.exports = Exports(database)
        self.pauses = Pauses(database)

    def close(self) -> None:
        """Close the connection."""
        self.database.close()

    @property
    def generation(self) -> str:
        """A name that a rebuilt outbox does not share: numbers of ``settled_since`` are its own."""
        return self.settings.get("generation")

    def counts(self) -> list[OutsideCount]:
        """Return how many instances there are by state, source and reason; superseded ones are not counted."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT state, source, reason, n FROM tally WHERE n > 0 AND state IN ('READY', 'FORWARDED', 'REJECTED')"
            ).fetchall()
        return [OutsideCount(State(state), *rest) for state, *rest in rows]

    def destinations(self) -> dict[str, dict[str, int]]:
        """Return destination -> delivery state -> how many."""
        with self.database.reading() as connection:
            rows = connection.execute("SELECT destination, state, n FROM delivery_tally WHERE n > 0").fetchall()
        found: dict[str, dict[str, int]] = {}
        for destination, state, n in rows:
            found.setdefault(destination, {})[state] = n
        return found

    def oldest_ready(self) -> float | None:
        """Return when the oldest READY instance was admitted, POSIX seconds; None if none waits."""
        with self.database.reading() as connection:
            (oldest,) = connection.execute("SELECT min(admitted) FROM instance WHERE state = 'READY'").fetchone()
        return None if oldest is None else float(oldest)

    def state(self, out: str) -> State | None:
        """Return the state of an outside name; None if there is none, or a later round took its place."""
        return self.states([out]).get(out)

    def states(self, outs: Iterable[str]) -> dict[str, State]:
        """Return the states of those of ``outs`` that the outside has."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT out, state FROM instance WHERE out IN (SELECT value FROM json_each(?))",
                (json.dumps(list(outs)),),
            ).fetchall()
        return {out: State(state) for out, state in rows if state in OUTSIDE}

    def endings(self, outs: Iterable[str]) -> dict[str, tuple[str, str, str]]:
        """Return (state, reason, detail) of those of ``outs`` that are not READY; also SUPERSEDED and LOST ones."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT out, state, reason, detail FROM instance"
                " WHERE state <> 'READY' AND out IN (SELECT value FROM json_each(?))",
                (json.dumps(list(outs)),),
            ).fetchall()
        return {out: (state, reason, detail) for out, state, reason, detail in rows}

    def ready_after(self, seq: int, limit: int) -> list[tuple[int, str]]:
        """Return (seq, outside name) of READY instances in order of arrival, after a seq."""
        with self.database.reading() as connection:
            return connection.execute(
                "SELECT seq, out FROM instance WHERE state = 'READY' AND seq > ? ORDER BY seq LIMIT ?", (seq, limit)
            ).fetchall()

    def settled_since(self, cursor: int, limit: int) -> list[Settled]:
        """Return what was settled after the number ``cursor``, in order."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT settled, out, state, reason, detail, settled_at FROM instance"
                " WHERE settled > ? AND settled > 0 AND state IN ('FORWARDED', 'REJECTED', 'LOST')"
                " ORDER BY settled LIMIT ?",
                (cursor, limit),
            ).fetchall()
        return [Settled(*row) for row in rows]

    def deliveries(self, out: str) -> list[Delivery]:
        """Return how far ``out`` is at each of its destinations."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT d.destination, d.state, d.attempts, d.not_before, d.at, d.reason, d.detail"
                " FROM instance i JOIN delivery d USING (seq) WHERE i.out = ? ORDER BY d.destination",
                (out,),
            ).fetchall()
        return [Delivery(*row) for row in rows]

    def earlier_digests(self, sop_instance: str, destination: str) -> list[str]:
        """Return the digests of what this destination stored under this UID, the first delivered first.

        "" stands for one whose bytes, and whether this destination has them, were forgotten with a lost outbox.
        """
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT digest FROM (SELECT i.digest, d.at, i.seq FROM instance i JOIN delivery d USING (seq)"
                " WHERE i.sop_instance = :uid AND d.destination = :destination AND d.state IN ('STORED', 'RECALLED')"
                " UNION ALL SELECT '', i.settled_at, i.seq FROM instance i WHERE i.sop_instance = :uid"
                " AND i.digest = '' AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.seq = i.seq)) ORDER BY at, seq",
                {"uid": sop_instance, "destination": destination},
            ).fetchall()
        return [digest for (digest,) in rows]

    def due(self, seqs: Iterable[int], destination: str) -> set[int]:
        """Return those of ``seqs`` that may go to this destination: neither stopped nor held back."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT seq FROM delivery WHERE seq IN (SELECT value FROM json_each(?)) AND destination = ?"
                " AND state = 'WAITING' AND blocked = 0",
                (json.dumps(list(seqs)), destination),
            ).fetchall()
        return {seq for (seq,) in rows}

    def trace(self, uid: str) -> list[str]:
        """Return the outside names under this pseudonymous SOP Instance or Study UID, in order of arrival."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT out FROM instance WHERE sop_instance = :uid OR study = :uid ORDER BY seq LIMIT :most",
                {"uid": uid, "most": MOST},
            ).fetchall()
        return [out for (out,) in rows]

    def left(self, studies: Iterable[str]) -> list[Left]:
        """Return every delivery of every instance of these pseudonymous studies, in order of arrival."""
        return self.left_by(Wanted(studies=tuple(studies)))

    def left_by(self, wanted: Wanted) -> list[Left]:
        """Return every delivery of every instance that is named, in order of arrival."""
        where, value = selected(wanted)
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT i.out, i.study, i.sop_instance, i.rules_digest, i.state, coalesce(d.destination, ''),"  # noqa: S608
                " coalesce(d.state, ''), coalesce(d.at, 0) FROM instance i LEFT JOIN delivery d USING (seq)"
                f" WHERE i.{where} ORDER BY i.seq, d.destination",
                {"value": value},
            ).fetchall()
        return [Left(*row) for row in rows]

    def rules_digests(self, prefix: str) -> list[str]:
        """Return the digests of rules that begin so, of what the outbox knows. Looks through it."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT DISTINCT rules_digest FROM instance WHERE substr(rules_digest, 1, ?) = ? ORDER BY rules_digest",
                (len(prefix), prefix),
            ).fetchall()
        return [digest for (digest,) in rows]

    def rejected(self, *, after: int = 0, limit: int = 500) -> list[tuple[int, str, str, str]]:
        """Return (seq, outside name, reason, detail) of the REJECTED in order of arrival, after a seq."""
        with self.database.reading() as connection:
            return connection.execute(
                "SELECT seq, out, reason, detail FROM instance WHERE state = 'REJECTED' AND seq > ?"
                " ORDER BY seq LIMIT ?",
                (after, limit),
            ).fetchall()

    def opened(self) -> list[tuple[str, str]]:
        """Return the (source, project) pairs that an operator opened."""
        with self.database.reading() as connection:
            return connection.execute("SELECT source, project FROM opened ORDER BY source, project").fetchall()

    def gated(self) -> dict[tuple[str, str], int]:
        """Return (source, project) -> how many instances wait for the source to be opened. Costs as much as wait."""
        with self.database.reading() as connection:
            rows = connection.execute(
                "SELECT source, project, count(DISTINCT seq) FROM delivery WHERE state = 'GATED'"
                " GROUP BY source, project"
            ).fetchall()
        return {(source, project): n for source, project, n in rows}
