"""What ``doctor`` is told of a destination: a real front that answers as fronts do."""

import pytest

from appliance.delivery import Auth
from appliance.outlet.probe import probe
from tests.make.certificates import Authority
from tests.make.destinations import stow_destination
from tests.peers.nginx import Nginx
from tests.peers.ports import free_port


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "none is configured. Give one under auth"),
        (403, "none is configured. Give one under auth"),
        (302, "a redirect, which is not followed"),
        (429, "it is in a hurry"),
        (500, "Look at the server's own log"),
        (503, "Look at the server's own log"),
    ],
)
def test_an_answer_that_means_that_nothing_gets_through_is_told_with_what_to_do(tmp_path, status, words):
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", always=status) as front:
        found = probe(stow_destination(front.dicomweb))

    assert not found.fine
    assert f"{status}" in found.words
    assert words in found.words


def test_a_server_that_wants_a_login_and_gets_none_is_told_apart_from_a_wrong_password(tmp_path):
    (tmp_path / "password").write_text("yesterday's")
    known = Auth(kind="basic", user="edge", password_file=tmp_path / "password")
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", always=401) as front:
        none = probe(stow_destination(front.dicomweb))
        wrong = probe(stow_destination(front.dicomweb, auth=known))

    assert "none is configured. Give one under auth" in none.words
    assert "Renew the password or token" in wrong.words


def test_a_path_that_is_no_dicomweb_root_is_doubted(tmp_path):
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", always=404) as front:
        found = probe(stow_destination(front.dicomweb))

    assert (found.fine, found.sure) == (True, False)
    assert "url is not its DICOMweb root" in found.words


@pytest.mark.parametrize("status", [200, 204, 501])
def test_a_server_without_a_search_is_there_and_lets_us_in(tmp_path, status):
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", always=status) as front:
        found = probe(stow_destination(front.dicomweb))

    assert found.fine
    assert found.words == f"it answers ({status})."


def test_a_certificate_of_an_unknown_authority_is_told_and_not_trusted(tmp_path):
    known, other = Authority(tmp_path / "known"), Authority(tmp_path / "other", "Other CA")
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", tls=known.sign("front"), always=200) as front:
        trusted = probe(stow_destination(front.dicomweb, ca=known.certificate))
        found = probe(stow_destination(front.dicomweb, ca=other.certificate))

    assert trusted.fine
    assert not found.fine
    assert "certificate is not trusted" in found.words


def test_nobody_at_the_address_is_told(tmp_path):
    found = probe(stow_destination(f"http://127.0.0.1:{free_port()}/dicom-web"))

    assert not found.fine
    assert "nobody listens there" in found.words


def test_a_host_without_an_address_is_told():
    found = probe(stow_destination("http://no-such-host.invalid/dicom-web"))

    assert not found.fine
    assert "nobody knows the name of its host" in found.words


def test_a_server_that_speaks_no_tls_is_not_called_untrusted(tmp_path):
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", always=200) as front:
        found = probe(stow_destination(front.dicomweb.replace("http://", "https://")))

    assert not found.fine
    assert "does not speak TLS" in found.words


def test_a_bundle_that_is_no_pem_is_told_as_ours(tmp_path):
    known = Authority(tmp_path / "known")
    (tmp_path / "no.pem").write_text("nothing")
    with Nginx(tmp_path / "front", behind="http://127.0.0.1:1", tls=known.sign("front"), always=200) as front:
        found = probe(stow_destination(front.dicomweb, ca=tmp_path / "no.pem"))

    assert not found.fine
    assert "is no PEM" in found.words
