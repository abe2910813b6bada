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


def test_what_the_outside_refused_waits_for_a_person_as_soon_as_it_is_counted(house, overview):
    first, second, third = house.receive(1, 2, 3)
    house.pass_on([first, second, third])
    parcels = house.parcels()
    house.outbox.refused(parcels[1], "research", Reason.DESTINATION_REFUSED, "Failure 43264.")
    house.follow()
    house.outbox.refused(parcels[0], "research", Reason.DESTINATION_REFUSED, "Failure 43265.")
    house.outbox.refused(parcels[2], "research", Reason.TOO_LARGE_FOR_DESTINATION, "")

    before = [waiting(overview, reason) for reason in (Reason.DESTINATION_REFUSED, Reason.TOO_LARGE_FOR_DESTINATION)]

    counted = overview.tally().by_reason
    assert [len(each) for each in before] == [2, 1] == [n for _, n in sorted(counted.items())]
    assert {each.detail for each in before[0]} == {"research: Failure 43264.", "research: Failure 43265."}
    house.follow()
    assert before == [
        waiting(overview, reason) for reason in (Reason.DESTINATION_REFUSED, Reason.TOO_LARGE_FOR_DESTINATION)
    ]
    assert waiting(overview, Reason.DESTINATION_REFUSED, after=before[0][0].id) == before[0][1:]
    assert waiting(overview, Reason.DESTINATION_REFUSED, limit=1) == before[0][:1]


def test_before_anything_was_received_nothing_waits_for_a_person(tmp_path):
    looking = Overview(tmp_path)
    assert waiting(looking, Reason.DESTINATION_REFUSED) == []
    looking.close()


def waiting(overview, reason, *, after="", limit=10):
    return overview.waiting_for(reason, after=after, limit=limit)
