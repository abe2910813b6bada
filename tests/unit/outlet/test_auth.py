"""Logging in: what is shown to a destination, what is read anew, and what is never printed."""

import base64

import pytest
import requests

from appliance.config import Auth
from appliance.outlet.auth import LoginFailed, Secret, login, read_secret
from appliance.outlet.destination import Stored
from appliance.outlet.stow import Stow, connect
from tests.make.destinations import stow_destination
from tests.make.parcels import parcels
from tests.peers.fake_cloud import FakeCloud
from tests.peers.patience import PATIENCE_S


@pytest.fixture
def cloud():
    with FakeCloud() as fake:
        yield fake


@pytest.fixture
def batch(tmp_path):
    return parcels(tmp_path / "ready", count=2)


def open_stow(cloud, auth, environment=None) -> Stow:
    destination = stow_destination(cloud.dicomweb, auth=auth, timeout_s=PATIENCE_S, connections=1)
    return connect(destination, environment or {})[0]


def secret_file(tmp_path, text, name="secret"):
    path = tmp_path / name
    path.write_text(text)
    return path


def oidc(cloud, tmp_path) -> Auth:
    return Auth(
        kind="oidc",
        token_url=cloud.token_url,
        client_id="edge id",
        client_secret_file=secret_file(tmp_path, "s3cret+/\n"),
        scope="dicomweb",
    )


def test_a_secret_is_never_printed():
    secret = Secret("hunter2")

    assert "hunter2" not in f"{secret!r} {secret} {[secret]}"


def test_basic_shows_user_and_password_of_the_file(cloud, batch, tmp_path):
    stow = open_stow(cloud, Auth(kind="basic", user="edge", password_file=secret_file(tmp_path, "pässword\n")))

    stow.deliver(batch)

    shown = cloud.headers[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(shown).decode() == "edge:pässword"


def test_nothing_is_shown_without_auth(cloud, batch):
    open_stow(cloud, Auth()).deliver(batch)

    assert "Authorization" not in cloud.headers[0]


def test_a_renewed_token_file_is_read_without_a_restart(cloud, batch, tmp_path):
    token = secret_file(tmp_path, "old")
    stow = open_stow(cloud, Auth(kind="bearer", token_file=token))
    stow.deliver(batch)
    token.write_text("new")

    stow.deliver(batch)

    assert [headers["Authorization"] for headers in cloud.headers] == ["Bearer old", "Bearer new"]


def test_a_systemd_credential_of_the_same_name_goes_before_the_file(tmp_path):
    (tmp_path / "credentials").mkdir()
    secret_file(tmp_path / "credentials", "from systemd", "token")
    file = secret_file(tmp_path, "from the disk", "token")

    assert read_secret(file, {"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}).text == "from systemd"
    assert read_secret(file, {"CREDENTIALS_DIRECTORY": str(tmp_path / "elsewhere")}).text == "from the disk"
    assert read_secret(file, {}).text == "from the disk"


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n", "bad\x00byte"])
def test_a_secret_that_can_be_no_header_is_refused_without_being_told(tmp_path, text):
    with pytest.raises(LoginFailed) as failed:
        read_secret(secret_file(tmp_path, text), {})

    assert "two" not in str(failed.value)


def test_a_missing_secret_pauses_the_destination_and_says_what_to_do(cloud, batch, tmp_path):
    receipt = open_stow(cloud, Auth(kind="bearer", token_file=tmp_path / "nowhere")).deliver(batch)

    assert receipt.verdicts == {}
    assert "can't be read" in receipt.unavailable.detail
    assert cloud.requests == []


def test_a_401_with_an_unchanged_secret_is_not_tried_again(cloud, batch, tmp_path):
    cloud.authorize = lambda shown: False
    receipt = open_stow(cloud, Auth(kind="bearer", token_file=secret_file(tmp_path, "old"))).deliver(batch)

    assert receipt.verdicts == {}
    assert "401" in receipt.unavailable.detail
    assert len(cloud.requests) == 1


def test_an_oidc_token_is_fetched_once_and_used_for_many_requests(cloud, batch, tmp_path):
    cloud.tokens = [{"access_token": "t1", "expires_in": 3600}]
    stow = open_stow(cloud, oidc(cloud, tmp_path))

    for _ in range(3):
        stow.deliver(batch)

    assert [headers["Authorization"] for headers in cloud.headers] == ["Bearer t1"] * 3
    [(form, shown)] = cloud.token_requests
    assert form == {"grant_type": ["client_credentials"], "scope": ["dicomweb"]}
    assert base64.b64decode(shown.removeprefix("Basic ")) == b"edge+id:s3cret%2B%2F"


def test_connections_of_one_destination_share_the_token(cloud, batch, tmp_path):
    cloud.tokens = [{"access_token": "t1", "expires_in": 3600}]
    destination = stow_destination(cloud.dicomweb, auth=oidc(cloud, tmp_path), connections=4)

    for stow in connect(destination, {}):
        stow.deliver(batch)

    assert len(cloud.token_requests) == 1


def test_a_token_that_is_believed_no_more_is_fetched_again_once(cloud, batch, tmp_path):
    cloud.tokens = [{"access_token": "t1", "expires_in": 3600}, {"access_token": "t2", "expires_in": 3600}]
    cloud.authorize = lambda shown: shown == "Bearer t2"

    receipt = open_stow(cloud, oidc(cloud, tmp_path)).deliver(batch)

    assert receipt.verdicts == {parcel.out: Stored() for parcel in batch}
    assert [headers["Authorization"] for headers in cloud.headers] == ["Bearer t1", "Bearer t2"]


def test_a_fresh_token_that_is_refused_pauses_the_destination(cloud, batch, tmp_path):
    cloud.tokens = [{"access_token": "t1", "expires_in": 3600}]
    cloud.authorize = lambda shown: False

    receipt = open_stow(cloud, oidc(cloud, tmp_path)).deliver(batch)

    assert receipt.verdicts == {}
    assert receipt.unavailable is not None
    assert len(cloud.requests) == 2


@pytest.mark.parametrize("life", [3600, 100])
def test_a_token_is_renewed_ahead_of_its_end(cloud, tmp_path, life):
    cloud.tokens = [{"access_token": "t1", "expires_in": life}, {"access_token": "t2", "expires_in": life}]
    now = [0.0]
    with requests.Session() as session:
        ours = login(oidc(cloud, tmp_path), session, timeout_s=PATIENCE_S, clock=lambda: now[0], environment={})
        first = ours.header()
        now[0] = life * 0.5
        same = ours.header()
        now[0] = life - 1
        renewed = ours.header()

    assert first == same == Secret("Bearer t1")
    assert renewed == Secret("Bearer t2")


@pytest.mark.parametrize(
    "answer", [{"error": "invalid_client"}, {}, {"access_token": ""}, {"access_token": 5}, {"access_token": "a\nb"}]
)
def test_a_token_service_that_gives_no_token_pauses_the_destination(cloud, batch, tmp_path, answer):
    cloud.tokens = [answer]

    receipt = open_stow(cloud, oidc(cloud, tmp_path)).deliver(batch)

    assert receipt.verdicts == {}
    assert "token" in receipt.unavailable.detail
    assert "s3cret" not in receipt.unavailable.detail
    assert cloud.requests == []
