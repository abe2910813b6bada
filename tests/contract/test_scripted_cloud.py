"""What a destination can do to us, scripted: the scripted cloud earns its place in test_any_cloud.py."""

import time

import pytest

from appliance.outlet import stow
from appliance.outlet.auth import NoLogin
from appliance.outlet.destination import Later, RefusedForGood, Stored, There
from appliance.reasons import Reason
from tests.make.parcels import parcels
from tests.peers import fake_cloud
from tests.peers.fake_cloud import Act, fails, hangs_up, nothing, omits, slow, status, truncated
from tests.peers.patience import PATIENCE_S


@pytest.fixture
def batch(outbound):
    return parcels(outbound, count=3)


def test_an_instance_silently_missing_from_a_200_is_not_acknowledged(cloud, connect, batch):
    cloud.answers(omits(1))

    receipt = connect(cloud).deliver(batch)

    assert receipt.verdicts[batch[0].out] == receipt.verdicts[batch[2].out] == Stored()
    assert isinstance(receipt.verdicts[batch[1].out], Later)


def test_a_200_with_nothing_acknowledges_nothing(cloud, connect, batch):
    cloud.answers(nothing)

    receipt = connect(cloud).deliver(batch)

    assert all(isinstance(verdict, Later) for verdict in receipt.verdicts.values())
    assert receipt.unavailable is not None


def test_partial_failures_are_told_apart(cloud, connect, batch):
    cloud.answers(fails({0: 0xC000, 1: 0xA700}))

    receipt = connect(cloud).deliver(batch)

    assert isinstance(receipt.verdicts[batch[0].out], RefusedForGood)
    assert isinstance(receipt.verdicts[batch[1].out], Later)
    assert receipt.verdicts[batch[2].out] == Stored()


def test_an_answer_in_xml_is_as_good(cloud, connect, batch):
    cloud.answers(Act(202, xml=True, fail={2: 0xA900}, name=lambda at: at != 2))

    receipt = connect(cloud).deliver(batch)

    assert receipt.verdicts[batch[0].out] == Stored()
    assert isinstance(receipt.verdicts[batch[2].out], RefusedForGood)


@pytest.mark.parametrize("act", [truncated, hangs_up, Act(close=True)], ids=["truncated reply", "mid-body", "no reply"])
def test_a_request_that_breaks_off_acknowledges_nothing(cloud, connect, batch, act):
    cloud.answers(act)

    receipt = connect(cloud).deliver(batch)

    assert all(isinstance(verdict, Later) for verdict in receipt.verdicts.values())
    assert set(receipt.verdicts) == {parcel.out for parcel in batch}
    assert receipt.unavailable is not None
    assert receipt.too_much


def test_after_a_lost_answer_the_same_instances_are_stored_once(cloud, connect, batch):
    cloud.answers(truncated)
    connection = connect(cloud)
    connection.deliver(batch)

    receipt = connection.deliver(batch)

    assert receipt.verdicts == {parcel.out: Stored() for parcel in batch}
    assert len(cloud.stored) == len(batch)


def test_a_silent_destination_is_given_up_after_the_timeout(cloud, connect, batch):
    cloud.answers(slow)
    began = time.monotonic()

    receipt = connect(cloud, timeout_s=1.0).deliver(batch)

    assert time.monotonic() - began < PATIENCE_S  # it would not answer for an hour
    assert receipt.unavailable is not None
    assert receipt.too_much


def test_an_answer_that_drips_is_given_up_too(cloud, connect, batch):
    cloud.answers(Act(drip_s=0.4))

    receipt = connect(cloud, timeout_s=0.5).deliver(batch)

    assert receipt.unavailable is not None


def test_an_endless_answer_is_not_read_to_its_end(cloud, connect, batch, monkeypatch):
    monkeypatch.setattr(stow, "LARGEST_ANSWER", 10_000)
    cloud.answers(Act(body=b"x" * 1_000_000))

    receipt = connect(cloud).deliver(batch)

    assert not any(isinstance(verdict, Stored) for verdict in receipt.verdicts.values())
    assert receipt.unavailable is not None


@pytest.mark.parametrize(("header", "least", "most"), [("7", 7, 7), ("Fri, 31 Dec 2100 23:59:59 GMT", 1e6, 1e12)])
def test_retry_after_is_read_as_seconds_and_as_a_date(cloud, connect, batch, header, least, most):
    cloud.answers(status(503, Retry_After=header))

    receipt = connect(cloud).deliver(batch)

    assert receipt.verdicts == {}
    assert least <= receipt.unavailable.after_s <= most


def test_nobody_listening_pauses_the_destination_and_touches_no_instance(cloud, connect, batch):
    connection = connect(cloud)
    cloud.stop()

    receipt = connection.deliver(batch)

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert receipt.unavailable.sure


def test_a_redirect_is_not_followed_and_says_so(cloud, connect, batch):
    with fake_cloud.FakeCloud() as elsewhere:
        cloud.answers(status(307, Location=f"{elsewhere.dicomweb}/studies"))

        receipt = connect(cloud).deliver(batch)

        assert elsewhere.requests == []
    assert receipt.verdicts == {}
    assert "redirect" in receipt.unavailable.detail


def test_a_duplicate_refused_by_name_is_stored_when_the_bytes_there_are_ours(cloud, connect, batch):
    connection = connect(cloud)
    connection.deliver(batch[:1])
    cloud.answers(fails({0: 0x0111}, status=409))

    receipt = connection.deliver(batch[:1])

    assert receipt.verdicts == {batch[0].out: Stored()}


def test_a_duplicate_refused_by_name_is_a_refusal_where_nothing_can_be_compared(cloud, connect, batch):
    cloud.lets_look = False
    cloud.answers(fails({0: 0x0111}, status=409))
    connection = connect(cloud)

    receipt = connection.deliver(batch[:1])

    verdict = receipt.verdicts[batch[0].out]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.ALREADY_THERE_DIFFERENT
    assert connection.look(batch[0]) is There.UNKNOWN


def test_the_length_of_the_body_is_known_before_it_is_sent(cloud, connect, batch):
    connect(cloud).deliver(batch)

    headers = cloud.headers[0]
    assert int(headers["Content-Length"]) == cloud.bytes_received
    assert "Transfer-Encoding" not in headers
    assert headers["Accept"].startswith("application/dicom+json")
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"')


def test_one_connection_serves_many_requests(cloud, connect, batch):
    connection = connect(cloud)

    for _ in range(5):
        connection.deliver(batch)

    assert cloud.connections == 1


def test_a_netrc_never_replaces_our_login(cloud, connect, batch, tmp_path, monkeypatch):
    """requests 2.34 sends a .netrc's password instead of the Authorization header when trust_env is on."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\n")
    monkeypatch.setenv("NETRC", str(netrc))

    connect(cloud, login=NoLogin()).deliver(batch)

    assert "Authorization" not in cloud.headers[0]


def test_a_look_at_a_destination_that_is_away_says_so(cloud, connect, outbound):
    batch = parcels(outbound, count=1)
    connection = connect(cloud)
    cloud.stop()

    assert connection.look(batch[0]) is There.AWAY
