"""Paths and pauses."""

import pytest

from appliance.reasons import Reason
from appliance.spool.backoff import backoff
from appliance.spool.layout import SHARDS, Inside, Outside, shard
from tests.make.spooled import arrival, out_of


def test_names_spread_over_all_folders_and_always_the_same(tmp_path):
    inside = Inside(tmp_path)
    ids = [arrival(number).id for number in range(5000)]

    used = {inside.original(each).parent.name for each in ids}

    assert used == set(SHARDS)
    assert shard("20261120T181522123Z-CT1-k7f3q9") == "a4"


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", "x" * 60, "20261120T181522123Z-CT 1-k7f3q9"])
def test_no_path_is_made_from_a_name_that_is_not_ours(tmp_path, name):
    for make in (Inside(tmp_path).original, Outside(tmp_path).ready):
        with pytest.raises(ValueError, match="neither"):
            make(name)
    with pytest.raises(ValueError, match="neither"):
        Inside(tmp_path).quarantined(name, Reason.RULE)
    with pytest.raises(ValueError, match="neither"):
        Outside(tmp_path).rejected(name, Reason.RULE)


def test_folders_that_are_there_are_left_as_they_are(tmp_path):
    inside = Inside(tmp_path / "inside")
    inside.make()
    (inside.received / "51").chmod(0o700)

    inside.make()

    assert (inside.received / "51").stat().st_mode & 0o7777 == 0o700
    assert len(list(inside.shards())) == 256
    assert list(inside.reason_folders()) == []
    assert out_of("x") != out_of("x", 2)


def test_pauses_double_up_to_the_longest_and_are_never_all_the_same():
    assert [backoff(failures, 0.999999) for failures in (0, 1, 2, 3)] == pytest.approx([1, 1, 2, 4], rel=1e-3)
    assert backoff(3, 0.0) == 2.0
    assert backoff(10_000, 0.999999) <= 3600.0
    assert backoff(1, 0.0, shortest_s=10, longest_s=5) == 2.5
