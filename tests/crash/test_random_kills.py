"""At least 200 kills at random times, under load."""

import random
import threading
import time

import pytest

from tests.crash.house import ROLES, House
from tests.peers.fake_cloud import FakeCloud
from tests.peers.patience import PATIENCE_S

KILLS = 200
SEED = 20261121  # which times, and whom: a failure can be looked at again


@pytest.mark.slow
def test_after_200_kills_at_random_times_under_load_nothing_is_lost_or_doubled(tmp_path):
    chance = random.Random(SEED)
    over = threading.Event()
    with FakeCloud() as cloud, House(tmp_path, cloud) as house:
        house.start_all()
        load = [threading.Thread(target=_load, args=(house, over, way)) for way in ("send", "drop")]
        for each in load:
            each.start()

        killed = 0
        # On a slow machine there are more kills, until there was a load.
        while killed < KILLS or (len(house.acknowledged) <= KILLS / 2 and killed < 10 * KILLS):
            killed += 1
            time.sleep(chance.uniform(0.02, 0.4))
            role = chance.choice(ROLES)
            house.kill(role)
            house.start(role)

        over.set()
        for each in load:
            each.join()
        house.wait_until_quiet(within_s=3 * PATIENCE_S)
        assert len(house.acknowledged) > KILLS / 2, "there was a load"
        house.check()


def _load(house: House, over: threading.Event, way: str) -> None:
    while not over.is_set():
        if way == "send":
            house.send([house.another() for _ in range(3)], within_s=10 * PATIENCE_S)
        else:
            house.drop([house.another("C")])
        time.sleep(0.1)
