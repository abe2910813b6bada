import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import partial

import pytest

from appliance.services import pool as pool_module
from appliance.services.pool import Died, Finished, Overran, Pool
from tests.peers.patience import PATIENCE_S


def equip(factor: int, alive: Callable[[], None]) -> tuple[int, Callable[[], None]]:
    pool_module.BEAT_S = 0.0
    return factor, alive


def work(equipment: tuple[int, Callable[[], None]], job: str | int) -> int:
    factor, alive = equipment
    if job == "step by step":
        for _ in range(24):
            time.sleep(0.25)
            alive()
        return 0
    if job == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if job == "hang":
        time.sleep(3600)
    if job == "slow":
        time.sleep(0.5)
        return 0
    return factor * int(job)


def run(
    pool: Pool[str | int, int], jobs: list[str | int]
) -> list[Finished[str | int, int] | Died[str | int] | Overran[str | int]]:
    waiting, came = list(jobs), []
    while waiting or pool.in_hand:
        while waiting and pool.room > 0:
            pool.give(waiting.pop(0))
        came += pool.take(1.0)
    return came


@pytest.fixture
def pool():
    pool = Pool(2, partial(equip, 2), work, timeout_s=PATIENCE_S)
    pool.start()
    yield pool
    pool.stop()


def test_every_job_comes_back_once(pool):
    came = run(pool, list(range(50)))

    assert sorted(each.result for each in came) == [2 * number for number in range(50)]


def test_a_job_that_kills_its_worker_is_named_and_its_neighbours_come_back(pool):
    came = run(pool, [1, "die", 2, 3, 4, 5])

    assert [each.job for each in came if isinstance(each, Died)] == ["die"]
    assert sorted(each.result for each in came if isinstance(each, Finished)) == [2, 4, 6, 8, 10]


def test_the_signal_that_ended_a_worker_is_told(pool):
    [died] = run(pool, ["die"])

    assert died == Died("die", -signal.SIGKILL)


def test_a_job_that_takes_too_long_is_ended_and_its_neighbours_come_back(pool):
    run(pool, [1, 1])  # the workers have begun: what that takes counts for the first job

    pool._timeout_s = 3.0
    came = run(pool, [1, "hang", 2, 3])

    assert [each.job for each in came if isinstance(each, Overran)] == ["hang"]
    assert sorted(each.result for each in came if isinstance(each, Finished)) == [2, 4, 6]


def test_a_job_may_take_long_while_it_gives_signs_of_life(pool):
    run(pool, [1, 1])

    pool._timeout_s = 3.0  # half of what it takes
    came = run(pool, ["step by step", 2])

    assert {each.job: each.result for each in came if isinstance(each, Finished)} == {"step by step": 0, 2: 4}


def test_signs_of_life_are_few(pool):
    ours, theirs = multiprocessing.Pipe()
    beat = pool_module._Beat(theirs)

    for _ in range(100_000):
        beat()

    assert not ours.poll()


def test_after_many_deaths_the_pool_still_works(pool):
    came = run(pool, ["die", 1] * 6)

    assert sum(isinstance(each, Died) for each in came) == 6
    assert [each.result for each in came if isinstance(each, Finished)] == [2] * 6


def test_workers_end_with_the_pool():
    pool = Pool(2, partial(equip, 1), work, timeout_s=PATIENCE_S)
    pool.start()
    pids = [worker.process.pid for worker in pool._workers]

    pool.stop()

    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_is_stopped_at_work_ends_in_order_and_not_by_an_error(pool, monkeypatch):
    monkeypatch.setattr("appliance.services.pool.STOP_S", PATIENCE_S)
    pool.give("slow")
    pool.give("slow")
    processes = [worker.process for worker in pool._workers]
    time.sleep(0.2)

    pool.stop()

    assert [process.exitcode for process in processes] == [0, 0]
