"""A lane begins nothing that was stopped since it was claimed."""

import queue

from appliance.outlet.batch_size import BatchSize
from appliance.outlet.breaker import Breaker
from appliance.outlet.destination import Receipt, Stored
from appliance.services.carrier import Delivered
from appliance.services.lane import Lane
from appliance.spool.recalls import Wanted
from tests.make.spooled import House


class Patient:
    """Stores what it is given."""

    def __init__(self):
        self.given = []

    def deliver(self, parcels):
        self.given += [parcel.out for parcel in parcels]
        return Receipt({parcel.out: Stored() for parcel in parcels})

    def close(self):
        pass


def test_what_was_claimed_and_not_begun_is_let_go_when_it_is_recalled(tmp_path):
    house = House(tmp_path)
    first, second = house.pass_on(house.receive(1, 2))
    house.parcels()  # tried before, so that each goes alone
    destination, done = Patient(), queue.SimpleQueue[Delivered]()
    breaker = Breaker(lambda: 0.0, lambda: 0.0)
    lane = Lane(
        "research",
        [destination],
        done,
        breaker,
        BatchSize(most_instances=10, most_bytes=10**9),
        keeps=True,
        proves=False,
    )
    lane.start()
    assert lane.hand_out(house.outbox, house.clock()) == 1
    lane.came_back(done.get(timeout=30))
    house.outbox.recall(Wanted(studies=("2.25.1",)), ["research"])

    assert second.out in lane.in_hand
    lane.reconsider(house.outbox)

    assert second.out not in lane.in_hand
    assert lane.hand_out(house.outbox, house.clock()) == 0
    assert destination.given == [first.out]
    lane.stop()
    house.close()
