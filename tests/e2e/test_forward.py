"""The forward service on a real outbox, with destinations that behave and destinations that do not."""

import logging
import time

import pytest

from appliance.errors import SpoolFull
from appliance.outlet.breaker import BreakerState
from appliance.outlet.stow import Stow
from appliance.spool.outbox import Outbox
from tests.make.destinations import folder_destination, stow_destination
from tests.make.outside import admit
from tests.make.parcels import changed, damaged, parcels, spoil
from tests.peers.fake_cloud import Act, FakeCloud, fails, hangs_up, nothing, ok, omits, slow, status, truncated
from tests.peers.forwarding import Forwarding
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S

HURRY = 0.001  # a second of back-off is a millisecond


@pytest.fixture
def cloud():
    with FakeCloud() as fake:
        yield fake


@pytest.fixture
def forwarding(tmp_path, cloud):
    """The service, with one destination and hardly a pause."""
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], hurry=HURRY) as running:
        yield running
        assert running.errors == []


def files(root, state):
    return sorted((root / "outside" / state).rglob("*.dcm"))


def test_what_is_ready_is_forwarded_and_leaves_ready(forwarding, cloud, tmp_path):
    made = parcels(tmp_path / "made", count=25)

    admit(forwarding.outbox, made)

    assert forwarding.until_settled() == {"FORWARDED": 25}
    assert set(cloud.stored) == {parcel.sop_instance for parcel in made}
    assert files(tmp_path, "ready") == []


def test_each_instance_is_sent_once_when_all_goes_well(forwarding, cloud, tmp_path):
    admit(forwarding.outbox, parcels(tmp_path / "made", count=25))

    forwarding.until_settled()

    assert len(cloud.sent) == len(set(cloud.sent)) == 25
    assert forwarding.observed.stored_instances == {"research CT1": 25}


def test_a_real_orthanc_has_every_instance(tmp_path):
    with (
        Orthanc(tmp_path / "orthanc") as orthanc,
        Forwarding(tmp_path, [stow_destination(orthanc.dicomweb)]) as running,
    ):
        made = parcels(tmp_path / "made", count=40)
        admit(running.outbox, made)

        assert running.until_settled() == {"FORWARDED": 40}
        assert set(orthanc.instances()) == {parcel.sop_instance for parcel in made}


@pytest.mark.parametrize(
    "acts",
    [
        (503, 503, ok),
        (status(429, Retry_After="1"), ok),
        (500, 500, 500, 500, 500, 500, 502, 504, ok),
        (truncated, hangs_up, truncated, ok),
        (nothing, nothing, nothing, nothing, ok),
        (omits(0), omits(0), omits(0), ok),
        (omits(1, 3), ok),
        (401, 403, 404, 307, ok),
        (fails({0: 0xA700}), fails({0: 0x0110}), ok),
        (413, ok),
        (400, ok),
        (Act(body=b"<html>please log in to the wifi</html>", keep=lambda _: False), ok),
        (Act(cut=0), Act(close=True), ok),
    ],
    ids=lambda acts: "-".join(str(act) if isinstance(act, int) else "act" for act in acts),
)
def test_nothing_is_lost_and_nothing_doubled_whatever_the_cloud_does_first(forwarding, cloud, tmp_path, acts):
    made = parcels(tmp_path / "made", count=5)
    cloud.answers(*acts)

    admit(forwarding.outbox, made)

    assert forwarding.until_settled() == {"FORWARDED": 5}
    assert set(cloud.stored) == {parcel.sop_instance for parcel in made}


def test_an_answer_that_never_comes_is_given_up_and_its_instances_are_sent_again(tmp_path, cloud):
    made = parcels(tmp_path / "made", count=5)
    cloud.answers(slow, ok)
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb, timeout_s=1)], hurry=HURRY) as running:
        admit(running.outbox, made)

        assert running.until_settled() == {"FORWARDED": 5}

    assert set(cloud.stored) == {parcel.sop_instance for parcel in made}


def test_a_destination_that_never_names_an_instance_is_asked_for_ever(forwarding, cloud, tmp_path):
    cloud.always(omits(0))
    admit(forwarding.outbox, parcels(tmp_path / "made", count=1))

    forwarding.until(lambda: len(cloud.requests) > 6)

    assert forwarding.states() == {"READY": 1}
    assert len(files(tmp_path, "ready")) == 1


def test_a_bad_instance_is_rejected_with_a_note_and_its_neighbours_are_forwarded(forwarding, cloud, tmp_path):
    made = parcels(tmp_path / "made", count=6)
    made[2] = damaged(made[2])

    admit(forwarding.outbox, made)

    assert forwarding.until_settled() == {"FORWARDED": 5, "REJECTED": 1}
    forwarding.until(lambda: bool(files(tmp_path, "rejected")))
    [rejected] = files(tmp_path, "rejected")
    assert rejected.parent.name == "destination-refused"
    note = rejected.with_suffix(".txt").read_text()
    assert "HTTP 400" in note
    assert "appliance quarantine release" in note


def test_an_instance_that_upsets_the_server_stops_no_other(forwarding, cloud, tmp_path):
    made = parcels(tmp_path / "made", count=8)
    poison = made[3].sop_instance

    def upset(handler_body_uids):
        return poison in handler_body_uids

    cloud.when = upset
    cloud.then = status(500)
    admit(forwarding.outbox, made)

    forwarding.until(lambda: forwarding.states() == {"READY": 1, "FORWARDED": 7})

    assert poison not in cloud.stored


def test_a_front_that_refuses_everything_rejects_nothing(forwarding, cloud, tmp_path):
    """nginx answers a bare 400 to everything when our client certificate is missing."""
    cloud.always(400)
    made = parcels(tmp_path / "made", count=6)
    admit(forwarding.outbox, made)
    forwarding.until(lambda: len(cloud.requests) > 12)
    assert forwarding.states() == {"READY": 6}

    cloud.answers()

    assert forwarding.until_settled() == {"FORWARDED": 6}


def test_a_bare_refusal_of_one_instance_by_a_destination_that_stores_others_is_believed(forwarding, cloud, tmp_path):
    made = parcels(tmp_path / "made", count=6)
    cloud.when = lambda uids: made[2].sop_instance in uids
    cloud.then = status(409)

    admit(forwarding.outbox, made)

    assert forwarding.until_settled() == {"FORWARDED": 5, "REJECTED": 1}


def test_an_instance_too_large_for_the_destination_is_rejected_as_that(forwarding, cloud, tmp_path):
    cloud.always(413)

    admit(forwarding.outbox, parcels(tmp_path / "made", count=3))

    assert forwarding.until_settled() == {"REJECTED": 3}
    forwarding.until(lambda: len(files(tmp_path, "rejected")) == 3)
    assert {path.parent.name for path in files(tmp_path, "rejected")} == {"too-large-for-destination"}


def test_while_a_destination_is_away_no_row_is_touched_and_little_is_tried(tmp_path):
    with FakeCloud() as cloud:
        destination = stow_destination(cloud.dicomweb, connections=4)
    with Forwarding(tmp_path, [destination], hurry=1000) as running:  # no pause ends while we look
        made = parcels(tmp_path / "made", count=60)
        admit(running.outbox, made)
        running.until(lambda: running.lanes[0].breaker.state is BreakerState.OPEN)
        time.sleep(0.5)

        tried = [delivery.attempts for parcel in made for delivery in running.outbox.deliveries(parcel.out)]

        assert running.states() == {"READY": 60}
        assert tried.count(0) >= 20
        assert max(tried) <= 3


def test_a_destination_that_comes_back_gets_everything(tmp_path):
    cloud = FakeCloud()
    cloud.start()
    cloud.stop()
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], hurry=0.05) as running:
        made = parcels(tmp_path / "made", count=30)
        admit(running.outbox, made)
        running.until(lambda: running.lanes[0].breaker.state is BreakerState.OPEN)
        cloud.start()

        assert running.until_settled() == {"FORWARDED": 30}
        cloud.stop()
    assert set(cloud.stored) == {parcel.sop_instance for parcel in made}


def test_the_first_delivery_after_a_pause_is_a_single_instance(forwarding, cloud, tmp_path):
    cloud.answers(503, 503, 503)

    admit(forwarding.outbox, parcels(tmp_path / "made", count=9))
    forwarding.until_settled()

    assert [len(uids) for uids in cloud.requests[1:4]] == [1, 1, 1]


def test_retry_after_is_honoured(tmp_path, cloud):
    cloud.answers(status(503, Retry_After="2"))
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb, connections=1)]) as running:
        admit(running.outbox, parcels(tmp_path / "made", count=1))
        running.until_settled()

    assert cloud.moments[1] - cloud.moments[0] >= 2


def test_a_pause_says_what_happened_to_what_what_became_of_it_and_what_to_do(forwarding, cloud, tmp_path, caplog):
    cloud.always(401)
    with caplog.at_level(logging.WARNING):
        admit(forwarding.outbox, parcels(tmp_path / "made", count=4))
        forwarding.until(lambda: len(cloud.requests) > 2)

    [message] = [record.message for record in caplog.records if "is paused" in record.message]
    assert "research" in message
    assert "401" in message
    assert "4 instances wait" in message
    assert "none is lost" in message
    assert "Check auth" in message


def test_two_destinations_do_not_wait_for_each_other(tmp_path, cloud):
    cloud.always(503)
    destinations = [stow_destination(cloud.dicomweb), folder_destination(tmp_path / "shelf")]
    with Forwarding(tmp_path, destinations) as running:
        made = parcels(tmp_path / "made", count=3)
        admit(running.outbox, made, destinations=("research", "shelf"))

        running.until(lambda: len(list((tmp_path / "shelf").rglob("*.dcm"))) == 3)

        assert running.states() == {"READY": 3}


def test_an_instance_is_forwarded_only_when_every_destination_has_it(tmp_path, cloud):
    cloud.answers(*[503] * 5)
    destinations = [stow_destination(cloud.dicomweb), folder_destination(tmp_path / "shelf")]
    with Forwarding(tmp_path, destinations, hurry=HURRY) as running:
        admit(running.outbox, parcels(tmp_path / "made", count=3), destinations=("research", "shelf"))

        assert running.until_settled() == {"FORWARDED": 3}

    assert len(cloud.stored) == len(list((tmp_path / "shelf").rglob("*.dcm"))) == 3


def test_versions_of_one_instance_are_delivered_in_order(tmp_path):
    with FakeCloud(keeps=False) as cloud:
        cloud.answers(503, 500, omits(0))
        destination = stow_destination(cloud.dicomweb, existing="replaced", connections=4)
        with Forwarding(tmp_path, [destination], hurry=HURRY) as running:
            first = parcels(tmp_path / "made", count=1)[0]
            second, third = changed(first, "second"), changed(first, "third")
            last = third.file.read_bytes()
            admit(running.outbox, [first, second, third])

            assert running.until_settled() == {"FORWARDED": 3}

        assert cloud.file(first.sop_instance) == last


@pytest.mark.parametrize(
    ("overwrite", "existing"),
    [(False, "kept"), (True, "replaced"), (False, "replaced")],
    ids=["kept", "replaced", "wrong"],
)
def test_a_changed_version_is_never_called_forwarded_when_orthanc_kept_the_old_one(tmp_path, overwrite, existing):
    with Orthanc(tmp_path / "orthanc", overwrite=overwrite) as orthanc:
        destination = stow_destination(orthanc.dicomweb, existing=existing)
        with Forwarding(tmp_path, [destination]) as running:
            first = parcels(tmp_path / "made", count=1)[0]
            second = changed(first, "second")
            newest = second.file.read_bytes()
            admit(running.outbox, [first])
            running.until_settled()
            admit(running.outbox, [second])
            states = running.until_settled()

        if overwrite:
            assert states == {"FORWARDED": 2}
            assert orthanc.file(first.sop_instance) == newest
        else:
            assert states == {"FORWARDED": 1, "REJECTED": 1}
            assert [path.parent.name for path in files(tmp_path, "rejected")] == ["already-there-different"]


def test_a_ready_file_that_vanished_is_given_back_to_be_made_again(cloud, tmp_path):
    made = parcels(tmp_path / "made", count=2)
    forwarding = Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], hurry=HURRY)
    admit(forwarding.outbox, made)
    next(path for path in files(tmp_path, "ready") if path.stem == made[0].out).unlink()

    with forwarding:
        forwarding.until(lambda: made[1].sop_instance in cloud.stored)
        forwarding.until(lambda: not forwarding.states().get("READY"))

        assert made[0].sop_instance not in cloud.stored
        assert forwarding.outbox.state(made[0].out) is None


def test_a_ready_file_that_the_disk_spoilt_is_never_sent_and_given_back_to_be_made_again(cloud, tmp_path):
    made = parcels(tmp_path / "made", count=2)
    forwarding = Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], hurry=HURRY)
    admit(forwarding.outbox, made)
    spoilt = next(path for path in files(tmp_path, "ready") if path.stem == made[0].out)
    spoil(spoilt)

    with forwarding:
        forwarding.until(lambda: not forwarding.states().get("READY"))

        assert set(cloud.stored) == {made[1].sop_instance}
        assert forwarding.outbox.state(made[0].out) is None
        assert not spoilt.exists()


def test_nothing_gated_leaves_until_an_operator_opens_the_source(forwarding, cloud, tmp_path):
    admit(forwarding.outbox, parcels(tmp_path / "made", count=3), gated=True)
    time.sleep(0.3)
    assert cloud.requests == []

    asked = forwarding.requests.ask("forward", "open", {"source": "CT1", "project": "main", "by": "test"})

    assert forwarding.requests.wait("forward", asked, PATIENCE_S) == {"done": 3}
    assert forwarding.until_settled() == {"FORWARDED": 3}


def test_a_destination_no_longer_configured_can_be_abandoned_and_a_configured_one_cannot(forwarding, tmp_path):
    admit(forwarding.outbox, parcels(tmp_path / "made", count=2), destinations=("gone",))

    refused = forwarding.requests.wait(
        "forward", forwarding.requests.ask("forward", "abandon", {"destination": "research"}), PATIENCE_S
    )
    done = forwarding.requests.wait(
        "forward", forwarding.requests.ask("forward", "abandon", {"destination": "gone"}), PATIENCE_S
    )

    assert "configured" in refused["error"]
    assert done == {"done": 2}
    assert forwarding.until_settled() == {"REJECTED": 2}


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("open", {}),
        ("open", {"source": "../../etc", "project": "main"}),
        ("abandon", {"destination": 5}),
        ("retry", {"destination": "nobody"}),
        ("format-the-disk", {}),
    ],
)
def test_a_request_that_makes_no_sense_is_answered_and_changes_nothing(forwarding, verb, args):
    answer = forwarding.requests.wait("forward", forwarding.requests.ask("forward", verb, args), PATIENCE_S)

    assert answer["done"] == 0
    assert answer["error"]


def test_what_an_operator_discarded_leaves_rejected_by_request(forwarding, cloud, tmp_path):
    cloud.always(413)
    [parcel] = parcels(tmp_path / "made", count=1)
    admit(forwarding.outbox, [parcel])
    forwarding.until(lambda: bool(files(tmp_path, "rejected")))

    asked = forwarding.requests.ask("forward", "withdraw", {"outs": [parcel.out, "../../etc/passwd", 5]})

    assert forwarding.requests.wait("forward", asked, PATIENCE_S) == {"done": 1}
    assert not list((tmp_path / "outside" / "rejected").rglob("*.*"))
    assert forwarding.states() == {}


def test_a_closed_source_waits_again(forwarding, cloud, tmp_path):
    for verb in ("open", "close"):
        asked = forwarding.requests.ask("forward", verb, {"source": "CT1", "project": "main"})
        assert forwarding.requests.wait("forward", asked, PATIENCE_S) == {"done": 0}

    admit(forwarding.outbox, parcels(tmp_path / "made", count=2), gated=True)
    time.sleep(0.2)

    assert cloud.requests == []


def test_an_error_of_ours_ends_no_connection_and_loses_nothing(forwarding, cloud, tmp_path, monkeypatch):
    bugs = [ZeroDivisionError("a bug")] * 2
    real = Stow.deliver

    def deliver(self, batch):
        if bugs:
            raise bugs.pop()
        return real(self, batch)

    monkeypatch.setattr(Stow, "deliver", deliver)
    admit(forwarding.outbox, parcels(tmp_path / "made", count=5))

    assert forwarding.until_settled() == {"FORWARDED": 5}


def test_an_operator_can_have_a_paused_destination_tried_at_once(tmp_path, cloud):
    cloud.answers(status(503, Retry_After="3000"))
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb)]) as running:
        admit(running.outbox, parcels(tmp_path / "made", count=2))
        running.until(lambda: running.lanes[0].breaker.state is BreakerState.OPEN)

        running.requests.ask("forward", "retry", {"destination": "research", "by": "test"})

        assert running.until_settled() == {"FORWARDED": 2}


def test_an_outcome_that_could_not_be_written_is_written_later(tmp_path, cloud, monkeypatch):
    full = [SpoolFull("no space")] * 2
    real = Outbox.stored

    def stored(self, *args):
        if full:
            raise full.pop()
        return real(self, *args)

    monkeypatch.setattr(Outbox, "stored", stored)
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb, connections=1)]) as running:
        admit(running.outbox, parcels(tmp_path / "made", count=30))

        assert running.until_settled() == {"FORWARDED": 30}
        assert len(running.errors) == 2
    assert len(cloud.sent) == 30


def test_stopping_lets_a_running_request_end_and_writes_what_it_said(tmp_path, cloud):
    cloud.answers(Act(before_s=1.0))
    running = Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], drain_s=10 * PATIENCE_S)
    with running:
        admit(running.outbox, parcels(tmp_path / "made", count=2))
        running.until(lambda: bool(cloud.requests))

        took = running.stop()

        assert took < PATIENCE_S
        assert running.states() == {"FORWARDED": 2}


def test_stopping_abandons_a_request_that_hangs_and_it_stays_ready(tmp_path, cloud):
    cloud.always(slow)
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], drain_s=0.5) as running:
        admit(running.outbox, parcels(tmp_path / "made", count=2))
        running.until(lambda: bool(cloud.requests))

        took = running.stop()

        assert took < PATIENCE_S
        assert running.states() == {"READY": 2}


def test_logs_and_notes_name_no_uid(forwarding, cloud, tmp_path, caplog):
    made = parcels(tmp_path / "made", count=4)
    made[1] = damaged(made[1])
    cloud.answers(503, truncated, omits(0))

    with caplog.at_level(logging.INFO):
        admit(forwarding.outbox, made)
        forwarding.until_settled()
        forwarding.until(lambda: "refused" in [record.message for record in caplog.records])

    written = " ".join(str(vars(record)) for record in caplog.records if record.name.startswith("appliance"))
    written += "".join(path.read_text() for path in (tmp_path / "outside" / "rejected").rglob("*.txt"))
    assert "refused" in written
    for parcel in made:
        for uid in (parcel.sop_instance, parcel.series, parcel.study):
            assert uid not in written


def test_nothing_goes_to_a_destination_that_a_person_paused_until_it_is_resumed(forwarding, cloud, tmp_path):
    ask(forwarding, "pause")

    admit(forwarding.outbox, parcels(tmp_path / "made", count=5))
    assert stays(lambda: not cloud.sent)
    assert forwarding.observed.pauses == {"research": True}

    ask(forwarding, "resume")
    assert forwarding.until_settled() == {"FORWARDED": 5}
    assert forwarding.observed.pauses == {"research": False}


def test_a_pause_lasts_over_a_restart(cloud, tmp_path):
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], hurry=HURRY) as running:
        ask(running, "pause")
    with Forwarding(tmp_path, [stow_destination(cloud.dicomweb)], hurry=HURRY) as running:
        admit(running.outbox, parcels(tmp_path / "made", count=5))

        assert stays(lambda: not cloud.sent)
        assert running.states() == {"READY": 5}


def test_what_is_not_paused_is_not_resumed(forwarding):
    request = forwarding.requests.ask("forward", "resume", {"destination": "research", "by": "alice"})

    found = forwarding.requests.wait("forward", request, PATIENCE_S)
    assert found == {"done": 0, "error": "Nobody paused this destination; nothing was changed."}


def ask(forwarding, verb):
    request = forwarding.requests.ask("forward", verb, {"destination": "research", "by": "alice"})
    assert forwarding.requests.wait("forward", request, PATIENCE_S) == {"done": 1}


def stays(so, seconds=0.5):
    """Whether it is so for as long as a delivery would need many times over."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not so():
            return False
        time.sleep(0.01)
    return True
