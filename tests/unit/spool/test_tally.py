"""One function counts, and it adds up."""

from appliance.lifecycle import VISIBLE, State
from appliance.reasons import Reason
from appliance.spool.journal_view import InsideCount
from appliance.spool.tally import Tally, tally
from tests.make.spooled import House


def counted(house: House) -> Tally:
    outside = house.outbox.counts()
    return tally(house.spool.counts(), outside)


def seen(house: House) -> dict[str, int]:
    found = counted(house)
    assert set(found.states) == set(VISIBLE)
    assert found.received == sum(found.states.values())
    return {state.value: n for state, n in found.states.items() if n}


def test_every_instance_is_counted_where_it_is(house):
    _waiting, held, bad, excluded, ready, stored, refused = house.receive(*range(1, 8))
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    house.spool.quarantine(bad, Reason.MALFORMED, "")
    house.spool.exclude(excluded, Reason.DUPLICATE, "")
    house.pass_on([stored, refused])
    first, second = house.parcels()
    house.outbox.stored([first], "research", 0)
    house.outbox.refused(second, "research", Reason.DESTINATION_REFUSED, "")
    house.pass_on([ready])

    assert seen(house) == dict.fromkeys([state.value for state in VISIBLE], 1)
    house.follow()
    assert seen(house) == dict.fromkeys([state.value for state in VISIBLE], 1)
    found = counted(house)
    assert found.by_source[State.HELD, "CT1"] == 1
    assert found.by_reason == {
        (State.HELD, "no-identity-yet"): 1,
        (State.QUARANTINED, "malformed"): 1,
        (State.DISCARDED, "duplicate"): 1,
        (State.REJECTED, "destination-refused"): 1,
    }


def test_within_a_round_the_outside_wins(house):
    instances = house.receive(1, 2)
    house.admit(instances)
    assert seen(house) == {"READY": 2}

    house.deliver()

    assert seen(house) == {"FORWARDED": 2}


def test_the_higher_round_wins(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.deliver()
    house.follow()
    house.spool.replay(instance.id)
    assert seen(house) == {"RECEIVED": 1}

    house.admit([house.instance(instance.id)])
    assert seen(house)["READY"] == 1
    house.pass_on([house.instance(instance.id)])

    assert seen(house) == {"READY": 1}


def test_a_rejected_one_that_was_discarded_is_counted_once(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")
    house.follow()

    house.spool.discard(instance.id)
    assert seen(house) == {"DISCARDED": 1}
    outs = house.spool.withdrawable(10)
    house.outbox.withdraw(outs)
    house.spool.withdrawn(outs)

    assert seen(house) == {"DISCARDED": 1}


def test_rows_that_the_outside_has_purged_still_count_as_forwarded(house):
    house.pass_on(house.receive(1))
    house.deliver()
    house.follow()

    house.outbox.purge_rows(house.clock() + 1)

    assert seen(house) == {"FORWARDED": 1}


def test_counts_read_at_different_moments_still_add_up():
    inside = [InsideCount(State.RECEIVED, "", "CT1", "", 1)]

    assert tally(inside, []).received == 1
