"""The one table of states: what may become of an instance, and whose turn it is.

Inside (journal): RECEIVED, HELD, QUARANTINED, DISCARDED, PASSED. Outside (outbox): READY, FORWARDED, REJECTED.
PASSED means that the outside has it; for a count or a person the outside's word then holds. Each waiting state has
exactly one consumer: RECEIVED de-identify, READY forward; HELD, QUARANTINED and REJECTED wait for a human or a list.
"""

from enum import StrEnum

from appliance.errors import IllegalMove


class State(StrEnum):
    """Where an instance is."""

    RECEIVED = "RECEIVED"
    HELD = "HELD"
    QUARANTINED = "QUARANTINED"
    DISCARDED = "DISCARDED"
    PASSED = "PASSED"
    READY = "READY"
    FORWARDED = "FORWARDED"
    REJECTED = "REJECTED"


class Event(StrEnum):
    """What happened to an instance."""

    DEIDENTIFIED = "deidentified"  # a READY file and an outbox row exist
    EXCLUDED = "excluded"  # a rule, or a duplicate, says: not forwarded
    HELD_BACK = "held-back"  # no identity for this patient yet
    REFUSED = "refused"  # must not, or cannot, be passed on
    IDENTITY_CAME = "identity-came"  # the id list arrived, or an operator said: mint
    RELEASED = "released"  # an operator: process again, by today's rules
    REPLAYED = "replayed"  # an operator: process and deliver again
    DROPPED = "dropped"  # an operator: discard
    ALL_STORED = "all-stored"  # every destination named the instance
    SOME_REFUSED = "some-refused"  # nothing waits any more, and a destination refused for good


class RecallState(StrEnum):
    """How far an instance is taken back from a destination. A row beside the delivery: the instance keeps its state.

    While it is REQUESTED or DELETED, no later version of the instance is sent there: it would be deleted as well.
    """

    REQUESTED = "REQUESTED"  # to be looked for there, and deleted
    DELETED = "DELETED"  # the destination accepted to delete it; its absence is to be confirmed
    ABSENT = "ABSENT"  # confirmed: it was searched there, and not found
    IMPOSSIBLE = "IMPOSSIBLE"  # a person has to delete it, or look, there; looked for once a day
    REPLACED = "REPLACED"  # a later version took its place there


INSIDE = frozenset({State.RECEIVED, State.HELD, State.QUARANTINED, State.DISCARDED, State.PASSED})
OUTSIDE = frozenset({State.READY, State.FORWARDED, State.REJECTED})

# What a person is shown and the counts are made of: received = the sum over these.
VISIBLE = (
    State.RECEIVED,
    State.HELD,
    State.QUARANTINED,
    State.DISCARDED,
    State.READY,
    State.FORWARDED,
    State.REJECTED,
)

# Moves of the inside row. Release and replay of what the outside has start from PASSED: a new round.
INSIDE_MOVES: dict[tuple[State, Event], State] = {
    (State.RECEIVED, Event.DEIDENTIFIED): State.PASSED,
    (State.RECEIVED, Event.EXCLUDED): State.DISCARDED,
    (State.RECEIVED, Event.HELD_BACK): State.HELD,
    (State.RECEIVED, Event.REFUSED): State.QUARANTINED,
    (State.HELD, Event.IDENTITY_CAME): State.RECEIVED,
    (State.HELD, Event.DROPPED): State.DISCARDED,
    (State.QUARANTINED, Event.RELEASED): State.RECEIVED,
    (State.QUARANTINED, Event.DROPPED): State.DISCARDED,
    (State.DISCARDED, Event.REPLAYED): State.RECEIVED,
    (State.PASSED, Event.RELEASED): State.RECEIVED,
    (State.PASSED, Event.REPLAYED): State.RECEIVED,
    (State.PASSED, Event.DROPPED): State.DISCARDED,
}

# Moves of the outside row. A new round is a new row, so nothing leads back to READY.
OUTSIDE_MOVES: dict[tuple[State, Event], State] = {
    (State.READY, Event.ALL_STORED): State.FORWARDED,
    (State.READY, Event.SOME_REFUSED): State.REJECTED,
}

# Moves of a recall. Asked for again by a person, it begins again from any state.
RECALL_MOVES: dict[RecallState, frozenset[RecallState]] = {
    RecallState.REQUESTED: frozenset(
        {RecallState.DELETED, RecallState.ABSENT, RecallState.IMPOSSIBLE, RecallState.REPLACED}
    ),
    RecallState.DELETED: frozenset(
        {RecallState.DELETED, RecallState.ABSENT, RecallState.IMPOSSIBLE, RecallState.REPLACED}
    ),
    RecallState.IMPOSSIBLE: frozenset({RecallState.IMPOSSIBLE, RecallState.ABSENT, RecallState.REPLACED}),
    RecallState.ABSENT: frozenset(),
    RecallState.REPLACED: frozenset(),
}

TRANSITIONS = INSIDE_MOVES | OUTSIDE_MOVES


def after(state: State, event: Event) -> State:
    """Return the state that follows; raises IllegalMove for a move that the table does not hold."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalMove(f"{event} is not possible in {state}") from None


def starts_new_round(event: Event) -> bool:
    """Whether the move begins a new round: an image can only leave through today's rules."""
    return event in {Event.RELEASED, Event.REPLAYED, Event.IDENTITY_CAME}
