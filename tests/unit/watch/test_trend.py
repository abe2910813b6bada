"""Rates and forecasts are made of what was seen, and nothing is said where too little is known."""

import pytest

from appliance.watch.trend import EVERY_S, HOUR_S, KEPT, Sample, Trend

GiB = 1024**3


class Seen:
    """A day at the machine: so many images an hour, so many bytes gone an hour."""

    def __init__(self, images=60, fills=GiB, free=100 * GiB):
        self.now, self._images, self._fills, self._free, self.looks = 0.0, images, fills, free, 0
        self.trend = Trend(self.look, lambda: self.now)

    def look(self, at):
        self.looks += 1
        hours = at / HOUR_S
        return Sample(at, {"received": self._images * hours}, {"inside": int(self._free - self._fills * hours)})

    def pass_by(self, seconds, every=EVERY_S):
        until = self.now + seconds
        while self.now < until:
            self.trend.step()
            self.now += every
        self.trend.step()


def test_a_rate_is_known_after_two_samples_and_is_of_the_last_hour():
    seen = Seen()
    assert seen.trend.per_hour("received") is None
    seen.trend.step()
    assert seen.trend.per_hour("received") is None

    seen.pass_by(3 * HOUR_S)

    assert seen.trend.per_hour("received") == pytest.approx(60)
    assert seen.trend.per_hour("to nowhere") == 0


def test_a_counter_that_began_anew_is_no_negative_rate():
    seen = Seen(images=-60)
    seen.pass_by(HOUR_S)

    assert seen.trend.per_hour("received") == 0


def test_the_disk_is_foretold_from_half_an_hour_on_and_down_to_the_reserve():
    seen = Seen()
    seen.pass_by(1200)
    assert seen.trend.hours_left("inside", 10 * GiB) is None

    seen.pass_by(2 * HOUR_S)

    assert seen.trend.hours_left("inside", 10 * GiB) == pytest.approx(90 - seen.now / HOUR_S, abs=0.1)
    assert seen.trend.hours_left("outside", 0) is None


@pytest.mark.parametrize("fills", [0, -GiB])
def test_a_disk_that_does_not_fill_has_no_end(fills):
    seen = Seen(fills=fills)
    seen.pass_by(2 * HOUR_S)

    assert seen.trend.hours_left("inside", 0) is None


def test_it_is_looked_once_a_minute_and_six_hours_are_remembered():
    seen = Seen()
    seen.pass_by(7 * HOUR_S, every=10)

    assert seen.looks == 7 * 60 + 1
    assert len(seen.trend._samples) == KEPT


def test_a_clock_that_was_set_back_begins_it_anew():
    seen = Seen()
    seen.pass_by(HOUR_S)
    seen.now -= HOUR_S / 2
    seen.trend.step()

    assert seen.trend.per_hour("received") is None
