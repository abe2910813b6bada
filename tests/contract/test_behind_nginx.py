"""The real Orthanc behind the real nginx: TLS, certificates, and what proxies answer in a destination's place."""

import pytest

from appliance.config import Auth, ClientCertificate
from appliance.outlet.destination import Later, RefusedForGood, Stored
from appliance.outlet.stow import connect as connections_to
from appliance.reasons import Reason
from tests.make.certificates import Authority
from tests.make.destinations import stow_destination
from tests.make.parcels import parcels
from tests.peers.nginx import Nginx
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S


@pytest.fixture
def orthanc(orthancs):
    return orthancs(overwrite=False)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def first_connection(url, **more):
    return connections_to(stow_destination(url, timeout_s=PATIENCE_S, **more), environment={})[0]


def test_tls_with_an_authority_of_its_own_and_a_client_certificate(orthanc, authority, outbound, tmp_path):
    batch = parcels(outbound, count=3)
    mine = authority.sign("appliance")
    with Nginx(
        tmp_path / "nginx",
        behind=orthanc.root,
        tls=authority.sign("server"),
        client_ca=authority.certificate,
        max_body="100m",
    ) as proxy:
        connection = first_connection(
            proxy.dicomweb, ca=authority.certificate, client_certificate=ClientCertificate(*mine)
        )

        receipt = connection.deliver(batch)

    assert receipt.verdicts == {parcel.out: Stored() for parcel in batch}


def test_an_unknown_authority_is_refused_and_nothing_is_sent(orthanc, authority, outbound, tmp_path):
    stranger = Authority(tmp_path / "stranger", "Another CA")
    with Nginx(tmp_path / "nginx", behind=orthanc.root, tls=authority.sign("server"), max_body="100m") as proxy:
        receipt = first_connection(proxy.dicomweb, ca=stranger.certificate).deliver(parcels(outbound, count=1))

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert "TLS" in receipt.unavailable.detail
    assert orthanc.count() == 0


def test_a_missing_client_certificate_is_answered_by_a_bare_refusal(orthanc, authority, outbound, tmp_path):
    with Nginx(
        tmp_path / "nginx",
        behind=orthanc.root,
        tls=authority.sign("server"),
        client_ca=authority.certificate,
        max_body="100m",
    ) as proxy:
        receipt = first_connection(proxy.dicomweb, ca=authority.certificate).deliver(parcels(outbound, count=1))

    # A bare 400: the service does not believe it of a destination that stores nothing (test_forward.py).
    [verdict] = receipt.verdicts.values()
    assert isinstance(verdict, RefusedForGood)
    assert not verdict.explained
    assert orthanc.count() == 0


def test_certificate_files_that_are_not_there_pause_the_destination(orthanc, outbound, tmp_path):
    nowhere = tmp_path / "nowhere.pem"

    receipt = first_connection("https://127.0.0.1:1/dicom-web", ca=nowhere).deliver(parcels(outbound, count=1))

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert "ca" in receipt.unavailable.detail


def test_413_to_a_batch_is_tried_smaller_and_413_to_one_alone_is_a_refusal(orthanc, outbound, tmp_path):
    batch = parcels(outbound, count=12)
    with Nginx(tmp_path / "nginx", behind=orthanc.root, max_body="300k") as proxy:
        connection = first_connection(proxy.dicomweb)

        together, fitting = connection.deliver(batch), connection.deliver(batch[:2])

    assert together.too_large
    assert all(isinstance(verdict, Later) for verdict in together.verdicts.values())
    assert fitting.verdicts == {parcel.out: Stored() for parcel in batch[:2]}

    with Nginx(tmp_path / "small", behind=orthanc.root, max_body="100k") as proxy:
        alone = first_connection(proxy.dicomweb).deliver(batch[:1])

    verdict = alone.verdicts[batch[0].out]
    assert isinstance(verdict, RefusedForGood)
    assert verdict.reason is Reason.TOO_LARGE_FOR_DESTINATION


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_proxy_pauses_the_destination_for_as_long_as_it_asks(orthanc, outbound, tmp_path, status):
    with Nginx(
        tmp_path / "nginx", behind=orthanc.root, always=status, headers={"Retry-After": "7"}, max_body="100m"
    ) as proxy:
        receipt = first_connection(proxy.dicomweb).deliver(parcels(outbound, count=2))

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert receipt.unavailable.after_s == 7


def test_a_proxy_whose_destination_is_away_answers_502_and_nothing_is_refused(outbound, tmp_path):
    with Nginx(tmp_path / "nginx", behind="http://127.0.0.1:9", max_body="100m") as proxy:
        receipt = first_connection(proxy.dicomweb).deliver(parcels(outbound, count=2))

    assert all(isinstance(verdict, Later) for verdict in receipt.verdicts.values())
    assert receipt.unavailable is not None


def test_basic_authentication_of_a_real_orthanc(outbound, tmp_path):
    password = tmp_path / "password"
    password.write_text("wrong\n")
    batch = parcels(outbound, count=2)
    with Orthanc(tmp_path / "orthanc", user="edge", password="password") as orthanc:
        connection = first_connection(orthanc.dicomweb, auth=Auth(kind="basic", user="edge", password_file=password))

        refused = connection.deliver(batch)
        password.write_text("password\n")
        taken = connection.deliver(batch)

    assert refused.verdicts == {}
    assert refused.unavailable is not None
    assert "auth" in refused.unavailable.detail
    assert taken.verdicts == {parcel.out: Stored() for parcel in batch}
