"""What ends is told before it ends."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from appliance.watch.expiry import Expiry, certificate_end, token_end
from tests.make.certificates import Authority

CERTIFICATE = "appliance_certificate_expiry_timestamp_seconds"
TOKEN = "appliance_token_expiry_timestamp_seconds"


@pytest.fixture
def registry():
    return CollectorRegistry()


def token(claims):
    return b".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in ({"alg": "none"}, claims, {})
    )


def test_the_end_of_each_certificate_is_told_by_its_configured_name(tmp_path, registry):
    certificate, _ = Authority(tmp_path).sign("edge")
    in_two_days = (datetime.now(UTC) + timedelta(days=2)).timestamp()

    Expiry(registry, certificates={"scp": certificate, "research": tmp_path / "gone.pem"}, environment={})

    assert registry.get_sample_value(CERTIFICATE, {"of": "scp"}) == pytest.approx(in_two_days, abs=60)
    assert registry.get_sample_value(CERTIFICATE, {"of": "research"}) is None


def test_a_chain_ends_when_its_first_certificate_ends(tmp_path):
    authority = Authority(tmp_path)
    certificate, _ = authority.sign("edge")
    ends = [certificate_end(file.read_bytes()) for file in (certificate, authority.certificate)]

    assert certificate_end(certificate.read_bytes() + authority.certificate.read_bytes()) == min(ends)


def test_a_renewed_token_is_told_without_a_restart(tmp_path, registry):
    file = tmp_path / "token"
    file.write_bytes(token({"exp": 2_000_000_000}) + b"\n")
    Expiry(registry, certificates={}, tokens={"research": file}, environment={})
    assert registry.get_sample_value(TOKEN, {"destination": "research"}) == 2_000_000_000

    file.write_bytes(token({"exp": 2_000_086_400, "sub": "edge"}))

    assert registry.get_sample_value(TOKEN, {"destination": "research"}) == 2_000_086_400


def test_a_credential_of_systemd_goes_before_the_file(tmp_path, registry):
    (tmp_path / "token").write_bytes(token({"exp": 1}))
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "token").write_bytes(token({"exp": 2_000_000_000}))

    Expiry(
        registry,
        certificates={},
        tokens={"research": tmp_path / "token"},
        environment={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")},
    )

    assert registry.get_sample_value(TOKEN, {"destination": "research"}) == 2_000_000_000


@pytest.mark.parametrize("text", [b"", b"opaque", b"a.b.c", b"a.!!!!.c", token({}), token([1]), token({"exp": "soon"})])
def test_a_token_that_names_no_end_has_none(text):
    assert token_end(text) is None


@pytest.mark.parametrize(
    "pem", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"]
)
def test_what_is_no_certificate_has_no_end(pem):
    assert certificate_end(pem) is None
