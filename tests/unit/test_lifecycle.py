import itertools

import pytest

from appliance.errors import IllegalMove
from appliance.lifecycle import (
    INSIDE,
    INSIDE_MOVES,
    OUTSIDE,
    OUTSIDE_MOVES,
    TRANSITIONS,
    VISIBLE,
    Event,
    State,
    after,
    starts_new_round,
)

WAITS_FOR_THE_MACHINE = {State.RECEIVED, State.READY}


def test_a_move_of_the_table_leads_where_it_says():
    assert after(State.RECEIVED, Event.REFUSED) is State.QUARANTINED


@pytest.mark.parametrize(("state", "event"), sorted(set(itertools.product(State, Event)) - set(TRANSITIONS)))
def test_every_other_move_raises_and_says_what_is_not_possible(state, event):
    with pytest.raises(IllegalMove, match=f"{event} is not possible in {state}"):
        after(state, event)


def test_each_side_moves_within_itself():
    assert set(State) == INSIDE | OUTSIDE
    assert not INSIDE & OUTSIDE
    assert {state for move, end in INSIDE_MOVES.items() for state in (move[0], end)} <= INSIDE
    assert {state for move, end in OUTSIDE_MOVES.items() for state in (move[0], end)} <= OUTSIDE


def test_from_every_state_a_person_can_bring_an_instance_back_to_received():
    """FORWARDED and REJECTED are PASSED inside, and it is the inside row that starts a new round."""
    for state in INSIDE - {State.RECEIVED}:
        ends = {TRANSITIONS[state, event] for event in Event if (state, event) in TRANSITIONS}
        assert State.RECEIVED in ends


def test_whatever_leads_back_to_received_starts_a_new_round():
    back = {event for (_, event), end in TRANSITIONS.items() if end is State.RECEIVED}

    assert {event for event in Event if starts_new_round(event)} == back


def test_a_person_is_shown_every_state_but_passed():
    assert set(VISIBLE) == set(State) - {State.PASSED}


def test_nothing_leaves_a_state_that_waits_for_the_machine_by_an_operator():
    by_operators = {Event.RELEASED, Event.REPLAYED, Event.DROPPED, Event.IDENTITY_CAME}

    assert [move for move in TRANSITIONS if move[0] in WAITS_FOR_THE_MACHINE and move[1] in by_operators] == []
