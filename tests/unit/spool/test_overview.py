"""What both sides' rows say together, before the inside has followed the outside too."""

import pytest

from appliance.reasons import Reason
from appliance.spool.overview import Overview


@pytest.fixture
def overview(house):
    looking = Overview(house.root)
    yield looking
    looking.close()


def test_a_trace_says_forwarded_as_soon_as_the_outside_does(house, overview):
    (instance,) = house.receive(1)
    house.pass_on([instance])

    house.deliver()

    ((trace, deliveries),) = overview.trace(instance.id)
    assert trace.outside == "FORWARDED"
    assert [delivery.state for delivery in deliveries] == ["STORED"]


def test_a_trace_says_rejected_with_the_reason_as_soon_as_the_outside_does(house, overview):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    (parcel,) = house.parcels()

    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "Failure 43264.")

    ((trace, _),) = overview.trace(instance.id)
    assert trace.outside == "REJECTED"
    assert (trace.instance.reason, trace.instance.detail) == ("destination-refused", "research: Failure 43264.")


def test_a_trace_of_what_was_followed_says_the_same(house, overview):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    (parcel,) = house.parcels()
    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "Failure 43264.")
    ((before, _),) = overview.trace(instance.id)

    house.follow()

    ((after, _),) = overview.trace(instance.id)
    assert (after.outside, after.instance.reason) == (before.outside, before.instance.reason)
    assert after.instance.detail == before.instance.detail


def test_a_trace_of_what_waits_outside_says_so(house, overview):
    (instance,) = house.receive(1)

    house.pass_on([instance])

    ((trace, deliveries),) = overview.trace(instance.id)
    assert trace.outside == ""
    assert [delivery.state for delivery in deliveries] == ["WAITING"]


def test_a_round_that_the_inside_has_left_says_nothing_of_the_new_one(house, overview):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.deliver()
    house.follow()

    house.spool.replay(instance.id, by="ida")

    ((trace, _),) = overview.trace(instance.id)
    assert (trace.instance.state.value, trace.instance.round) == ("RECEIVED", 2)
