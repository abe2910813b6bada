"""What waits by age, and the newest studies: for a page that people look at. Each answer's cost is bounded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from appliance.lifecycle import State
from appliance.spool.database import Database

HOUR_S, DAY_S = 3600.0, 86_400.0
AGES: Final = (HOUR_S, DAY_S, 7 * DAY_S)  # what divides young from old, seconds
LOOKED_AT = 20_000  # newest instances whose studies are listed

_WITHHELD: Final = "new_study <> '' AND state IN ('HELD', 'QUARANTINED')"  # as the journal's index has it

# Younger than the first age, than the second, than the third, and older.
Ages = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Study:
    """How far a study is. Times in POSIX seconds.

    study    its pseudonymous Study Instance UID
    states   READY, FORWARDED, REJECTED, HELD and QUARANTINED -> how many instances; what was not processed yet is of
             no study
    missing  instances that a destination named as stored and does not have
    first    when the first of it came to the outside, or into the hospital; last: when something of it changed last
    """

    study: str
    states: Mapping[State, int]
    missing: int
    first: float
    last: float


def waiting_by_age(inside: Database, reasons: Mapping[State, Iterable[str]], now: float) -> dict[State, Ages]:
    """Return RECEIVED by when it came, and what waits for a person of these reasons likewise.

    reasons  HELD, QUARANTINED and REJECTED -> the reasons that some have
    """
    bounds = [now - age for age in AGES]
    with inside.reading() as connection:
        older = [
            connection.execute(
                "SELECT count(*) FROM instance WHERE state = 'RECEIVED' AND received <= ?", (bound,)
            ).fetchone()[0]
            for bound in (float("inf"), *bounds)
        ]
        found = {State.RECEIVED: _ages(older)}
        for state, codes in reasons.items():
            where = "state = 'PASSED' AND outside = 'REJECTED'" if state is State.REJECTED else f"state = '{state}'"
            older = [0] * (len(AGES) + 1)
            for code in codes:
                for place, bound in enumerate(("~", *map(_id_at, bounds))):
                    (n,) = connection.execute(
                        f"SELECT count(*) FROM instance WHERE reason = ? AND id <= ? AND {where}",  # noqa: S608 - ours
                        (code, bound),
                    ).fetchone()
                    older[place] += n
            found[state] = _ages(older)
    return found


def ready_by_age(outside: Database, now: float) -> Ages:
    """Return READY by when it came to the outside."""
    with outside.reading() as connection:
        return _ages(
            [
                connection.execute(
                    "SELECT count(*) FROM instance WHERE state = 'READY' AND admitted <= ?", (bound,)
                ).fetchone()[0]
                for bound in (float("inf"), *(now - age for age in AGES))
            ]
        )


def newest_studies(inside: Database, outside: Database, limit: int) -> list[Study]:
    """Return the studies of which something changed last, the newest first.

    Looked at are the LOOKED_AT newest instances of the outside, and as many that are held or quarantined.
    """
    with inside.reading() as connection:
        held = connection.execute(
            f"SELECT new_study FROM (SELECT new_study, id FROM instance WHERE {_WITHHELD} ORDER BY id DESC LIMIT ?)"  # noqa: S608 - ours
            " GROUP BY new_study ORDER BY max(id) DESC LIMIT ?",
            (LOOKED_AT, limit),
        ).fetchall()
    with outside.reading() as connection:
        passed = connection.execute(
            "SELECT study FROM (SELECT study, seq FROM instance ORDER BY seq DESC LIMIT ?)"
            " GROUP BY study ORDER BY max(seq) DESC LIMIT ?",
            (LOOKED_AT, limit),
        ).fetchall()
    found = [_study(inside, outside, study) for (study,) in dict.fromkeys([*held, *passed])]
    return sorted((each for each in found if each.states), key=lambda each: each.last, reverse=True)[:limit]


def _study(inside: Database, outside: Database, study: str) -> Study:
    with outside.reading() as connection:
        rows = connection.execute(
            "SELECT state, count(*), min(admitted), max(max(admitted, settled_at)) FROM instance WHERE study = ?"
            " AND state IN ('READY', 'FORWARDED', 'REJECTED') GROUP BY state",
            (study,),
        ).fetchall()
        (missing,) = connection.execute(
            "SELECT count(*) FROM missing WHERE destination IN (SELECT destination FROM missing_tally)"
            " AND study = ? AND state IN ('MISSING', 'SENT_AGAIN')",
            (study,),
        ).fetchone()
    with inside.reading() as connection:
        rows += connection.execute(
            "SELECT state, count(*), min(received), max(moved) FROM instance"  # noqa: S608 - ours
            f" WHERE {_WITHHELD} AND new_study = ? GROUP BY state",
            (study,),
        ).fetchall()
    states = {State(state): n for state, n, *_ in rows}
    first, last = min((row[2] for row in rows), default=0.0), max((row[3] for row in rows), default=0.0)
    return Study(study, states, missing, first, last)


def delivered_ids(inside: Database, outside: Database, study: str) -> list[str]:
    """Return the ids of a pseudonymous study's FORWARDED instances whose originals are still here."""
    with outside.reading() as connection:
        outs = [
            out
            for (out,) in connection.execute(
                "SELECT out FROM instance WHERE study = ? AND state = 'FORWARDED' ORDER BY seq", (study,)
            )
        ]
    with inside.reading() as connection:
        found = [
            connection.execute(
                "SELECT id FROM instance WHERE out = ? AND out <> '' AND state = 'PASSED' AND purged = 0", (out,)
            ).fetchone()
            for out in outs
        ]
    return [row[0] for row in found if row is not None]


def newest_rules(outside: Database) -> str:
    """Return the digest of the rules that made the newest instance; "" before there is one."""
    with outside.reading() as connection:
        row = connection.execute("SELECT rules_digest FROM instance ORDER BY seq DESC LIMIT 1").fetchone()
    return "" if row is None else str(row[0])


def _ages(older: Sequence[int]) -> Ages:
    """Counts by age, of counts of what is at least so old, the youngest first."""
    first, second, third = (more - fewer for more, fewer in pairwise(older))
    return first, second, third, older[-1]


def _id_at(moment: float) -> str:
    """What an id of this moment begins with: ids sort by arrival."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
