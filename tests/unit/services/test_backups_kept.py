"""Which backups are kept, and which are as they were written."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from appliance.keeping import Backup
from appliance.mapping.sealed import digest
from appliance.services.backups_kept import Kept, damaged, kept, named, remember_digest, remove, too_many

NOW = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
WANTED = Backup(Path("/backups"), ("age1x",))


def at(moment):
    return Kept(named(Path("/backups"), "st", moment.timestamp()), moment.timestamp())


def left(found, wanted=WANTED):
    gone = too_many(found, wanted)
    return [each for each in found if each not in gone]


def test_of_two_years_of_nights_seven_days_four_weeks_and_twelve_months_are_left():
    nights = [at(NOW - timedelta(days=days)) for days in range(730)]

    ages = [(NOW.timestamp() - each.made) / 86_400 for each in left(nights)]

    assert ages[:7] == [0, 1, 2, 3, 4, 5, 6]
    moments = [NOW - timedelta(days=age) for age in ages]
    assert len({moment.isocalendar()[:2] for moment in moments[:10]}) == 4
    assert len({(moment.year, moment.month) for moment in moments}) == 12
    assert len(ages) <= 7 + 4 + 12
    assert max(ages) > 300


def test_it_comes_to_the_same_when_it_is_looked_at_every_night():
    found = []
    for days in range(400, -1, -1):
        found = left([*found, at(NOW - timedelta(days=days))])

    assert {each.made for each in found} == {
        each.made for each in left([at(NOW - timedelta(days=days)) for days in range(401)])
    }


def test_an_appliance_that_was_off_for_a_year_keeps_what_it_has():
    old = [at(NOW - timedelta(days=400 + days)) for days in range(3)]

    assert left(old) == old


def test_of_several_of_one_day_the_newest_is_kept_and_the_newest_of_all_always():
    day = [at(NOW + timedelta(hours=hours)) for hours in range(5)]

    assert left(day) == [day[-1]]
    assert left(day, Backup(Path("/backups"), ("age1x",), weekly=0, monthly=0)) == [day[-1]]


def test_only_this_site_s_backups_are_seen(tmp_path):
    mine = named(tmp_path, "st", NOW.timestamp())
    names = (mine.name, f"{mine.name}.sha256", f"{mine.name}.part", f"other-{mine.name}", "st-notes.age", "holiday.jpg")
    for name in names:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "st-20260101T000000Z.age").symlink_to(mine)

    assert [(each.file, each.made) for each in kept(tmp_path, "st")] == [(mine, NOW.timestamp())]


@pytest.fixture
def backup(tmp_path):
    file = named(tmp_path, "st", NOW.timestamp())
    file.write_bytes(b"sealed")
    remember_digest(file, digest(file))
    return Kept(file, NOW.timestamp())


def test_what_is_as_it_was_written_is_not_called_damaged(backup):
    assert damaged([backup]) == []


@pytest.mark.parametrize("harm", ["changed", "cut", "no digest", "digest of nothing", "gone"])
def test_what_is_not_as_it_was_written_is_named(backup, harm):
    match harm:
        case "changed":
            backup.file.write_bytes(b"sealee")
        case "cut":
            backup.file.write_bytes(b"seale")
        case "no digest":
            backup.digest_file.unlink()
        case "digest of nothing":
            backup.digest_file.write_bytes(b"")
        case "gone":
            backup.file.unlink()

    assert damaged([backup]) == [backup.file]


def test_one_goes_with_its_digest_and_may_go_twice(backup, tmp_path):
    remove(backup)
    remove(backup)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"recipients": ()}, "at least one public key"),
        ({"recipients": ("AGE-SECRET-KEY-1X",)}, "the private one stays off this machine"),
        ({"daily": 0}, "daily"),
        ({"monthly": -1}, "monthly"),
    ],
)
def test_a_configuration_that_would_keep_nothing_or_shows_the_private_key_is_refused(values, words):
    with pytest.raises(ValueError, match=words):
        Backup(**{"folder": Path("/backups"), "recipients": ("age1x",), **values})
