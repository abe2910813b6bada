"""Moving dates: intervals survive, the time of day too; what is no date is never passed on as one."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.deid.dates import capped_age, is_time, is_zone, shifted_date, shifted_date_time

days = st.integers(-36524, 36524)
dates = st.dates(date(1901, 1, 1), date(2099, 12, 31))
clocks = st.sampled_from(["", "10", "1011", "101112", "101112.5", "101112.123456"])
zones = st.sampled_from(["", "+0100", "-0930"])


def day_of(text):
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))


@given(dates, dates, st.integers(-30000, 30000))
def test_intervals_between_dates_survive(first, second, offset):
    one, two = (shifted_date(f"{day:%Y%m%d}", offset) for day in (first, second))

    assert day_of(two) - day_of(one) == second - first


@given(dates, clocks, zones, st.integers(-30000, 30000))
def test_a_date_time_moves_by_whole_days_and_keeps_time_and_zone(day, clock, zone, offset):
    moved = shifted_date_time(f"{day:%Y%m%d}{clock}{zone}", offset)

    assert day_of(moved) == day + timedelta(days=offset)
    assert moved[8:] == clock + zone


@given(dates, st.integers(-30000, 30000))
def test_a_partial_date_keeps_its_precision(day, offset):
    assert len(shifted_date(f"{day:%Y%m}", offset)) == 6
    assert len(shifted_date(f"{day:%Y}", offset)) == 4
    assert len(shifted_date_time(f"{day:%Y%m}", offset)) == 6


@given(dates, dates, days)
def test_both_ends_of_a_range_move_alike(first, second, offset):
    moved = shifted_date(f"{first:%Y%m%d}-{second:%Y%m%d}", offset)

    one, two = (shifted_date(f"{day:%Y%m%d}", offset) for day in (first, second))
    assert moved == f"{one}-{two}"


@given(st.text(max_size=20), days)
def test_what_comes_back_is_a_date_or_nothing(text, offset):
    for moved in (shifted_date(text, offset), shifted_date_time(text, offset)):
        assert moved is None or all(letter in "0123456789.-+" for letter in moved)


@pytest.mark.parametrize("text", ["20230229", "2023022", "SMITH", "20230101 John", "-", "00000101", "20231301"])
def test_what_is_no_date_is_not_moved(text):
    assert shifted_date(text, -10) is None


@pytest.mark.parametrize("text", ["20230101256199", "2023011x", "202301011", "2023.01.01", "20230230", "2023 Anna"])
def test_what_is_no_date_time_is_not_moved(text):
    assert shifted_date_time(text, -10) is None


def test_old_and_open_forms_move():
    assert shifted_date("2024.03.01", -1) == "2024.02.29"
    assert shifted_date("20240301-", -1) == "20240229-"
    assert shifted_date(" ", 5) == ""
    assert shifted_date_time(" ", 5) == ""
    assert shifted_date("99991231", 1) is None


@pytest.mark.parametrize(("text", "fits"), [("101112", True), ("10:11", True), ("235960.1", True), ("10-12", True)])
def test_a_time_is_known(text, fits):
    assert is_time(text) is fits


@pytest.mark.parametrize("text", ["2500", "1060", "10111", "Anna", "1-2-3"])
def test_what_is_no_time_is_not_taken_for_one(text):
    assert not is_time(text)


def test_zones_and_ages():
    assert is_zone("+0100") and is_zone("-1200") and not is_zone("+2500") and not is_zone("Ulm")
    assert [capped_age(text) for text in ("089Y", "090Y", "101Y", "099W", "1100M")] == [
        "089Y",
        "090Y",
        "090Y",
        "099W",
        None,
    ]
    assert capped_age("Anna") is None
