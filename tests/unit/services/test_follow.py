"""The inside follows what the outside settled."""

import pytest

from appliance.services.follow import EVERY_S, Follower
from tests.make.spooled import House


@pytest.fixture
def house(tmp_path):
    found = House(tmp_path / "var")
    yield found
    found.close()


@pytest.mark.parametrize("moved_s", [EVERY_S, -86_400.0, -0.5 * EVERY_S - 0.6])
def test_what_was_settled_is_followed_also_when_the_clock_was_set_back(house, moved_s):
    (instance,) = house.receive(1)
    follower = Follower(house.spool, house.outbox)
    now = house.clock()
    follower.step(now)
    house.pass_on([instance])
    house.deliver()

    follower.step(now + moved_s)

    assert house.spool.trace(instance.id)[0].outside == "FORWARDED"


def test_it_does_not_look_more_often_than_every_second(house, monkeypatch):
    follower = Follower(house.spool, house.outbox)
    now = house.clock()
    follower.step(now)
    looks = []
    monkeypatch.setattr(type(house.outbox), "settled_since", lambda *_: looks.append(1) or [])

    follower.step(now + 0.5 * EVERY_S)

    assert looks == []
