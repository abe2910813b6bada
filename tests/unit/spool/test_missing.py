"""What a destination lost: what is asked for, when it counts, when it is sent again and to whom."""

import pytest

from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.missing import Delivered, MissingState
from appliance.spool.recalls import Wanted
from tests.make.spooled import House

BOTH = ("research", "second")
EVER = -1.0


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def delivered(house, destination="research", *, since=EVER, until=None):
    """Study -> SOP Instance UIDs of a whole round."""
    found, after = {}, ""
    while after is not None:
        after, study = house.outbox.missing.next_delivered(
            destination, after, since, house.clock() if until is None else until
        )
        if study.instances:
            found[study.study] = set(study.instances)
    return found


def lose(house, *ready, destination="research", looks=2):
    """A destination is asked so often, and has not these."""
    uids = frozenset(each.sop_instance for each in ready)
    for _ in range(looks):
        house.outbox.missing.asked(destination, Delivered(ready[0].study, uids), uids, house.clock())


def send_again(house, destination="research", *, kept_since=EVER, by_person=False):
    return house.outbox.missing.send_again(destination, kept_since, house.clock(), 100, by_person=by_person)


def counts(house):
    return {
        destination: {state: n for state, n in states.items() if n}
        for destination, states in house.outbox.missing.counts().items()
    }


def states(house, ready):
    return {each.destination: each.state for each in house.outbox.deliveries(ready.out)}


@pytest.fixture
def sent(house):
    """An instance that both destinations named."""
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance], destinations=BOTH)
    for destination in BOTH:
        house.deliver(destination)
    house.follow()
    return instance, ready


def test_what_a_destination_named_is_asked_for_study_by_study_and_nothing_else(house):
    one, two = house.pass_on(house.receive(1, 2), study="2.25.9")
    (three,) = house.pass_on(house.receive(3), study="2.25.10")
    house.deliver()
    house.pass_on(house.receive(4), study="2.25.11")  # waits

    assert delivered(house) == {"2.25.9": {one.sop_instance, two.sop_instance}, "2.25.10": {three.sop_instance}}
    assert delivered(house, "second") == {}


def test_only_what_was_named_within_the_time_is_asked_for(house):
    house.pass_on(house.receive(1))
    house.deliver()

    assert delivered(house, since=house.clock() + 1) == {}
    assert delivered(house, until=house.clock() - 1) == {}


def test_many_studies_of_others_are_passed_over_in_bounded_steps(house, monkeypatch):
    monkeypatch.setattr("appliance.spool.missing.LOOKED_THROUGH", 2)
    for number in range(5):
        house.pass_on(house.receive(number), study=f"2.25.{number}", destinations=("second",))
    (last,) = house.pass_on(house.receive(7), study="2.25.7")
    house.deliver()

    assert house.outbox.missing.next_delivered("research", "", EVER, house.clock())[0] == "2.25.1"
    assert delivered(house) == {"2.25.7": {last.sop_instance}}


def test_a_version_that_a_later_one_replaces_is_not_asked_for(house, sent):
    _, ready = sent
    (later,) = house.pass_on(house.receive(2), sop_instance=ready.sop_instance)

    assert delivered(house) == {}
    house.deliver()
    assert delivered(house) == {later.study: {ready.sop_instance}}


def test_what_is_being_taken_back_or_was_is_not_asked_for(house, sent):
    house.outbox.recall(Wanted(studies=("2.25.1",)), BOTH)

    assert delivered(house) == {}


def test_seen_missing_once_it_counts_and_seen_twice_it_is_made_again(house, sent):
    instance, ready = sent
    lose(house, ready, looks=1)
    assert (counts(house), send_again(house)) == ({"research": {"MISSING": 1}}, 0)

    lose(house, ready, looks=1)
    assert send_again(house) == 1

    assert counts(house) == {"research": {"SENT_AGAIN": 1}}
    house.follow()
    assert house.instance(instance.id).state is State.RECEIVED
    assert house.instance(instance.id).round == 1


def test_it_goes_only_to_the_destination_that_lost_it_and_is_there_when_seen(house, sent):
    instance, ready = sent
    lose(house, ready)
    send_again(house)
    house.follow()

    (again,) = house.pass_on([house.instance(instance.id)], destinations=BOTH)
    assert (again.out, states(house, again)) == (ready.out, {"research": "WAITING", "second": "STORED"})
    assert house.deliver("second") == []
    assert house.deliver() == [ready.out]
    house.follow()

    assert house.outbox.state(ready.out) is State.FORWARDED
    assert not house.outbox.layout.ready(ready.out).exists()
    assert house.instance(instance.id).state is State.PASSED
    house.outbox.missing.asked("research", Delivered(ready.study, frozenset({ready.sop_instance})), (), house.clock())
    assert counts(house) == {"research": {"THERE": 1}}


def test_what_other_rules_make_of_it_goes_to_every_destination(house, sent):
    instance, ready = sent
    lose(house, ready)
    send_again(house)
    house.follow()

    (again,) = house.pass_on([house.instance(instance.id)], destinations=BOTH, digest="f" * 64)

    assert states(house, again) == {"research": "WAITING", "second": "WAITING"}


def test_if_the_destination_that_lost_it_is_gone_from_the_configuration_nothing_waits_for_ever(house, sent):
    instance, ready = sent
    lose(house, ready)
    send_again(house)
    house.follow()

    (again,) = house.pass_on([house.instance(instance.id)], destinations=("second",))

    assert house.outbox.state(again.out) is State.FORWARDED
    assert not house.outbox.layout.ready(again.out).exists()


def test_it_is_sent_again_once_by_itself_and_as_often_as_a_person_asks(house, sent):
    instance, ready = sent
    for by_person in (False, True, True):
        lose(house, ready)
        assert send_again(house, by_person=by_person) == 1
        house.follow()
        house.pass_on([house.instance(instance.id)], destinations=BOTH)
        house.deliver()
        house.follow()

    lose(house, ready)
    assert send_again(house) == 0
    assert house.outbox.missing.open()[0].times == 3


def test_what_has_no_original_any_more_is_neither_sent_again_nor_forgotten(house, sent):
    instance, ready = sent
    lose(house, ready)

    assert send_again(house, kept_since=house.clock(), by_person=True) == 0
    house.spool.original_purged([instance.id])  # at the same moment as it is sent again
    assert send_again(house) == 1
    house.follow()

    assert house.instance(instance.id).state is State.PASSED
    assert counts(house) == {"research": {"SENT_AGAIN": 1}}


def test_what_was_refused_elsewhere_is_told_and_left_to_a_person(house):
    (ready,) = house.pass_on(house.receive(1), destinations=BOTH)
    house.deliver()
    (parcel,) = house.parcels("second")
    house.outbox.refused(parcel, "second", Reason.DESTINATION_REFUSED, "")
    assert delivered(house) == {ready.study: {ready.sop_instance}}
    lose(house, ready)

    assert send_again(house, by_person=True) == 0
    assert [each.state for each in house.outbox.missing.open()] == [MissingState.MISSING]


def test_what_a_person_accepts_counts_no_more_and_is_not_sent_again(house, sent):
    _, ready = sent
    lose(house, ready)
    assert house.outbox.accept_missing("research") == 1

    lose(house, ready)

    assert counts(house) == {"research": {"ACCEPTED": 1}}
    assert send_again(house, by_person=True) == 0


def test_a_crash_after_it_was_told_to_be_made_again_makes_it_once(house, sent):
    instance, ready = sent
    lose(house, ready)
    send_again(house)

    house.crash()
    house.recover()
    house.follow()

    assert house.instance(instance.id).state is State.RECEIVED
    house.pass_on([house.instance(instance.id)], destinations=BOTH)
    house.crash()
    house.recover()
    house.follow()
    assert house.deliver() == [ready.out]
    assert counts(house) == {"research": {"SENT_AGAIN": 1}}


def test_what_is_open_is_asked_for_again_and_what_is_on_its_way_is_not(house, sent):
    instance, ready = sent
    lose(house, ready)
    rows = house.outbox.missing
    assert rows.next_open("research", "", EVER, house.clock()) == (
        ready.study,
        Delivered(ready.study, frozenset({ready.sop_instance})),
    )
    assert rows.next_open("research", ready.study, EVER, house.clock())[0] is None

    send_again(house)

    assert rows.next_open("research", "", EVER, house.clock()) == (ready.study, Delivered(ready.study, frozenset()))
    house.follow()
    house.pass_on([house.instance(instance.id)], destinations=BOTH)
    house.deliver()
    assert rows.next_open("research", "", EVER, house.clock())[1].instances == {ready.sop_instance}


def test_when_a_destination_was_asked_is_remembered_and_begins_with_the_first_look(house):
    rows = house.outbox.missing
    assert rows.last("research", 100.0) == 100.0
    assert rows.last("research", 200.0) == 100.0
    rows.ended("research", 300.0)
    house.reopen()

    assert house.outbox.missing.asked_last() == {"research": 300.0}


def test_what_is_settled_is_forgotten_with_the_rows_and_what_is_of_no_destination_with_it(house, sent):
    _, ready = sent
    lose(house, ready)
    assert house.outbox.missing.purge(house.clock() + 1, 100) == 0
    house.outbox.missing.forget_others(BOTH)
    assert counts(house) == {"research": {"MISSING": 1}}
    house.outbox.missing.forget_others(["second"])
    assert counts(house).get("research") in (None, {})


def test_an_outbox_of_the_version_before_gets_what_it_lacks_and_keeps_its_rows(house, sent):
    _, ready = sent
    with house.outbox.rows.database.writing(durably=True) as connection:
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE name GLOB 'missing*' ORDER BY type DESC"
        ).fetchall():
            connection.execute(f"DROP {kind} IF EXISTS {name}")
        connection.execute("PRAGMA user_version = 2")
    house.reopen()

    lose(house, ready)

    assert counts(house) == {"research": {"MISSING": 1}}
