"""When destinations are asked what they have, and what becomes of the answers."""

import time

import pytest

from appliance.delivery import Reconciliation
from appliance.outlet.breaker import Breaker
from appliance.outlet.destination import Unavailable
from appliance.outlet.inventory import Absent, NotAnswered
from appliance.services.reconciling import DAY_S, HOUR_S, LATEST_S, Asker, Reconciling
from tests.make.spooled import House
from tests.peers.patience import PATIENCE_S


class Stock:
    """A destination's stock, as the test says."""

    def __init__(self):
        self.lost = set()
        self.trouble = None
        self.asked = []

    def absent(self, study, instances):
        self.asked.append(study)
        if isinstance(self.trouble, Exception):
            raise self.trouble
        return self.trouble or Absent(frozenset(instances) & self.lost)

    def close(self):
        pass


class Asking:
    """A house whose destination 'research' is asked."""

    def __init__(self, root):
        self.house = House(root)
        self.stock = Stock()
        self.open()

    def open(self, **wanted):
        breaker = Breaker(self.house.clock, lambda: 0.5)
        asker = Asker("research", self.stock, breaker, Reconciliation(**wanted))
        self.service = Reconciling(self.house.outbox, [asker], kept_s=7 * DAY_S, clock=self.house.clock)
        self.service.start()

    def deliver(self, *numbers, **more):
        ready = self.house.pass_on(self.house.receive(*numbers), **more)
        self.house.deliver()
        return ready

    def go_on(self, seconds=0.0):
        """Let time pass, then step until there is nothing to do."""
        self.house.clock.now += seconds
        asker = self.service._askers["research"]
        deadline = time.monotonic() + PATIENCE_S
        while self.service.step() or not asker.free:
            assert time.monotonic() < deadline

    def counts(self):
        return {state: n for state, n in self.house.outbox.missing.counts().get("research", {}).items() if n}


@pytest.fixture
def asking(tmp_path):
    made = Asking(tmp_path)
    yield made
    made.service.stop(PATIENCE_S)
    made.house.close()


def test_everything_is_asked_for_once_a_day(asking):
    asking.deliver(1, study="2.25.7")
    asking.deliver(2, study="2.25.8")
    asking.go_on(LATEST_S - 1)
    assert asking.stock.asked == []

    asking.go_on(1)
    asking.go_on(LATEST_S - 1)
    assert asking.stock.asked == ["2.25.7", "2.25.8"]

    asking.go_on(1)
    assert asking.stock.asked == ["2.25.7", "2.25.8"] * 2


def test_what_was_stored_just_now_or_long_ago_is_not_asked_for(asking):
    asking.deliver(1, study="2.25.7")
    asking.house.clock.now += 31 * DAY_S
    asking.deliver(2, study="2.25.8")

    asking.go_on()

    assert asking.stock.asked == []


def test_what_is_missing_is_looked_for_an_hour_later_and_made_again_if_it_still_is(asking):
    (ready,) = asking.deliver(1)
    asking.stock.lost = {ready.sop_instance}

    asking.go_on(LATEST_S)
    assert asking.counts() == {"MISSING": 1}
    asking.go_on(HOUR_S - 1)
    assert len(asking.stock.asked) == 1

    asking.go_on(1)
    assert asking.counts() == {"SENT_AGAIN": 1}
    assert asking.house.outbox.state(ready.out) is None  # the inside makes it again


def test_what_is_there_an_hour_later_was_never_lost(asking):
    (ready,) = asking.deliver(1)
    asking.stock.lost = {ready.sop_instance}
    asking.go_on(LATEST_S)

    asking.stock.lost.clear()
    asking.go_on(HOUR_S)

    assert asking.counts() == {"THERE": 1}


def test_more_than_a_site_allows_is_not_sent_again_without_a_person(asking, caplog):
    asking.open(send_again=2)
    made = asking.deliver(1, 2, 3)
    asking.stock.lost = {each.sop_instance for each in made}

    asking.go_on(LATEST_S)
    asking.go_on(HOUR_S)

    assert asking.counts() == {"MISSING": 3}
    assert "appliance reconcile research --send-again" in caplog.text
    assert asking.service.send_again("research") == 3
    assert asking.counts() == {"SENT_AGAIN": 3}


def test_what_lost_its_original_is_told_and_not_made_again(asking):
    (ready,) = asking.deliver(1)
    asking.house.clock.now += 7 * DAY_S
    asking.stock.lost = {ready.sop_instance}

    asking.go_on()
    asking.go_on(HOUR_S)

    assert asking.counts() == {"MISSING": 1}
    assert asking.service.send_again("research") == 0


@pytest.mark.parametrize("trouble", [Unavailable(None, "down."), NotAnswered(), RuntimeError("our bug")])
def test_who_does_not_answer_is_asked_on_where_the_round_stopped_and_nothing_counts_as_lost(asking, trouble, caplog):
    for number in (1, 2, 3):
        asking.deliver(number, study=f"2.25.{number}")
    asking.go_on(LATEST_S - 1)
    asking.stock.trouble = trouble
    asking.go_on(1)
    assert asking.stock.asked == ["2.25.1"]
    assert caplog.text

    asking.stock.trouble = None
    asking.go_on(2 * HOUR_S)

    assert asking.stock.asked == ["2.25.1", "2.25.1", "2.25.2", "2.25.3"]
    assert asking.counts() == {}


def test_a_person_has_it_asked_at_once(asking):
    asking.deliver(1)
    asking.go_on(2 * HOUR_S)

    assert asking.service.look_now("research")
    assert not asking.service.look_now("shelf")
    asking.go_on()

    assert asking.stock.asked == ["2.25.1"]


def test_a_round_that_a_stop_cut_off_begins_again(asking):
    asking.deliver(1)
    asking.go_on(LATEST_S - 1)
    asking.stock.trouble = Unavailable(None, "down.")
    asking.go_on(1)
    asking.service.stop(PATIENCE_S)

    asking.stock.trouble = None
    asking.open()
    asking.go_on()

    assert asking.stock.asked == ["2.25.1"] * 2


def test_a_clock_that_was_set_back_lets_it_be_asked_at_once_rather_than_never(asking):
    asking.deliver(1)
    asking.go_on(2 * LATEST_S)
    asking.house.clock.now -= 2 * LATEST_S - 2 * HOUR_S

    asking.go_on()

    assert len(asking.stock.asked) == 2
