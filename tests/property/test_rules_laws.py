"""Laws of what rules draw and move, for every value."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from appliance.deid.dates import shifted_date
from appliance.deid.drawn import Drawn
from appliance.deid.given import ByRules
from appliance.deid.placed import problem
from appliance.deid.pseudonyms import KeyedPseudonyms
from appliance.deid.times import moved_moment, moved_time
from appliance.deid.transforms import Reuse

KEYS = st.binary(min_size=16, max_size=32)
WORDS = st.text(max_size=20)
REUSES = st.sampled_from(list(Reuse))


def drawn(key, own=("d", "p"), study="1.2", series="1.3", instance="1.4"):
    return Drawn(KeyedPseudonyms(key, "st"), own, study, series, instance)


@given(KEYS, st.integers(1, 36_524), REUSES)
def test_a_shift_is_never_none_and_never_too_far(key, by, reuse):
    for shift in (drawn(key).days(by, reuse), drawn(key).seconds(by, reuse)):
        assert shift != 0 and abs(shift) <= by


@given(KEYS, WORDS, WORDS, REUSES)
def test_what_is_drawn_is_a_function_of_key_value_and_scope(key, one, two, reuse):
    first, second = (drawn(key).text(value, "LO", reuse, "here") for value in (one, two))

    assert first == drawn(key).text(one, "LO", reuse, "here")
    assert (first == second) == (one == two)


@given(KEYS, WORDS, st.sampled_from(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UR", "UT"]))
def test_what_is_drawn_is_a_value_of_its_vr(key, value, vr):
    new = drawn(key).text(value, vr, Reuse.NEVER, "here")

    assert new and not problem(new, vr)


@given(KEYS, WORDS, st.tuples(WORDS, WORDS), st.tuples(WORDS, WORDS))
def test_two_patients_never_share_what_is_drawn_for_one(key, value, one, two):
    texts = [drawn(key, own).text(value, "LO", Reuse.PATIENT, "") for own in (one, two)]

    assert (texts[0] == texts[1]) == (one == two)


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(-2000, 2000), st.integers(-3652, 3652))
def test_an_interval_survives_a_shift(day, apart, shift):
    one, two = day, day + timedelta(days=apart)

    moved = [shifted_date(f"{each:%Y%m%d}", shift) for each in (one, two)]

    assert moved == [f"{each + timedelta(days=shift):%Y%m%d}" for each in (one, two)]


@given(st.integers(0, 86_399), st.integers(-86_399, 86_399).filter(bool), st.sampled_from([2, 4, 6]))
def test_a_time_moves_always_and_keeps_its_form(second, by, length):
    text = f"{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"[:length]

    moved = moved_time(text, by)

    assert moved is not None and len(moved) == length and not problem(moved, "TM")
    if length == 6:
        assert moved != text and moved_time(moved, -by) == text


@given(st.integers(0, 10**9), st.integers(-10_000, 10_000).filter(bool))
def test_a_moment_moves_there_and_back(second, by):
    day = date(1990, 1, 1) + timedelta(seconds=second)
    text = f"{day:%Y%m%d}{second // 3600 % 24:02d}{second // 60 % 60:02d}{second % 60:02d}.25+0100"

    moved = moved_moment(text, by)

    assert moved is not None and moved != text and moved_moment(moved, -by) == text


@given(KEYS, st.text(alphabet="123456789", min_size=1, max_size=30), WORDS)
def test_a_prefixed_uid_is_a_uid_under_the_prefix(key, digits, original):
    uid = KeyedPseudonyms(key, "st").uid(original)

    rooted = ByRules(uid_prefix=f"1.2.{digits}.").rooted(uid)

    assert rooted.startswith(f"1.2.{digits}.") and not problem(rooted, "UI")
    assert ByRules().rooted(uid) == uid
