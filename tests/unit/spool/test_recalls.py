"""What left is taken back: which deliveries that concerns, in which order, and what may follow them."""

import sqlite3

import pytest

from appliance.lifecycle import RecallState, State
from appliance.reasons import Reason
from appliance.spool.recalls import LOST_ANSWER_S, Moved, Wanted
from tests.make.spooled import House

STUDY = Wanted(studies=("2.25.1",))
BOTH = ("research", "second")


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def recalls(house):
    return {(each.sop_instance, each.destination): each.state for each in house.outbox.recalls.all(unfinished=False)}


def claim(house, destination="research", **more):
    return house.outbox.recalls.claim(destination, 100, **({"now": house.clock(), "busy": ()} | more))


def move(house, state, destination="research"):
    """Let everything that is due at a destination come to a state."""
    house.outbox.recalls.moved([Moved(each, state) for each in claim(house, destination)], house.clock())


def deliveries(house, ready):
    return {each.destination: each.state for each in house.outbox.deliveries(ready.out)}


@pytest.fixture
def sent(house):
    """An instance that left, and its next round when that is asked for."""
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])
    house.deliver()

    def replayed(**more):
        house.follow()
        house.spool.replay(instance.id)
        return house.pass_on([house.instance(instance.id)], **more)[0]

    return ready, replayed


def test_what_left_is_asked_for_where_it_is_and_confirmed_step_by_step(house, sent):
    ready, _ = sent

    assert house.outbox.recall(STUDY, ["research"]) == (1, 0)
    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.REQUESTED}
    move(house, RecallState.DELETED)
    assert deliveries(house, ready) == {"research": "STORED"}
    move(house, RecallState.ABSENT)

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.ABSENT}
    assert deliveries(house, ready) == {"research": "RECALLED"}
    assert house.outbox.state(ready.out) is State.FORWARDED
    assert claim(house) == []
    assert house.outbox.recall(STUDY, ["research"]) == (0, 0)


def test_what_waits_is_withdrawn_and_what_no_destination_had_is_not_asked_for(house):
    (waiting,) = house.pass_on(house.receive(1))
    (gated,) = house.pass_on(house.receive(2), gated=True)
    (other,) = house.pass_on(house.receive(3), study="2.25.9")

    assert house.outbox.recall(STUDY, ["research"]) == (0, 2)

    assert house.outbox.state(waiting.out) is house.outbox.state(gated.out) is State.REJECTED
    assert house.outbox.layout.rejected(waiting.out, Reason.RECALLED).exists()
    assert [parcel.out for parcel in house.parcels()] == [other.out]


def test_one_destination_has_it_and_the_other_waited(house):
    (ready,) = house.pass_on(house.receive(1), destinations=BOTH)
    house.deliver()

    assert house.outbox.recall(STUDY, BOTH) == (1, 1)

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.REQUESTED}
    assert house.outbox.state(ready.out) is State.REJECTED


def test_what_was_sent_and_never_answered_is_looked_for_too_but_not_at_once(house):
    (ready,) = house.pass_on(house.receive(1))
    house.parcels()

    assert house.outbox.recall(STUDY, ["research"]) == (1, 1)

    assert claim(house) == []
    assert [each.out for each in claim(house, now=house.clock() + LOST_ANSWER_S)] == [ready.out]


def test_what_is_under_way_is_taken_back_after_it_arrived(house):
    (ready,) = house.pass_on(house.receive(1))
    parcels = house.parcels()
    house.outbox.recall(STUDY, ["research"])
    later = house.clock() + LOST_ANSWER_S

    assert claim(house, now=later, busy={ready.out}) == []
    house.outbox.stored(parcels, "research", house.clock())

    assert deliveries(house, ready) == {"research": "STORED"}
    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.REQUESTED}
    assert [each.out for each in claim(house, now=later)] == [ready.out]


def test_a_corrected_version_waits_until_the_old_one_is_confirmed_absent(house, sent):
    _, replayed = sent
    house.outbox.recall(STUDY, ["research"])

    corrected = replayed()
    assert house.parcels() == []
    move(house, RecallState.DELETED)
    assert house.parcels() == []
    move(house, RecallState.ABSENT)

    assert [parcel.out for parcel in house.parcels()] == [corrected.out]
    assert house.outbox.earlier_digests(corrected.sop_instance, "research") != []


def test_a_version_that_waited_when_the_recall_began_is_held_back_too(house, sent):
    """Made by other rules, so that it is none of those that are recalled."""
    _, replayed = sent
    corrected = replayed(rules_digest="corrected")
    assert house.outbox.due([parcel.seq for parcel in house.parcels()], "research") != set()

    assert house.outbox.recall(Wanted(rules_digest="rules"), ["research"]) == (1, 0)

    assert house.parcels() == []
    move(house, RecallState.ABSENT)
    assert [parcel.out for parcel in house.parcels()] == [corrected.out]


def test_a_corrected_version_that_was_under_way_takes_the_place_and_is_not_deleted(house, sent):
    ready, replayed = sent
    replayed(rules_digest="corrected", digest="other bytes")
    parcels = house.parcels()
    house.outbox.recall(Wanted(rules_digest="rules"), ["research"])

    house.outbox.stored(parcels, "research", house.clock())

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.REPLACED}
    assert claim(house) == []


def test_what_better_rules_have_replaced_already_is_not_recalled(house, sent):
    _, replayed = sent
    replayed(rules_digest="corrected")
    house.deliver()

    assert house.outbox.recall(Wanted(rules_digest="rules"), ["research"]) == (0, 0)
    assert house.outbox.recall(Wanted(rules_digest="corrected"), ["research"]) == (1, 0)


def test_what_a_person_has_to_delete_holds_nothing_back_and_is_not_settled_by_the_same_bytes(house, sent):
    ready, replayed = sent
    house.outbox.recall(STUDY, ["research"])
    move(house, RecallState.IMPOSSIBLE)

    replayed(digest=ready.digest)
    house.deliver()

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.IMPOSSIBLE}


def test_other_bytes_settle_what_a_person_had_to_delete(house, sent):
    ready, replayed = sent
    house.outbox.recall(STUDY, ["research"])
    move(house, RecallState.IMPOSSIBLE)

    replayed(digest="other bytes")
    house.deliver()

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.REPLACED}


def test_asking_again_begins_again_where_a_person_was_needed(house, sent):
    ready, _ = sent
    house.outbox.recall(STUDY, ["research"])
    move(house, RecallState.IMPOSSIBLE)

    assert house.outbox.recall(STUDY, ["research"]) == (1, 0)

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.REQUESTED}


def test_where_it_went_is_not_known_after_the_outbox_was_lost_so_every_destination_is_asked(house, sent):
    ready, _ = sent
    house.follow()
    house.outbox.rows.database.set_aside()
    house.recover()

    assert house.outbox.recall(STUDY, BOTH) == (2, 0)

    assert recalls(house).keys() == {(ready.sop_instance, each) for each in BOTH}
    assert [each.series for each in claim(house)] == [""]


def test_a_destination_that_is_no_longer_configured_needs_a_person(house, sent):
    ready, _ = sent
    house.outbox.recall(STUDY, ["research"])

    assert house.outbox.recalls.give_up(["other"], "removed", house.clock()) == 1

    assert recalls(house) == {(ready.sop_instance, "research"): RecallState.IMPOSSIBLE}
    assert house.outbox.recalls.counts() == {"research": {"IMPOSSIBLE": 1}}


def test_a_row_never_makes_a_move_that_the_table_does_not_hold(house, sent):
    house.outbox.recall(STUDY, ["research"])
    (recall,) = claim(house)
    move(house, RecallState.IMPOSSIBLE)

    house.outbox.recalls.moved([Moved(recall, RecallState.ABSENT)], house.clock())  # overtaken: left alone
    assert list(recalls(house).values()) == [RecallState.IMPOSSIBLE]
    with pytest.raises(ValueError, match="does not go"):
        house.outbox.recalls.moved([Moved(claim(house)[0], RecallState.DELETED)], house.clock())


def test_changes_are_followed_in_order_and_none_is_missed(house, sent):
    house.outbox.recall(STUDY, ["research"])
    ((first, recalled),) = house.outbox.recalls.changed_since(0, 10)
    move(house, RecallState.ABSENT)
    ((second, confirmed),) = house.outbox.recalls.changed_since(first, 10)

    assert (recalled.state, confirmed.state) == (RecallState.REQUESTED, RecallState.ABSENT)
    assert house.outbox.recalls.changed_since(second, 10) == []


def test_many_instances_are_recalled_in_pages(house, monkeypatch):
    monkeypatch.setattr("appliance.spool.recalls.PAGE", 2)
    house.pass_on(house.receive(*range(5)))
    house.deliver()

    assert house.outbox.recall(STUDY, ["research"]) == (5, 0)
    assert house.outbox.recalls.unsettled("research") == 5


def test_what_was_taken_back_is_forgotten_with_the_rows_and_what_is_open_is_kept(house, sent):
    house.outbox.recall(STUDY, ["research"])
    assert house.outbox.recalls.purge(house.clock() + 1, 100) == 0
    move(house, RecallState.ABSENT)

    assert house.outbox.recalls.purge(house.clock() + 1, 100) == 1
    assert recalls(house) == {}


def test_an_outbox_of_the_version_before_recalls_gets_what_it_lacks_and_keeps_its_rows(house, sent):
    ready, _ = sent
    house.close()
    with sqlite3.connect(house.root / "outside" / "outbox.db") as connection:
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE name LIKE 'recall%' AND type <> 'index' ORDER BY type DESC"
        ).fetchall():
            connection.execute(f"DROP {kind} {name}")
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    house.open()

    assert house.outbox.rows.database.set_aside_to is None
    assert house.outbox.state(ready.out) is State.FORWARDED
    assert house.outbox.recall(STUDY, ["research"]) == (1, 0)
