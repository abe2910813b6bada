"""Deliveries are numbered where it is asked, each once, and stay known when their instance is forgotten."""

import pytest

from appliance.reasons import Reason
from tests.make.spooled import CT, House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path)
    found.outbox.exports.keep(is_asked=True)
    yield found
    found.close()


def told(house, after=0):
    return [(each.destination, each.study, each.sop_class) for each in house.outbox.exports.since(after, 100)]


def test_each_delivery_is_numbered_when_its_destination_named_it_whatever_others_do(house):
    house.pass_on(house.receive(1), destinations=("research", "archive"))

    house.deliver("research")
    before = told(house)
    house.deliver("archive")

    assert before == [("research", "2.25.1", CT)]
    assert told(house) == [("research", "2.25.1", CT), ("archive", "2.25.1", CT)]
    assert told(house, after=1) == [("archive", "2.25.1", CT)]
    assert house.outbox.exports.newest() == 2


def test_nothing_is_numbered_where_nobody_asks(house):
    house.outbox.exports.keep(is_asked=False)
    house.pass_on(house.receive(1))
    house.deliver()
    off = told(house)
    house.outbox.exports.keep(is_asked=True)
    house.pass_on(house.receive(2))
    house.deliver()

    assert off == []
    assert len(told(house)) == 1


def test_a_delivery_that_was_stopped_and_arrived_all_the_same_is_numbered(house):
    [ready] = house.pass_on(house.receive(1))
    parcels = house.parcels()
    house.outbox.stop([ready.out], Reason.RECALLED)

    house.outbox.stored(parcels, "research", house.clock())

    assert len(told(house)) == 1


def test_a_delivery_is_still_known_when_its_instance_is_forgotten_and_is_forgotten_itself_after_its_time(house):
    house.pass_on(house.receive(1))
    house.deliver()
    with house.outbox.rows.database.writing(durably=True) as connection:
        connection.execute("DELETE FROM delivery")
        connection.execute("DELETE FROM instance")
    before = told(house)

    house.outbox.purge_rows(house.clock() + 1)

    assert len(before) == 1
    assert told(house) == []
    assert house.outbox.exports.newest() == 1


def test_an_outbox_of_the_version_before_keeps_its_rows_and_numbers_what_is_delivered_from_now_on(house):
    house.pass_on(house.receive(1))
    house.deliver()
    house.pass_on(house.receive(2))
    with house.outbox.rows.database.writing(durably=True) as connection:
        connection.execute("DROP TRIGGER export_insert")
        connection.execute("DROP TABLE export")
        connection.execute("PRAGMA user_version = 3")

    house.reopen()
    house.deliver()

    assert len(told(house)) == 1
    assert sum(each.n for each in house.outbox.rows.counts()) == 2
    assert house.outbox.rows.database.set_aside_to is None
