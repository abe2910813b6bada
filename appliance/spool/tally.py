"""The one function that counts: what both sides' rows say together, so that it adds up."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from appliance.lifecycle import VISIBLE, State
from appliance.spool.journal_view import InsideCount
from appliance.spool.outbox_view import OutsideCount

_OUTSIDE = (State.FORWARDED, State.REJECTED)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a person is shown. ``received`` is the sum of ``states``, which has every visible state.

    by_source  (state, source) -> how many
    by_reason  (state, reason code) -> how many, of those that have one
    """

    received: int
    states: dict[State, int]
    by_source: dict[tuple[State, str], int]
    by_reason: dict[tuple[State, str], int]


def tally(inside: Iterable[InsideCount], outside: Iterable[OutsideCount]) -> Tally:
    """Return the counts of both sides as one. Read the outside first: what it has, the inside has too.

    Where the two disagree for a moment the higher round wins, and within a round the outside: an instance that the
    outside has and the inside still calls RECEIVED is where the outside says; a round that the inside has left behind
    counts no more.
    """
    inside, outside = list(inside), list(outside)
    by_source: Counter[tuple[State, str]] = Counter()
    for source in {count.source for count in inside}:
        by_source.update(
            {
                (state, source): n
                for state, n in _of_source(
                    [count for count in inside if count.source == source],
                    [count for count in outside if count.source == source],
                ).items()
            }
        )
    states = {state: sum(n for (of, _), n in by_source.items() if of is state) for state in VISIBLE}
    return Tally(sum(states.values()), states, dict(by_source), _by_reason(inside, outside))


def _of_source(inside: list[InsideCount], outside: list[OutsideCount]) -> dict[State, int]:
    rows: Counter[State] = Counter()
    said: Counter[State] = Counter()  # of PASSED rows, by what the inside has followed
    left: Counter[State] = Counter()  # outside rows of rounds that the inside has left
    for count in inside:
        rows[count.state] += count.n
        if count.outside:
            (said if count.state is State.PASSED else left)[State(count.outside)] += count.n
    there: Counter[State] = Counter()
    for seen in outside:
        there[seen.state] += seen.n
    # The inside's word stands in for rows that the outside has purged, or lost and not got back yet.
    settled = {state: max(there[state] - left[state], said[state]) for state in _OUTSIDE}
    ready = max(there[State.READY], rows[State.PASSED] - sum(settled.values()))
    ahead = ready + sum(settled.values()) - rows[State.PASSED]  # outside already, RECEIVED inside still
    found = {state: rows[state] for state in (State.HELD, State.QUARANTINED, State.DISCARDED)}
    return {**found, **settled, State.READY: ready, State.RECEIVED: max(0, rows[State.RECEIVED] - ahead)}


def _by_reason(inside: list[InsideCount], outside: list[OutsideCount]) -> dict[tuple[State, str], int]:
    found: Counter[tuple[State, str]] = Counter()
    for count in inside:
        if count.reason and count.state is not State.PASSED:
            found[count.state, count.reason] += count.n
    for seen in outside:
        if seen.reason:
            found[seen.state, seen.reason] += seen.n
    return dict(found)
