"""What must not leave any more is stopped, what has left is told, and what must go is removed for good."""

import pytest

from appliance.errors import RequestRefused
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.services.outside_operator import OutsideOperator
from appliance.services.reconciling import Reconciling
from appliance.spool.requests import Requests
from tests.make.spooled import House


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def left(house, study="2.25.1"):
    return [(each.out, each.destination, each.delivery) for each in house.outbox.rows.left([study])]


def test_what_waits_or_is_gated_is_stopped_and_its_file_lies_with_the_rejected(house):
    (first,) = house.pass_on(house.receive(1))
    (gated,) = house.pass_on(house.receive(2), gated=True)

    assert house.outbox.stop([first.out, gated.out, "a" * 32], Reason.OPTED_OUT) == 2
    assert house.outbox.stop([first.out], Reason.OPTED_OUT) == 0

    assert house.outbox.state(first.out) is house.outbox.state(gated.out) is State.REJECTED
    assert house.outbox.layout.rejected(first.out, Reason.OPTED_OUT).exists()
    assert house.parcels() == []


def test_what_one_destination_has_is_told_and_the_other_does_not_get_it(house):
    (ready,) = house.pass_on(house.receive(1), destinations=("research", "second"))
    house.deliver()

    assert house.outbox.stop([ready.out], Reason.FORGOTTEN) == 1

    assert left(house) == [(ready.out, "research", "STORED"), (ready.out, "second", "REFUSED")]
    assert left(house, "2.25.99") == []


def test_what_was_under_way_when_it_was_stopped_is_told_as_stored(house):
    (ready,) = house.pass_on(house.receive(1))
    parcels = house.parcels()
    house.outbox.stop([ready.out], Reason.OPTED_OUT)

    house.outbox.stored(parcels, "research", 1234.0)

    (delivery,) = house.outbox.rows.left(["2.25.1"])
    assert (delivery.delivery, delivery.at, delivery.state) == ("STORED", 1234.0, "REJECTED")


def test_a_refusal_by_the_destination_stays_one(house):
    (ready,) = house.pass_on(house.receive(1))
    parcels = house.parcels()
    house.outbox.refused(parcels[0], "research", Reason.DESTINATION_REFUSED, "")

    house.outbox.stored(parcels, "research", 1234.0)

    assert left(house) == [(ready.out, "research", "REFUSED")]


def test_stopping_is_asked_with_a_reason_that_stops(house, tmp_path):
    (ready,) = house.pass_on(house.receive(1))
    requests = Requests(tmp_path / "requests")
    operator = OutsideOperator(house.outbox, requests, {}, Reconciling(house.outbox, [], kept_s=0, clock=house.clock))

    def asked(**args):
        request_id = requests.ask("forward", "stop", args)
        operator.step()
        return requests.wait("forward", request_id, 1)

    assert "opted-out or forgotten" in asked(outs=[ready.out], reason="rule")["error"]
    assert asked(outs=[ready.out, 7, "../x"], reason="opted-out")["done"] == 1
    assert asked(outs="all", reason="opted-out")["done"] == 0


def test_an_original_is_erased_whatever_it_waits_for_and_cannot_come_back(house):
    held, quarantined, discarded, sent, rejected = house.receive(1, 2, 3, 4, 5)
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    house.spool.quarantine(quarantined, Reason.NO_PATIENT_ID, "")
    house.spool.exclude(discarded, Reason.DUPLICATE, "")
    (first,) = house.pass_on([sent])
    house.deliver()
    (second,) = house.pass_on([rejected])
    house.outbox.stop([second.out], Reason.FORGOTTEN)
    house.follow()

    for each in (held, quarantined, discarded, sent, rejected):
        house.spool.erase(each.id, by="anna")
        house.spool.erase(each.id, by="anna")

        assert house.spool.layout.find(each.id) is None
        with pytest.raises(RequestRefused, match="original-purged"):
            house.spool.release(each.id)
    assert house.outbox.state(first.out) is State.FORWARDED
    assert house.spool.withdrawable(10) == [second.out]


def test_what_is_on_its_way_is_not_erased_yet(house):
    received, ready = house.receive(1, 2)
    house.pass_on([ready])

    for each in (received, ready):
        with pytest.raises(RequestRefused, match=r"can't be erased.*goes on by itself"):
            house.spool.erase(each.id)
        assert house.spool.layout.find(each.id) is not None
