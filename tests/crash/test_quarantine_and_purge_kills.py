"""kill -9 at each durable step of the moves that are no delivery: quarantine, duplicates, decisions, purging."""

import pytest

from appliance.lifecycle import State
from appliance.spool.inside import Spool
from appliance.spool.requests import Requests
from tests.crash.house import House
from tests.crash.killing import KillPoint
from tests.make.make import ct
from tests.peers.fake_cloud import FakeCloud

REACHED = {"commit rows": 9, "fsync a file": 3, "rename": 5, "fsync a folder": 8, "unlink": 3}
POINTS = [
    KillPoint(step, when, number)
    for step, numbers in REACHED.items()
    for number in range(1, numbers + 1)
    for when in ("before", "after")
]


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS, ids=str)
def test_what_waits_for_a_person_and_what_they_decide_survive_a_kill(point, tmp_path):
    risky = [ct(SOPInstanceUID=f"1.2.9.{number}", size=8, Manufacturer="Made for P000123") for number in range(2)]
    twice = ct(SOPInstanceUID="1.2.8.1", size=8)
    with FakeCloud() as cloud, House(tmp_path, cloud) as house:
        house.start("receive")
        house.start("forward")
        house.send([twice])
        house.send([twice])
        house.send(risky)
        house.start("deidentify", point)
        forwarded, waiting = {State.FORWARDED: 1, State.DISCARDED: 1}, {State.QUARANTINED: 2}
        house.wait_for(forwarded | waiting, alive="deidentify")

        house.wait_until(lambda: len(house.quarantined()) == 2, "not in the quarantine folder")
        first, second = house.quarantined()
        requests = Requests(tmp_path / "state" / "requests")
        requests.ask("deidentify", "release", {"ids": [first], "accept": "identifier-left", "by": "test"})
        requests.ask("deidentify", "discard", {"ids": [second], "by": "test"})
        house.wait_for({State.FORWARDED: 2, State.DISCARDED: 2}, alive="deidentify")

        # The row says it first, the file follows.
        house.wait_until(lambda: len(house.files("inside/received")) == 4, "an original is not where its row says")
        left = ("inside/quarantine", "inside/receiving", "outside/making", "outside/ready")
        house.wait_until(lambda: house.files(*left) == [], f"left over: {house.files(*left)}")
        assert len(cloud.instances()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("step", "number"), [("commit rows", 3), ("unlink", 1), ("unlink", 2), ("unlink", 3)])
def test_a_kill_while_purging_removes_nothing_that_is_still_needed(step, number, when, tmp_path):
    retention = {"originals_days": 0, "discarded_days": 7, "rows_days": 365}
    with FakeCloud() as cloud, House(tmp_path, cloud, retention=retention) as house:
        for role in ("receive", "deidentify", "forward"):
            house.start(role)
        house.send([house.another() for _ in range(3)])
        house.send([ct(SOPInstanceUID="1.2.9.1", size=8, Manufacturer="Made for P000123")])
        house.wait_for({State.FORWARDED: 3, State.QUARANTINED: 1})
        _wait_until_followed(house)

        house.start("purge", KillPoint(step, when, number))
        house.wait_until(lambda: house.has_ended("purge"), "the kill point was not reached")
        house.start("purge")
        house.wait_until(lambda: house.files("inside/received") == [], "the originals were not purged")

        assert [path.suffix for path in house.files("inside/quarantine")].count(".dcm") == 1
        assert len(cloud.instances()) == 3


def _wait_until_followed(house: House) -> None:
    """Until the journal knows what the outside delivered."""
    spool = Spool(house.folder / "state" / "inside", reserve_bytes=0)
    house.wait_until(
        lambda: sum(count.n for count in spool.counts() if count.outside == State.FORWARDED) == 3, "never followed"
    )
    spool.close()


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(("step", "number"), [("commit the mapping", 1), ("commit rows", 2), ("commit rows", 3)])
def test_nothing_of_a_study_with_two_patient_ids_leaves_because_of_a_kill(step, number, when, tmp_path):
    first, second = (ct(patient_id=f"P{n}", StudyInstanceUID="1.2.7", SOPInstanceUID=f"1.2.7.{n}") for n in (1, 2))
    with FakeCloud() as cloud, House(tmp_path, cloud) as house:
        house.start("receive")
        house.start("deidentify")
        house.send([first])
        house.wait_for({State.READY: 1})
        house.kill("deidentify")
        house.send([second])

        house.start("deidentify", KillPoint(step, when, number))
        house.wait_for({State.REJECTED: 1, State.QUARANTINED: 1}, alive="deidentify")
        house.start("forward")
        house.wait_until(lambda: house.files("outside/ready", "outside/making") == [], "something may still leave")

        house.wait_for({State.REJECTED: 1, State.QUARANTINED: 1}, alive="deidentify")
        assert len(cloud.instances()) == 0
