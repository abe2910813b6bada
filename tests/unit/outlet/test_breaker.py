"""When a destination is tried, and when it is left alone."""

from itertools import pairwise

import pytest

from appliance.outlet.breaker import FIRST_S, LONGEST_ASKED_S, LONGEST_S, TOLERATED, Breaker, BreakerState


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock, chance=lambda: 0.999)


def open_it(breaker, after_s=None):
    permit = breaker.permit()
    assert permit is not None
    breaker.failed(permit, after_s, "it answered 503")


def test_a_sure_trouble_opens_at_once_and_says_why(breaker):
    open_it(breaker)

    assert breaker.state is BreakerState.OPEN
    assert breaker.permit() is None
    assert breaker.why == "it answered 503"


def test_an_unsure_trouble_opens_only_after_a_few_in_a_row(breaker):
    for _ in range(TOLERATED - 1):
        breaker.failed(breaker.permit(), None, "500", sure=False)
    assert breaker.state is BreakerState.CLOSED

    breaker.failed(breaker.permit(), None, "500", sure=False)

    assert breaker.state is BreakerState.OPEN


def test_a_success_between_unsure_troubles_keeps_it_closed(breaker):
    for _ in range(10):
        breaker.failed(breaker.permit(), None, "500", sure=False)
        breaker.worked(breaker.permit())

    assert breaker.state is BreakerState.CLOSED


def test_after_the_pause_exactly_one_delivery_may_probe(breaker, clock):
    open_it(breaker)
    clock.now += FIRST_S

    probe = breaker.permit()

    assert probe is not None
    assert probe.probe
    assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.permit() is None


def test_a_probe_that_worked_closes_it(breaker, clock):
    open_it(breaker)
    clock.now += FIRST_S

    breaker.worked(breaker.permit())

    assert breaker.state is BreakerState.CLOSED
    assert breaker.why == ""


def test_each_failed_probe_doubles_the_pause_up_to_the_longest(breaker, clock):
    pauses = []
    for _ in range(15):
        open_it(breaker)
        pauses.append(breaker.waits_s)
        clock.now += breaker.waits_s

    assert pauses[0] <= FIRST_S
    assert all(later == pytest.approx(2 * earlier) for earlier, later in pairwise(pauses[:8]))
    assert max(pauses) <= LONGEST_S


def test_chance_spreads_the_pauses_of_appliances_that_failed_together(clock):
    early, late = Breaker(clock, lambda: 0.0), Breaker(clock, lambda: 0.999)

    open_it(early)
    open_it(late)

    assert early.waits_s == pytest.approx(FIRST_S / 2)
    assert late.waits_s > early.waits_s


def test_retry_after_is_waited_for_but_not_for_ever(breaker, clock):
    open_it(breaker, after_s=120)
    assert 120 <= breaker.waits_s <= 121

    clock.now += 121
    open_it(breaker, after_s=10_000_000)

    assert breaker.waits_s <= LONGEST_ASKED_S + 1


def test_a_probe_without_work_leaves_the_next_probe_to_the_next_who_asks(breaker, clock):
    open_it(breaker)
    clock.now += FIRST_S
    breaker.unused(breaker.permit())

    again = breaker.permit()

    assert again is not None
    assert again.probe


def test_deliveries_begun_before_it_opened_decide_nothing(breaker, clock):
    first, second, third = breaker.permit(), breaker.permit(), breaker.permit()
    breaker.failed(first, None, "it can't be reached")
    waits = breaker.waits_s

    breaker.failed(second, None, "it can't be reached")
    breaker.worked(third)

    assert breaker.state is BreakerState.OPEN
    assert breaker.waits_s == waits


def test_an_operator_can_have_it_tried_at_once(breaker):
    open_it(breaker, after_s=600)

    breaker.reset()

    assert breaker.permit() is not None
