"""What a person asks is decided by what the outside has settled, not by what the inside happened to know."""

import pytest

from appliance.reasons import Reason
from appliance.services.follow import Follower
from appliance.services.operator import Operator
from appliance.spool.requests import Requests
from tests.make.spooled import House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path / "var")
    yield found
    found.close()


@pytest.fixture
def ask(house):
    """Ask the de-identify service's operator and return its answer."""
    requests = Requests(house.root / "requests")
    operator = Operator(house.spool, requests, follow=Follower(house.spool, house.outbox).catch_up)

    def call(verb, *ids):
        request_id = requests.ask("deidentify", verb, {"ids": list(ids), "by": "ida"})
        operator.step()
        return requests.wait("deidentify", request_id, 1.0)

    return call


def test_what_was_forwarded_a_moment_ago_can_be_replayed(house, ask):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.deliver()

    answer = ask("replay", instance.id)

    assert answer == {"done": 1, "refused": {}}
    assert house.instance(instance.id).round == 2


def test_what_was_refused_a_moment_ago_can_be_released_by_id_and_by_reason(house, ask):
    first, second = house.receive(1, 2)
    house.pass_on([first, second])
    for parcel in house.parcels():
        house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "")

    assert ask("release", first.id) == {"done": 1, "refused": {}}
    assert [house.instance(each.id).round for each in (first, second)] == [2, 1]
    assert [each.id for each in house.spool.waiting_for(Reason.DESTINATION_REFUSED)] == [second.id]


def test_what_waits_outside_is_not_replayed_and_that_is_said(house, ask):
    (instance,) = house.receive(1)
    house.pass_on([instance])

    answer = ask("replay", instance.id)

    assert answer["done"] == 0
    assert "is READY and can't be replayed" in answer["refused"][instance.id]
