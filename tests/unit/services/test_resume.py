"""Held instances go on by themselves, each once, and nobody else does."""

import pytest

from appliance.lifecycle import State
from appliance.mapping.csv_list import Line
from appliance.mapping.id_list import import_list
from appliance.mapping.place import Place
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import to_resume, wait_for_list
from appliance.reasons import Reason
from appliance.services import resume
from appliance.services.remember import Remember
from appliance.services.resume import Resume
from tests.make.spooled import House

KEY = b"k" * 32
PLACE = Place("site", "", {"site"}, ("",), (), "st")


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def store(tmp_path):
    with MappingStore(tmp_path / "mapping" / "mapping.db", KEY) as opened:
        yield opened


def held(house, store, number, patient="12"):
    (instance,) = house.receive(number)
    (claimed,) = house.spool.claim(1, house.clock(), set())
    wait_for_list(store, instance.id, "", "site", patient)
    house.spool.hold(claimed, Reason.NO_IDENTITY_YET, "")
    return instance.id


def listed(store, *patients):
    lines = [Line(number, patient, id=f"T-{patient}") for number, patient in enumerate(patients, 2)]
    import_list(store, lines, PLACE, lambda *_: "", change=False, preview=False)


def settle(resumer, now, steps=20):
    for _ in range(steps):
        now += resume.EVERY_S
        resumer.step(now)


def state(house, spool_id):
    return house.instance(spool_id).state


def test_only_those_whose_list_came_go_on_and_each_once(house, store):
    mine, other = held(house, store, 1), held(house, store, 2, "13")
    resumer = Resume(house.spool, store, "hold")
    listed(store, "12")

    settle(resumer, house.clock())

    assert (state(house, mine), state(house, other)) == (State.RECEIVED, State.HELD)
    assert house.instance(mine).round == 2
    assert to_resume(store, 10) == []


def test_many_are_resumed_in_bounded_steps(house, store, monkeypatch):
    monkeypatch.setattr(resume, "BATCH", 2)
    ids = [held(house, store, number) for number in range(1, 6)]
    listed(store, "12")
    resumer = Resume(house.spool, store, "hold")

    busy = [resumer.step(1000.0) for _ in range(4)]

    assert busy == [True, True, True, False]
    assert {state(house, each) for each in ids} == {State.RECEIVED}


def test_the_store_is_not_asked_at_every_step(house, store):
    resumer = Resume(house.spool, store, "hold")
    resumer.step(1000.0)
    spool_id = held(house, store, 1)
    listed(store, "12")

    assert resumer.step(1000.1) is False
    assert state(house, spool_id) is State.HELD
    assert resumer.step(1001.1) is True
    assert resumer.step(900.0) is False  # a clock that went back does not stop it
    assert state(house, spool_id) is State.RECEIVED


def test_what_an_operator_discarded_or_released_before_is_left_alone(house, store):
    gone, released = held(house, store, 1), held(house, store, 2)
    listed(store, "12")
    house.spool.discard(gone, by="anna")
    house.spool.release(released, by="anna")

    settle(Resume(house.spool, store, "hold"), house.clock())

    assert state(house, gone) is State.DISCARDED
    assert house.instance(released).round == 2
    assert to_resume(store, 10) == []


def test_an_instance_whose_release_is_refused_does_not_stop_the_others(house, store, monkeypatch):
    first, second = held(house, store, 1), held(house, store, 2)
    listed(store, "12")
    release = house.spool.release

    def sometimes(spool_id, **how):
        if spool_id == first:
            raise resume.IllegalMove("somebody was faster")
        release(spool_id, **how)

    monkeypatch.setattr(house.spool, "release", sometimes)
    settle(Resume(house.spool, store, "hold"), house.clock())

    assert state(house, second) is State.RECEIVED
    assert to_resume(store, 10) == []


def test_an_instance_that_is_gone_is_forgotten(house, store):
    wait_for_list(store, "20261120T181522123Z-CT1-k7f3q9", "", "site", "12")
    listed(store, "12")

    settle(Resume(house.spool, store, "hold"), house.clock())

    assert to_resume(store, 10) == []


def test_everybody_is_looked_at_again_once_when_the_policy_changed_or_the_mapping_was_restored(
    house, store, monkeypatch
):
    monkeypatch.setattr(resume, "BATCH", 2)
    settle(Resume(house.spool, store, "hold"), house.clock())
    ids = [held(house, store, number) for number in range(1, 6)]
    settle(Resume(house.spool, store, "hold"), house.clock())
    assert {state(house, each) for each in ids} == {State.HELD}

    settle(Resume(house.spool, store, "mint"), house.clock())

    assert {(state(house, each), house.instance(each).round) for each in ids} == {(State.RECEIVED, 2)}
    late = held_again(house)
    settle(Resume(house.spool, store, "mint"), house.clock())
    assert state(house, late) is State.HELD
    with store.writing():
        store.count_up("restored")
    settle(Resume(house.spool, store, "mint"), house.clock())
    assert state(house, late) is State.RECEIVED


def held_again(house):
    (claimed, *_) = house.spool.claim(1, house.clock(), set())
    house.spool.hold(claimed, Reason.NO_IDENTITY_YET, "")
    return claimed.id


def test_the_journal_remembers_the_mapping_now_and_then(house, store):
    memory = Remember(house.spool.settings, store)
    memory.step(1000.0)
    first = house.spool.settings.get("mapping-seen")
    listed(store, "12")

    memory.step(1001.0)
    assert house.spool.settings.get("mapping-seen") == first
    memory.step(1011.0)
    assert house.spool.settings.get("mapping-seen").split()[1:] == ["1", "1", "0"]
    memory.step(1022.0)
