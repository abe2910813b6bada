"""Once a day every image that waits is looked for on the disk, and every row is counted."""

import pytest

from appliance.reasons import Reason
from appliance.services.books import EVERY_S, Books
from tests.make.spooled import House


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def compared(house):
    """Lets the books be compared; returns what was told, or None if they were not."""
    told = []
    books = Books(house.spool, lambda missing, uncounted: told.append((missing, uncounted)))

    def compare():
        told.clear()
        while books.step(house.clock()):
            pass
        return told[0] if told else None

    return compare


def lose(house, instance):
    house.spool.layout.find(instance.id).unlink()


def test_where_every_image_has_its_file_nothing_is_told_to_be_wrong(house, compared):
    house.receive(1)
    sent, _ready, refused = house.receive(2, 3, 4)
    house.pass_on([sent])
    house.deliver()
    house.follow()
    house.spool.quarantine(refused, Reason.NO_PATIENT_ID, "")

    assert compared() == ({}, 0)


def test_each_image_that_waits_and_is_gone_is_told_by_its_state(house, compared):
    received, held, quarantined, ready = house.receive(1, 2, 3, 4)
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "")
    house.pass_on([ready])
    for each in (received, held, quarantined, ready):
        lose(house, each)

    assert compared() == ({"RECEIVED": 1, "HELD": 1, "QUARANTINED": 1, "READY": 1}, 0)


def test_what_was_delivered_or_is_known_to_be_gone_is_no_fault(house, compared):
    delivered, known = house.receive(1, 2)
    house.pass_on([delivered])
    house.deliver()
    house.follow()
    house.spool.quarantine(known, Reason.ORIGINAL_MISSING, "")
    lose(house, delivered)
    lose(house, known)

    assert compared() == ({}, 0)


def test_they_are_compared_once_a_day_and_page_by_page(house, compared, monkeypatch):
    monkeypatch.setattr("appliance.services.books.PAGE", 2)
    instances = house.receive(*range(5))
    lose(house, instances[4])
    assert compared() == ({"RECEIVED": 1}, 0)

    assert compared() is None
    house.clock.now += EVERY_S - 1
    assert compared() is None
    house.clock.now += 1
    assert compared() == ({"RECEIVED": 1}, 0)


def test_an_image_that_moves_between_row_and_look_is_not_missed(house, compared, monkeypatch):
    (instance,) = house.receive(1)
    real, looks = house.spool.layout.find, []

    def moving(spool_id):
        looks.append(spool_id)
        return None if len(looks) == 1 else real(spool_id)

    monkeypatch.setattr(house.spool.layout, "find", moving)

    assert compared() == ({}, 0)
    assert looks == [instance.id] * 2


def test_a_row_that_nobody_counted_is_told(house, compared):
    house.receive(1, 2)
    with house.spool.journal.database.writing(durably=True) as connection:
        connection.execute("UPDATE tally SET n = n - 1")

    assert compared() == ({}, 1)
