"""What waits by age, and the newest studies, as a page shows them."""

import pytest

from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.missing import Delivered
from appliance.spool.overview import Overview
from appliance.spool.shape import DAY_S, HOUR_S
from tests.make.spooled import BEGAN, House

NOW = BEGAN.timestamp()


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def overview(house):
    made = Overview(house.root)
    yield made
    made.close()


def ages(overview, now):
    return {state: found for state, found in overview.by_age(overview.tally(), now).items() if any(found)}


@pytest.mark.parametrize(
    ("later", "where"), [(60, 0), (HOUR_S + 60, 1), (DAY_S + 60, 2), (7 * DAY_S + 60, 3), (400 * DAY_S, 3)]
)
def test_what_waits_is_told_by_how_long_ago_it_came(house, overview, later, where):
    house.clock.now = NOW
    _, held, quarantined, refused, ready = house.receive(0, 1, 2, 3, 4)
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "")
    house.pass_on([refused])
    (parcel,) = house.parcels()
    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "")
    house.follow()
    house.pass_on([ready])

    one = tuple(int(place == where) for place in range(4))
    assert ages(overview, NOW + later) == dict.fromkeys(
        (State.RECEIVED, State.HELD, State.QUARANTINED, State.REJECTED, State.READY), one
    )


def test_what_is_over_and_done_with_waits_no_more(house, overview):
    house.pass_on(house.receive(1))
    house.deliver()
    house.follow()

    assert ages(overview, NOW + HOUR_S) == {}


def test_studies_are_told_with_how_far_they_are_the_newest_first(house, overview):
    one, two = house.pass_on(house.receive(1, 2), study="2.25.10")
    house.deliver()
    house.pass_on(house.receive(3), study="2.25.11")
    house.pass_on(house.receive(4), study="2.25.10")
    uids = frozenset({one.sop_instance, two.sop_instance})
    house.outbox.missing.asked("research", Delivered("2.25.10", uids), {one.sop_instance}, house.clock())

    newest, other = overview.newest_studies(10)

    assert (newest.study, dict(newest.states), newest.missing) == ("2.25.10", {State.FORWARDED: 2, State.READY: 1}, 1)
    assert (other.study, dict(other.states), other.missing) == ("2.25.11", {State.READY: 1}, 0)
    assert [each.study for each in overview.newest_studies(1)] == ["2.25.10"]


def test_what_is_held_or_quarantined_is_told_of_its_study_as_far_as_that_is_known(house, overview):
    passed, held, quarantined, unread, alone = house.receive(0, 1, 2, 3, 4)
    house.pass_on([passed], study="2.25.10")
    house.clock.now += 60
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "", study="2.25.10")
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "", study="2.25.10")
    house.spool.quarantine(unread, Reason.NO_PATIENT_ID, "")
    house.clock.now += 60
    house.spool.quarantine(alone, Reason.NO_PATIENT_ID, "", study="2.25.11")

    newest, other = overview.newest_studies(10)

    assert (newest.study, dict(newest.states)) == ("2.25.11", {State.QUARANTINED: 1})
    assert (other.study, dict(other.states)) == ("2.25.10", {State.READY: 1, State.HELD: 1, State.QUARANTINED: 1})
    assert [each.study for each in overview.newest_studies(1)] == ["2.25.11"]


def test_what_was_released_waits_no_more(house, overview):
    (quarantined,) = house.receive(1)
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "", study="2.25.11")
    house.spool.release(quarantined.id)

    assert overview.newest_studies(10) == []


def test_before_anything_came_there_is_nothing(overview):
    assert overview.newest_studies(10) == []
    assert overview.newest_rules() == ""


def test_the_rules_are_those_of_the_newest_instance(house, overview):
    house.pass_on(house.receive(1), rules_digest="old")
    house.pass_on(house.receive(2), rules_digest="new")

    assert overview.newest_rules() == "new"


def test_a_journal_of_the_version_before_tells_what_is_withheld_by_study_too(house, overview):
    (quarantined,) = house.receive(1)
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "", study="2.25.11")
    with house.spool.journal.database.writing(durably=True) as connection:
        for index in ("withheld", "withheld_of"):
            connection.execute(f"DROP INDEX {index}")
        connection.execute("PRAGMA user_version = 2")

    house.reopen()

    assert [each.study for each in overview.newest_studies(1)] == ["2.25.11"]
    with house.spool.journal.database.reading() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT new_study FROM instance"
            " WHERE new_study <> '' AND state IN ('HELD', 'QUARANTINED') ORDER BY id DESC"
        ).fetchall()
    assert "withheld" in str([tuple(each) for each in plan])
