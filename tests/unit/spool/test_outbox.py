"""De-identified instances: coming in, going out to each destination, settling."""

import pytest

from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.backoff import LONGEST_S
from tests.make.spooled import House

BOTH = ("research", "teaching")


def counts(house: House) -> dict[str, int]:
    found: dict[str, int] = {}
    for count in house.outbox.counts():
        found[count.state] = found.get(count.state, 0) + count.n
    return found


def files_in(house: House, folder: str) -> list[str]:
    return sorted(path.name for path in (house.root / "outside" / folder).rglob("*") if path.is_file())


def test_what_is_admitted_lies_in_ready_and_waits_for_each_destination(house):
    (ready,) = house.admit(house.receive(1), destinations=BOTH)

    assert files_in(house, "ready") == [f"{ready.out}.dcm"]
    assert files_in(house, "making") == []
    assert house.outbox.state(ready.out) is State.READY
    assert house.outbox.destinations() == {"research": {"WAITING": 1}, "teaching": {"WAITING": 1}}
    assert [house.outbox.waiting(name) for name in (*BOTH, "nobody")] == [1, 1, 0]


def test_admitting_again_doubles_nothing(house):
    instances = house.receive(1)
    (ready,) = house.admit(instances)
    body = house.outbox.layout.ready(ready.out).read_bytes()

    house.admit(instances)
    house.outbox.admit([(ready, house.root / "outside" / "making" / "gone.dcm")])  # the caller's second try

    assert counts(house) == {"READY": 1}
    assert house.outbox.layout.ready(ready.out).read_bytes() == body
    assert len(house.parcels()) == 1


def test_what_was_settled_meanwhile_is_not_sent_again(house):
    instances = house.receive(1)
    house.admit(instances)
    house.deliver()

    house.admit(instances)

    assert files_in(house, "ready") == files_in(house, "making") == []
    assert house.deliver() == []


def test_an_instance_without_a_destination_is_our_bug(house):
    with pytest.raises(ValueError, match="without a destination"):
        house.admit(house.receive(1), destinations=())


# --- claiming ---------------------------------------------------------------------------------------------------------


def test_a_batch_is_of_one_study_and_each_beginning_is_counted(house):
    first, second, third = house.receive(1, 2, 3)
    house.admit([first, third], study="2.25.10")
    house.admit([second], study="2.25.20")

    batch = house.parcels()

    assert [(each.study, each.attempts, each.source) for each in batch] == [("2.25.10", 1, "CT1")] * 2
    busy = {each.out for each in batch}
    assert [each.study for each in house.parcels(busy=busy)] == ["2.25.20"]
    assert [each.attempts for each in house.parcels()] == [2, 2]
    assert batch[0].file.read_bytes().startswith(b"de-identified")


def test_a_batch_keeps_to_its_limits_but_never_is_empty_for_a_large_one(house):
    house.admit(house.receive(*range(1, 6)), size=100)

    assert len(house.parcels(limit=3)) == 3
    assert len(house.parcels(max_bytes=250)) == 2
    assert len(house.parcels(max_bytes=1)) == 1


def test_destinations_do_not_wait_for_each_other(house):
    house.admit(house.receive(1), destinations=BOTH)
    parcels = house.parcels("research")

    house.outbox.later(parcels, "research", house.clock() + 60, "503")

    assert house.parcels("research") == []
    assert len(house.parcels("teaching")) == 1
    assert house.outbox.deliveries(parcels[0].out)[0].detail == "503"
    house.clock.now += 60
    assert len(house.parcels("research")) == 1


def test_a_clock_that_was_wrong_buries_no_delivery(house):
    house.admit(house.receive(1))
    house.outbox.later(house.parcels(), "research", house.clock() + LONGEST_S, "")
    assert house.parcels() == []
    house.clock.now -= 50 * 365 * 86_400

    assert len(house.parcels()) == 1


def test_versions_of_one_uid_are_delivered_in_order(house):
    first, second = house.admit(house.receive(1, 2), sop_instance="2.25.7", destinations=BOTH)

    parcels = house.parcels("research")
    assert [each.out for each in parcels] == [first.out]
    house.outbox.later(parcels, "research", house.clock() + 60, "")
    assert house.parcels("research") == []
    house.outbox.stored(parcels, "research", house.clock())
    assert [each.out for each in house.parcels("research")] == [second.out]
    assert [each.out for each in house.parcels("teaching")] == [first.out]


# --- settling ---------------------------------------------------------------------------------------------------------


def test_the_file_leaves_ready_when_the_last_destination_named_it(house):
    (ready,) = house.admit(house.receive(1), destinations=BOTH)
    house.outbox.stored(house.parcels("research"), "research", 100.0)
    assert counts(house) == {"READY": 1}
    assert files_in(house, "ready") == [f"{ready.out}.dcm"]

    parcels = house.parcels("teaching")
    house.outbox.stored(parcels, "teaching", 200.0)
    house.outbox.stored(parcels, "teaching", 300.0)

    assert counts(house) == {"FORWARDED": 1}
    assert files_in(house, "ready") == []
    (settled,) = house.outbox.settled_since(0, 10)
    assert (settled.number, settled.out, settled.state, settled.at, settled.lost) == (
        1,
        ready.out,
        "FORWARDED",
        200,
        False,
    )


def test_what_one_destination_refused_is_rejected_when_no_other_waits(house):
    (ready,) = house.admit(house.receive(1), destinations=BOTH)
    (parcel,) = house.parcels("research")
    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "0xA900")
    assert counts(house) == {"READY": 1}

    house.outbox.stored(house.parcels("teaching"), "teaching", house.clock())
    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "again")

    assert counts(house) == {"REJECTED": 1}
    assert files_in(house, "ready") == []
    assert files_in(house, "rejected") == [f"{ready.out}.dcm", f"{ready.out}.txt"]
    assert (
        "research: 0xA900"
        in (house.outbox.layout.rejected(ready.out, Reason.DESTINATION_REFUSED)).with_suffix(".txt").read_text()
    )
    assert [row[1:] for row in house.outbox.rows.rejected()] == [(ready.out, "destination-refused", "research: 0xA900")]


def test_numbers_of_what_is_settled_never_come_back(house):
    house.admit(house.receive(1, 2))
    house.deliver()
    house.clock.now += 10
    assert house.outbox.purge_rows(house.clock()) == 2
    house.admit(house.receive(3))
    house.deliver()

    assert [each.number for each in house.outbox.settled_since(2, 10)] == [3]


def test_digests_of_what_a_destination_stored_are_remembered_in_order(house):
    house.admit(house.receive(1), sop_instance="2.25.7", digest="old", destinations=BOTH)
    house.admit(house.receive(2), sop_instance="2.25.7", digest="new", destinations=BOTH)
    house.deliver("research")

    assert house.outbox.earlier_digests("2.25.7", "research") == ["old", "new"]
    assert house.outbox.earlier_digests("2.25.7", "teaching") == []


def test_a_new_round_takes_the_place_of_the_one_before_and_its_history_stays(house):
    (instance,) = house.receive(1)
    (first,) = house.pass_on([instance], digest="first")
    house.deliver()
    house.follow()
    house.spool.replay(instance.id)

    (second,) = house.pass_on([house.instance(instance.id)], digest="second")

    assert house.outbox.state(first.out) is None
    assert counts(house) == {"READY": 1}
    house.deliver()
    assert house.outbox.earlier_digests(first.sop_instance, "research") == ["first", "second"]
    assert house.outbox.trace(first.sop_instance) == house.outbox.trace("2.25.1") == [first.out, second.out]


def test_the_rejected_file_goes_when_a_new_round_takes_its_place(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")
    house.follow()
    house.spool.release(instance.id)
    assert len(files_in(house, "rejected")) == 2

    house.pass_on([house.instance(instance.id)])

    assert files_in(house, "rejected") == []
    assert counts(house) == {"READY": 1}


def test_a_rejected_one_can_be_dropped_once(house):
    (ready,) = house.admit(house.receive(1))
    assert house.outbox.drop(ready.out) is False
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")

    assert house.outbox.drop(ready.out) is True
    assert house.outbox.drop(ready.out) is False

    assert files_in(house, "rejected") == []
    assert counts(house) == {}


def test_a_destination_that_is_given_up_leaves_nothing_waiting(house, monkeypatch):
    monkeypatch.setattr("appliance.spool.outbox.BATCH", 2)
    both, *only = house.receive(1, 2, 3)
    house.admit([both], destinations=BOTH)
    house.admit(only, destinations=["teaching"])
    house.deliver("research")

    assert house.outbox.abandon("teaching") == 3

    assert counts(house) == {"FORWARDED": 1, "REJECTED": 2}
    assert {count.reason for count in house.outbox.counts()} == {"", "destination-removed"}
    assert house.outbox.destinations()["teaching"] == {"ABANDONED": 3}
    assert house.outbox.abandon("teaching") == 0


def test_a_ready_file_that_is_lost_is_told_to_the_inside_and_can_be_admitted_again(house):
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])
    house.outbox.layout.ready(ready.out).unlink()

    house.outbox.file_lost(ready.out)
    house.outbox.file_lost(ready.out)
    house.follow()

    assert house.instance(instance.id).state is State.RECEIVED
    assert house.parcels() == []
    (again,) = house.pass_on([house.instance(instance.id)])
    assert again.out == ready.out
    assert house.deliver() == [ready.out]


def test_a_rejection_whose_file_is_gone_is_told_all_the_same(house):
    (ready,) = house.admit(house.receive(1))
    (parcel,) = house.parcels()
    parcel.file.unlink()

    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "")

    assert files_in(house, "rejected") == [f"{ready.out}.txt"]


# --- release: manual --------------------------------------------------------------------------------------------------


def test_nothing_of_a_gated_source_leaves_until_an_operator_opens_it(house, monkeypatch):
    monkeypatch.setattr("appliance.spool.outbox.BATCH", 2)
    house.admit(house.receive(1, 2, 3), gated=True, destinations=BOTH)
    assert house.parcels() == []
    assert house.outbox.rows.gated() == {("CT1", "main"): 3}

    assert house.outbox.open_source("CT1", "other") == 0
    assert house.parcels() == []
    assert house.outbox.open_source("CT1", "main") == 6

    assert len(house.parcels()) == 3
    assert house.outbox.opened() == [("CT1", "main"), ("CT1", "other")]


def test_what_comes_while_a_source_is_open_is_not_gated_and_closing_gates_again(house):
    house.outbox.open_source("CT1", "main")
    house.admit(house.receive(1), gated=True)
    house.outbox.close_source("CT1", "main")
    house.admit(house.receive(2), gated=True)

    assert len(house.parcels()) == 1
    assert house.outbox.destinations() == {"research": {"WAITING": 1, "GATED": 1}}


def test_a_gated_version_holds_back_the_later_one(house):
    (first,) = house.admit(house.receive(1), sop_instance="2.25.7", gated=True)
    house.admit(house.receive(2), sop_instance="2.25.7")

    assert house.parcels() == []
    house.outbox.open_source("CT1", "main")

    assert [each.out for each in house.parcels()] == [first.out]


# --- looking ----------------------------------------------------------------------------------------------------------


def test_the_oldest_waiting_counts_from_its_admission(house):
    assert house.outbox.oldest_waiting(house.clock()) == 0
    house.admit(house.receive(1))

    assert house.outbox.oldest_waiting(house.clock() + 30) == pytest.approx(30)


def test_deliveries_tell_how_far_each_destination_is(house):
    (ready,) = house.admit(house.receive(1), destinations=BOTH)
    house.outbox.stored(house.parcels("research"), "research", 100.0)

    research, teaching = house.outbox.deliveries(ready.out)

    assert (research.destination, research.state, research.attempts, research.at) == ("research", "STORED", 1, 100.0)
    assert (teaching.destination, teaching.state, teaching.attempts, teaching.at) == ("teaching", "WAITING", 0, 0.0)


def test_rejected_rows_are_kept_when_forwarded_ones_are_purged(house):
    house.admit(house.receive(1, 2))
    first, second = house.parcels()
    house.outbox.refused(first, "research", Reason.DESTINATION_REFUSED, "")
    house.outbox.stored([second], "research", house.clock())

    assert house.outbox.purge_rows(house.clock() + 1) == 1

    assert counts(house) == {"REJECTED": 1}
