"""Same key, same original: same pseudonym. Different key: unrelated. Nothing meets that should not."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from appliance.deid.pseudonyms import DayRange, KeyedPseudonyms, keyed, out_name, project_key
from appliance.deid.uids import is_uid
from appliance.model import is_out_name

texts = st.text(min_size=1, max_size=64)
keys = st.binary(min_size=16, max_size=40)
ranges = st.tuples(st.integers(-36524, 36524), st.integers(-36524, 36524)).filter(
    lambda r: r[0] <= r[1] and r != (0, 0)
)


@given(keys, texts)
def test_a_uid_has_the_form_of_a_uid_and_is_always_the_same(key, original):
    made = KeyedPseudonyms(key, "st").uid(original)

    assert is_uid(made) and made.startswith("2.25.") and not made.startswith("2.25.0")
    assert made == KeyedPseudonyms(key, "elsewhere").uid(original)


@given(keys, keys, texts)
def test_another_key_gives_unrelated_pseudonyms(key, other, original):
    assume(key != other)
    one, two = KeyedPseudonyms(key, "st"), KeyedPseudonyms(other, "st")

    assert one.uid(original) != two.uid(original)
    assert one.patient("site", original, DayRange()).id != two.patient("site", original, DayRange()).id
    assert one.text("x", original) != two.text("x", original)


@given(keys, texts, texts, texts)
def test_the_same_number_in_two_domains_is_two_patients(key, number, domain, other):
    assume(domain != other)
    made = KeyedPseudonyms(key, "st")

    assert made.patient(domain, number, DayRange()).id != made.patient(other, number, DayRange()).id


@given(keys, texts, texts)
def test_parts_that_run_together_alike_do_not_meet(key, first, second):
    assert keyed(key, "x", first, second) != keyed(key, "x", first + second)
    assert keyed(key, "x", first + second, "") != keyed(key, "x", first, second)


@given(ranges, st.integers(min_value=0))
def test_an_offset_is_within_its_range_and_never_zero(bounds, number):
    days = DayRange(*bounds).choose(number)

    assert bounds[0] <= days <= bounds[1] and days != 0


@given(st.integers(-40, 40), st.integers(-40, 40))
def test_every_day_of_a_range_but_zero_can_be_drawn(lowest, highest):
    assume(lowest <= highest and (lowest, highest) != (0, 0))
    shift = DayRange(lowest, highest)

    drawn = {shift.choose(number) for number in range(shift.choices)}

    assert drawn == set(range(lowest, highest + 1)) - {0}


@given(keys, texts, st.integers(1, 1000))
def test_an_outside_name_is_opaque_repeatable_and_another_in_each_round(key, spool_id, round_):
    name = out_name(key, spool_id, round_)

    assert is_out_name(name)
    assert name == out_name(key, spool_id, round_) != out_name(key, spool_id, round_ + 1)


@given(keys, texts, texts)
def test_a_project_s_key_is_unlinkable_to_the_site_s(key, project, original):
    own = KeyedPseudonyms(project_key(key, project), "st")

    assert own.uid(original) != KeyedPseudonyms(key, "st").uid(original)


def test_a_key_is_long_enough_and_never_shown():
    with pytest.raises(ValueError, match="at least 16 bytes"):
        KeyedPseudonyms(b"short", "st")
    assert "secret" not in repr(KeyedPseudonyms(b"secret" * 4, "st"))


@pytest.mark.parametrize("bounds", [(1, 0), (0, 0), (-40000, 0)])
def test_a_range_that_draws_nothing_sensible_is_refused(bounds):
    with pytest.raises(ValueError, match="shift"):
        DayRange(*bounds)
