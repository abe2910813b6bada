from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.model import is_out_name, is_source, is_spool_id, spool_id


def test_an_id_tells_the_moment_in_utc_and_the_source():
    berlin = timezone(timedelta(hours=1))
    received = datetime(2026, 11, 20, 19, 15, 22, 123987, tzinfo=berlin)

    assert spool_id(received, "CT1", "k7f3q9") == "20261120T181522123Z-CT1-k7f3q9"


@given(
    st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.from_regex(r"[A-Za-z0-9_]{1,16}", fullmatch=True),
)
def test_every_id_that_is_made_is_known_as_one_and_ids_sort_by_arrival(received, source):
    made = spool_id(received, source, "aaaaaa")

    assert is_spool_id(made)
    assert made[:19] <= spool_id(received + timedelta(milliseconds=1), source, "aaaaaa")[:19] or received.year == 9999


def test_a_moment_without_a_time_zone_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        spool_id(datetime(2026, 1, 1), "CT1", "aaaaaa")  # noqa: DTZ001 - that is what is refused


@pytest.mark.parametrize(
    "source", ["", "A" * 17, "../../etc", "CT 1", "CT-1", "Ärzte", "CT1\n", "\N{ARABIC-INDIC DIGIT THREE}"]
)
def test_what_could_be_a_path_or_a_name_is_no_source(source):
    assert not is_source(source)
    with pytest.raises(ValueError, match="source"):
        spool_id(datetime(2026, 1, 1, tzinfo=UTC), source, "aaaaaa")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261120T181522123Z-CT1-k7f3q9\n",
        "20261120T181522123Z-CT1-../../x",
        "20261120T181522123Z-CT1-k7f3q9.dcm",
        "\N{ARABIC-INDIC DIGIT TWO}\N{ARABIC-INDIC DIGIT ZERO}261120T181522123Z-CT1-k7f3q9",
        "20261120T181522123-CT1-k7f3q9",
    ],
)
def test_what_only_looks_like_an_id_is_none(text):
    assert not is_spool_id(text)


@pytest.mark.parametrize("text", ["", "a" * 25, "a" * 53, "A" * 26, "a" * 25 + "/", "a" * 25 + "1", "a" * 26 + "\n"])
def test_what_is_no_outside_name_is_refused(text):
    assert not is_out_name(text)


def test_an_outside_name_is_lower_case_base32():
    assert is_out_name("abcdefghijklmnopqrstuvwx27")
