"""Originals: what comes in, what is worked on, what people do, what the outside says."""

import pytest

from appliance.errors import IllegalMove, RequestRefused
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.spool.backoff import LONGEST_S
from appliance.spool.inside import Passed
from appliance.spool.settled import LOST, Settled
from tests.make.spooled import House, arrival, out_of


def states(house: House) -> dict[str, int]:
    found: dict[str, int] = {}
    for count in house.spool.counts():
        found[count.state] = found.get(count.state, 0) + count.n
    return found


def claimed(house: House, limit: int = 10, busy: set[str] | None = None, now: float | None = None) -> list[str]:
    return [each.id for each in house.spool.claim(limit, house.clock() if now is None else now, busy or set())]


# --- arriving ---------------------------------------------------------------------------------------------------------


def test_an_arrival_has_its_row_as_it_came(house):
    came = arrival(1, item=4)

    house.spool.arrived([came])

    found = house.instance(came.id)
    assert (
        found.provenance,
        found.received,
        found.sop_class,
        found.sop_instance,
        found.transfer_syntax,
        found.size,
    ) == (*(came.provenance, came.received, came.sop_class, came.sop_instance, came.transfer_syntax, came.size),)
    assert (found.round, found.state, found.attempts, found.accepted) == (1, State.RECEIVED, 0, frozenset())


def test_arriving_twice_is_arriving_once(house):
    assert house.spool.arrived([arrival(1), arrival(2)]) == 2
    assert house.spool.arrived([arrival(2), arrival(3)]) == 1
    assert house.spool.arrived([]) == 0

    assert states(house) == {"RECEIVED": 3}


def test_arriving_again_changes_nothing_of_what_became_of_it(house):
    (instance,) = house.receive(1)
    house.spool.exclude(instance, Reason.EXCLUDED_BY_RULE, "")

    house.spool.arrived([arrival(1)])

    assert states(house) == {"DISCARDED": 1}


def test_items_of_the_inbox_get_numbers_that_no_item_had(house):
    assert [house.spool.next_item(), house.spool.next_item()] == [1, 2]

    house.receive(1, item=7)  # a row that recovery found

    assert house.spool.next_item() == 8
    assert house.spool.next_item() == 9


# --- claiming ---------------------------------------------------------------------------------------------------------


def test_the_oldest_is_claimed_first_and_each_beginning_is_counted(house):
    first, second, third = house.receive(1, 2, 3)

    taken = house.spool.claim(2, house.clock(), set())

    assert [(each.id, each.attempts) for each in taken] == [(first.id, 1), (second.id, 1)]
    assert claimed(house, busy={first.id, second.id}) == [third.id]
    assert house.instance(first.id).attempts == 1
    house.crash()
    assert [each.attempts for each in house.spool.claim(3, house.clock(), set())] == [2, 2, 2]


def test_what_is_deferred_waits_until_its_time(house):
    first, second = house.receive(1, 2)
    house.spool.defer(first, house.clock() + 60)

    assert claimed(house) == [second.id]
    assert claimed(house, now=house.clock() + 60) == [second.id, first.id]


def test_a_clock_that_was_wrong_buries_nothing(house):
    (instance,) = house.receive(1)

    house.spool.defer(instance, house.clock() + LONGEST_S)
    assert claimed(house) == []
    house.spool.defer(instance, house.clock() + 50 * 365 * 86_400)
    assert claimed(house) == [instance.id]


def test_versions_of_one_instance_are_claimed_in_order_of_arrival(house):
    first, second, third = house.receive(1, 2, 3, sop_instance="1.2.3")
    (other,) = house.receive(4)

    assert claimed(house) == [first.id, other.id]
    house.spool.defer(first, house.clock() + 60)
    assert claimed(house, busy={other.id}) == []
    house.spool.exclude(first, Reason.DUPLICATE, "")
    assert claimed(house, busy={other.id}) == [second.id]
    house.pass_on([second])
    assert claimed(house, busy={other.id}) == [third.id]


def test_an_earlier_version_that_recovery_brings_late_is_claimed_first(house):
    first, second, third = (arrival(number, sop_instance="1.2.3") for number in (1, 2, 3))
    for late in (third, second, first):
        house.spool.arrived([late])

    order = []
    while found := house.spool.claim(10, house.clock(), set()):
        order += [each.id for each in found]
        house.spool.exclude(found[0], Reason.DUPLICATE, "")

    assert order == [first.id, second.id, third.id]


def test_a_version_that_is_released_again_does_not_overtake_and_is_not_overtaken(house):
    first, second = house.receive(1, 2, sop_instance="1.2.3")
    house.spool.quarantine(first, Reason.MALFORMED, "")
    assert claimed(house) == [second.id]

    house.spool.release(first.id)

    assert claimed(house) == [first.id]
    house.spool.hold(house.instance(first.id), Reason.NO_IDENTITY_YET, "")
    assert claimed(house) == [second.id]


def test_instances_without_an_announced_uid_do_not_wait_for_each_other(house):
    first, second = house.receive(1, 2, sop_instance="")

    assert claimed(house) == [first.id, second.id]


# --- moves ------------------------------------------------------------------------------------------------------------


def test_a_quarantined_original_lies_in_the_folder_of_its_reason_beside_its_note(house):
    (instance,) = house.receive(1)
    body = house.body(instance.id)

    house.spool.quarantine(instance, Reason.NO_PATIENT_ID, "Element (0010,0020).", "digest")

    folder = house.root / "inside" / "quarantine" / "no-patient-id"
    assert (folder / f"{instance.id}.dcm").read_bytes() == body
    assert "Element (0010,0020)." in (folder / f"{instance.id}.txt").read_text()
    assert f"release {instance.id}" not in house.instance(instance.id).detail
    assert not house.spool.layout.original(instance.id).exists()
    assert house.body(instance.id) == body
    found = house.instance(instance.id)
    assert (found.state, found.reason, found.detail, found.digest) == (
        *(State.QUARANTINED, "no-patient-id", "Element (0010,0020).", "digest"),
    )
    assert [each.id for each in house.spool.quarantined()] == [instance.id]
    assert house.spool.quarantined(after=instance.id) == []


def test_an_original_that_is_not_there_is_quarantined_all_the_same(house):
    (instance,) = house.receive(1)
    house.spool.original(instance.id).unlink()

    house.spool.quarantine(instance, Reason.ORIGINAL_MISSING, "")

    assert house.instance(instance.id).state is State.QUARANTINED
    assert house.spool.original(instance.id) == house.spool.layout.original(instance.id)


@pytest.mark.parametrize("move", ["exclude", "hold", "quarantine"])
def test_a_move_is_made_once_and_only_in_its_round(house, move):
    (instance,) = house.receive(1)
    getattr(house.spool, move)(instance, Reason.RULE, "")
    before = house.instance(instance.id)

    with pytest.raises(IllegalMove):
        getattr(house.spool, move)(instance, Reason.RULE, "")
    with pytest.raises(IllegalMove):
        getattr(house.spool, move)(before, Reason.RULE, "")
    with pytest.raises(IllegalMove):
        house.spool.defer(instance, 0)

    assert house.instance(instance.id) == before
    assert len(house.spool.trace(instance.id)[0].history) == 1


def test_passing_is_remembered_and_passing_again_changes_nothing(house):
    instances = house.receive(1, 2)
    admitted = house.admit(instances)
    passed = [
        Passed(instance, ready.out, ready.sop_instance, ready.study, "digest", "rules")
        for instance, ready in zip(instances, admitted, strict=True)
    ]

    house.spool.passed(passed)
    house.spool.passed(passed)

    found = house.instance(instances[0].id)
    assert (found.state, found.out, found.digest, found.rules_digest) == (
        *(State.PASSED, admitted[0].out, "digest", "rules"),
    )
    assert [each.id for each in house.spool.known_digest("digest")] == [each.id for each in instances]
    assert house.spool.known_digest("") == []
    assert len(house.spool.trace(instances[0].id)[0].history) == 1


def test_what_lost_a_race_is_not_passed_and_its_neighbours_are(house):
    first, second = house.receive(1, 2)
    house.spool.exclude(first, Reason.DUPLICATE, "")

    with pytest.raises(IllegalMove):
        house.pass_on([first, second])

    assert states(house) == {"DISCARDED": 1, "PASSED": 1}
    with pytest.raises(IllegalMove):
        house.spool.passed([Passed(house.receive(3)[0], "", "", "", "", "")] * 2 + [_unknown(second)])


def _unknown(instance) -> Passed:
    from dataclasses import replace

    return Passed(replace(instance, id=arrival(99).id), out_of("x"), "", "", "", "")


# --- operators --------------------------------------------------------------------------------------------------------


def test_release_of_a_quarantined_one_begins_a_new_round_with_what_was_accepted(house):
    (instance,) = house.receive(1)
    body = house.body(instance.id)
    house.spool.claim(1, house.clock(), set())
    house.spool.quarantine(instance, Reason.BURNED_IN_RISK, "")

    house.spool.release(instance.id, accept=Reason.BURNED_IN_RISK, by="anna")

    found = house.instance(instance.id)
    assert (found.state, found.round, found.attempts, found.reason) == (State.RECEIVED, 2, 0, "")
    assert found.accepted == {"burned-in-risk"}
    assert house.spool.layout.original(instance.id).read_bytes() == body
    assert list((house.root / "inside" / "quarantine" / "burned-in-risk").iterdir()) == []
    last = house.spool.trace(instance.id)[0].history[-1]
    assert (last.round, last.event, last.reason, last.by) == (2, "released", "burned-in-risk", "anna")


def test_what_was_accepted_once_stays_accepted(house):
    (instance,) = house.receive(1)
    house.spool.quarantine(instance, Reason.BURNED_IN_RISK, "")
    house.spool.release(instance.id, accept=Reason.BURNED_IN_RISK)
    house.spool.quarantine(house.instance(instance.id), Reason.IDENTIFIER_LEFT, "")

    house.spool.release(instance.id, accept=Reason.IDENTIFIER_LEFT)

    assert house.instance(instance.id).accepted == {"burned-in-risk", "identifier-left"}


def test_held_and_discarded_ones_can_be_released(house):
    held, discarded = house.receive(1, 2)
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    house.spool.exclude(discarded, Reason.DUPLICATE, "")

    house.spool.release(held.id)
    house.spool.release(discarded.id)

    assert [house.instance(each.id).round for each in (held, discarded)] == [2, 2]
    assert [move.event for move in house.spool.trace(held.id)[0].history] == ["held-back", "identity-came"]


def test_rejected_ones_can_be_released_and_forwarded_ones_replayed_but_not_the_other_way_round(house):
    rejected, forwarded = house.receive(1, 2)
    house.pass_on([rejected, forwarded])
    first, second = house.parcels()
    house.outbox.refused(first, "research", Reason.DESTINATION_REFUSED, "A900")
    house.outbox.stored([second], "research", house.clock())
    house.follow()

    with pytest.raises(RequestRefused, match="FORWARDED and can't be released"):
        house.spool.release(forwarded.id)
    with pytest.raises(RequestRefused, match="REJECTED and can't be replayed"):
        house.spool.replay(rejected.id)
    house.spool.release(rejected.id)
    house.spool.replay(forwarded.id, by="anna")

    found = [house.instance(each.id) for each in (rejected, forwarded)]
    assert [(each.state, each.round) for each in found] == [(State.RECEIVED, 2)] * 2
    assert [each.out for each in found] == [first.out, second.out]  # what the new round supersedes


def test_discarded_ones_can_be_replayed(house):
    (instance,) = house.receive(1)
    house.spool.exclude(instance, Reason.EXCLUDED_BY_RULE, "")

    house.spool.replay(instance.id)

    assert house.instance(instance.id).state is State.RECEIVED


def test_what_goes_on_by_itself_cannot_be_asked_for(house):
    received, ready = house.receive(1, 2)
    house.pass_on([ready])

    for instance, state in ((received, "RECEIVED"), (ready, "READY")):
        for ask in (house.spool.release, house.spool.replay, house.spool.discard):
            with pytest.raises(RequestRefused, match=f"{state}.*nothing was changed. It goes on by itself"):
                ask(instance.id)


def test_what_nobody_knows_cannot_be_asked_for(house):
    with pytest.raises(RequestRefused, match="not in the journal"):
        house.spool.release(arrival(1).id)


def test_discarding_takes_held_quarantined_and_rejected_ones(house):
    held, quarantined, rejected = house.receive(1, 2, 3)
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    house.spool.quarantine(quarantined, Reason.MALFORMED, "")
    house.pass_on([rejected])
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")
    house.follow()

    for instance in (held, quarantined, rejected):
        house.spool.discard(instance.id, by="anna")

    assert states(house) == {"DISCARDED": 3}
    assert house.instance(held.id).reason == "by-operator"
    assert house.spool.layout.original(quarantined.id).exists()
    with pytest.raises(RequestRefused, match="DISCARDED and can't be discarded"):
        house.spool.discard(held.id)


def test_the_rejected_file_of_a_discarded_one_goes_and_both_sides_agree_again(house):
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")
    house.follow()
    house.spool.discard(instance.id)

    outs = house.spool.withdrawable(10)
    house.outbox.withdraw(outs)
    house.spool.withdrawn(outs)

    assert outs == [ready.out]
    assert list((house.root / "outside" / "rejected" / "destination-refused").iterdir()) == []
    assert house.outbox.counts() == []
    assert house.spool.withdrawable(10) == []


# --- following --------------------------------------------------------------------------------------------------------


def test_the_inside_follows_what_the_outside_settled_once(house):
    instances = house.receive(1, 2)
    house.pass_on(instances)
    house.deliver()
    generation = house.outbox.generation

    house.follow()
    house.follow()

    assert house.spool.followed(generation) == 2
    assert house.spool.followed("another") == 0
    assert [move.state for move in house.spool.trace(instances[0].id)[0].history] == ["PASSED", "FORWARDED"]
    house.spool.follow([], generation)
    assert house.spool.followed(generation) == 2


def test_what_was_settled_before_the_journal_knew_it_is_not_forgotten(house):
    (instance,) = house.receive(1)
    house.admit([instance])
    house.deliver()
    house.follow()  # the crash came before PASSED
    assert house.instance(instance.id).state is State.RECEIVED

    house.pass_on([instance])

    assert house.spool.trace(instance.id)[0].outside == "FORWARDED"
    assert house.deliver() == []


def test_delivered_ones_can_be_told_without_the_cursor(house):
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])

    house.spool.delivered([ready.out], house.clock())

    assert house.spool.trace(instance.id)[0].outside == "FORWARDED"


def test_what_the_outside_lost_is_done_again_in_the_same_round(house):
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])

    house.spool.follow([Settled(1, ready.out, LOST, "", "", house.clock())], house.outbox.generation)

    found = house.instance(instance.id)
    assert (found.state, found.round, found.out) == (State.RECEIVED, 1, "")
    assert house.spool.trace(ready.out)[0].history[-1].event == "lost-outside"


# --- purging ----------------------------------------------------------------------------------------------------------


def test_only_what_every_destination_named_or_what_was_discarded_is_purged_and_only_after_its_time(house):
    forwarded, ready, excluded, held = house.receive(1, 2, 3, 4)
    house.pass_on([forwarded])
    house.deliver()
    house.pass_on([ready])
    house.follow()
    house.spool.exclude(excluded, Reason.DUPLICATE, "")
    house.spool.hold(held, Reason.NO_IDENTITY_YET, "")
    now = house.clock()

    assert house.spool.purgeable_originals(now, 10) == []
    assert house.spool.purgeable_discarded(now, 10) == []
    assert house.spool.purgeable_originals(now + 1, 10) == [forwarded.id]
    assert house.spool.purgeable_discarded(now + 1, 10) == [excluded.id]
    house.spool.original_purged([forwarded.id, ready.id, excluded.id, held.id])

    kept = [each.id for each in (forwarded, ready, excluded, held) if house.spool.original(each.id).exists()]
    assert kept == [ready.id, held.id]
    assert house.spool.purgeable_originals(now + 1, 10) == []


def test_replay_of_a_purged_original_is_refused_as_original_purged(house):
    (instance,) = house.receive(1)
    house.spool.exclude(instance, Reason.DUPLICATE, "")
    house.spool.original_purged([instance.id])

    for ask in (house.spool.replay, house.spool.release):
        with pytest.raises(RequestRefused, match=r"^original-purged: .*send it again"):
            ask(instance.id)


def test_rows_go_after_their_time_with_their_history_and_the_counts_go_with_them(house):
    old, kept = house.receive(1, 2)
    for instance in (old, kept):
        house.spool.exclude(instance, Reason.DUPLICATE, "")
    house.spool.original_purged([old.id])

    assert house.spool.purge_rows(house.clock()) == 0
    assert house.spool.purge_rows(house.clock() + 1) == 1

    assert house.spool.trace(old.id) == []
    assert states(house) == {"DISCARDED": 1}


# --- looking ----------------------------------------------------------------------------------------------------------


def test_trace_finds_by_id_outside_name_of_any_round_and_either_uid(house):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.deliver()
    house.follow()
    house.spool.replay(instance.id)
    (second,) = house.pass_on([house.instance(instance.id)])

    for text in (instance.id, out_of(instance.id, 1), second.out, instance.sop_instance, second.sop_instance):
        (found,) = house.spool.trace(text)
        assert found.instance.id == instance.id
        assert [(move.round, move.state) for move in found.history] == [
            *((1, "PASSED"), (1, "FORWARDED"), (2, "RECEIVED"), (2, "PASSED")),
        ]
    assert house.spool.trace("1.2.840.99") == []
    assert house.spool.trace("") == []


def test_a_reason_names_everything_that_waits_for_it_page_by_page(house):
    instances = house.receive(1, 2, 3)
    for instance in instances:
        house.spool.quarantine(instance, Reason.RULE, "")

    page = house.spool.waiting_for(Reason.RULE, limit=2)
    rest = house.spool.waiting_for(Reason.RULE, after=page[-1].id)

    assert [each.id for each in page + rest] == [each.id for each in instances]
    assert house.spool.waiting_for(Reason.MALFORMED) == []


def test_an_item_is_accounted_for_image_by_image(house):
    _waiting, ready, stored, bad = house.receive(1, 2, 3, 4, item=5)
    house.receive(9, item=6)
    house.pass_on([stored])
    house.deliver()
    house.pass_on([ready])
    house.spool.quarantine(bad, Reason.MALFORMED, "")
    house.follow()

    assert house.spool.item_counts(5) == {
        (State.RECEIVED, ""): 1,
        (State.READY, ""): 1,
        (State.FORWARDED, ""): 1,
        (State.QUARANTINED, "malformed"): 1,
    }
    assert house.spool.item_counts(0) == {}


def test_the_oldest_waiting_counts_from_its_reception(house):
    assert house.spool.oldest_waiting(house.clock()) == 0
    first, _ = house.receive(1, 2)

    assert house.spool.oldest_waiting(first.received.timestamp() + 90) == pytest.approx(90)
    assert house.spool.oldest_waiting(0) == 0


def test_settings_are_remembered(house):
    assert house.spool.settings.get("cursor", "0") == "0"
    house.spool.settings.put("cursor", "17")
    house.reopen()

    assert house.spool.settings.get("cursor") == "17"
