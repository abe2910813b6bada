"""How a delivery ends, and with its last one the instance: within a transaction of the outbox.

Deliveries are GATED or WAITING while they are open, then STORED, REFUSED or ABANDONED; a STORED one that was taken back
and is confirmed absent there is RECALLED.
"""

import sqlite3

from appliance.lifecycle import Event, State, after
from appliance.reasons import Reason
from appliance.spool.settled import Ended

LONGEST_DETAIL = 2000  # characters of a detail that are kept

# What is stopped by command while it is under way may arrive all the same.
STOPPED = (Reason.OPTED_OUT, Reason.FORGOTTEN, Reason.TWO_PATIENT_IDS, Reason.RECALLED)


def end(
    connection: sqlite3.Connection,
    seq: int,
    destination: str,
    state: str,
    at: float,
    reason: str = "",
    detail: str = "",
) -> bool:
    """End an open delivery; False if it ended before."""
    cursor = connection.execute(
        "UPDATE delivery SET state = ?, at = ?, reason = ?, detail = ? WHERE seq = ? AND destination = ?"
        " AND state IN ('GATED', 'WAITING')",
        (state, at, reason, detail[:LONGEST_DETAIL], seq, destination),
    )
    return cursor.rowcount == 1


def stored_all_the_same(connection: sqlite3.Connection, seq: int, destination: str, at: float) -> None:
    """Remember that a delivery that was stopped was under way already: a list of what left must name it."""
    connection.execute(
        "UPDATE delivery SET state = 'STORED', at = ? WHERE seq = ? AND destination = ? AND state = 'REFUSED'"
        " AND reason IN (?, ?, ?, ?)",
        (at, seq, destination, *(reason.value for reason in STOPPED)),
    )


def settle(connection: sqlite3.Connection, seq: int, at: float) -> list[Ended]:
    """Settle an instance if none of its deliveries is open: REJECTED if any was refused, else FORWARDED.

    One that was given up everywhere and stored nowhere is REJECTED too: nobody named it.
    """
    rows = connection.execute(
        "SELECT state, destination, reason, detail FROM delivery WHERE seq = ? ORDER BY at, destination", (seq,)
    ).fetchall()
    states = {state for state, *_ in rows}
    if states & {"GATED", "WAITING"}:
        return []
    blamed = [row for row in rows if row[0] == "REFUSED"] or ([] if states & {"STORED", "RECALLED"} else rows)
    reason, detail = "", ""
    if blamed:
        _, destination, reason, detail = blamed[0]
        detail = f"{destination}: {detail}" if detail else f"{destination}."
    state = after(State.READY, Event.SOME_REFUSED if blamed else Event.ALL_STORED)
    connection.execute(
        "UPDATE instance SET state = ?, reason = ?, detail = ?, settled = ?, settled_at = ? WHERE seq = ?",
        (state, reason, detail, next_number(connection), at, seq),
    )
    (out,) = connection.execute("SELECT out FROM instance WHERE seq = ?", (seq,)).fetchone()
    return [Ended(out, state, reason, detail)]


def next_number(connection: sqlite3.Connection) -> int:
    # Counted, not max() + 1: purging rows must not bring a number back that the inside has followed already.
    row = connection.execute("UPDATE setting SET value = value + 1 WHERE key = 'settled' RETURNING value").fetchone()
    return int(row[0])
