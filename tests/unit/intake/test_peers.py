"""Who is let in, and under which name."""

import ipaddress

import pytest

from appliance import config
from appliance.intake.associate import Rejection
from appliance.intake.peers import Peers
from appliance.model import Provenance

LISTED = (
    config.Peer("CT 1", ipaddress.ip_network("10.1.0.0/16"), "CT1"),
    config.Peer("CT 1", ipaddress.ip_network("fd00::/8"), "CT1v6"),
    config.Peer("MR", None, "MR"),
)


def test_any_caller_is_let_in_as_unlisted_with_its_title_as_text_only() -> None:
    admitted = Peers(config.Scp()).admit("../../etc", "EDGE", "192.0.2.7")

    assert admitted == Provenance("unlisted", "main", "../../etc", "EDGE", "192.0.2.7")


@pytest.mark.parametrize(
    ("title", "address", "source"),
    [
        ("CT 1", "10.1.2.3", "CT1"),
        ("CT 1", "::ffff:10.1.2.3", "CT1"),
        ("CT 1", "fd00::9", "CT1v6"),
        ("MR", "203.0.113.5", "MR"),
        ("MR", "fe80::1%eth0", "MR"),
    ],
)
def test_a_listed_peer_has_its_configured_source(title: str, address: str, source: str) -> None:
    admitted = Peers(config.Scp(peers=LISTED)).admit(title, "EDGE", address)

    assert isinstance(admitted, Provenance)
    assert admitted.source == source


@pytest.mark.parametrize(
    ("title", "address"), [("CT 1", "10.2.0.1"), ("ct 1", "10.1.0.1"), ("US", "10.1.0.1"), ("", "10.1.0.1")]
)
def test_everyone_else_is_an_unknown_caller(title: str, address: str) -> None:
    assert Peers(config.Scp(peers=LISTED)).admit(title, "EDGE", address) is Rejection.UNKNOWN_CALLER


def test_the_called_title_counts_only_where_the_site_says_so() -> None:
    strict = Peers(config.Scp(ae_title="EDGE", any_called_ae=False), called=frozenset({"TRIAL"}))

    assert strict.admit("CT", "OTHER", "10.0.0.1") is Rejection.UNKNOWN_CALLED
    assert isinstance(strict.admit("CT", "EDGE", "10.0.0.1"), Provenance)
    assert isinstance(strict.admit("CT", "TRIAL", "10.0.0.1"), Provenance)
    assert isinstance(Peers(config.Scp()).admit("CT", "OTHER", "10.0.0.1"), Provenance)


def test_the_called_title_decides_the_project() -> None:
    peers = Peers(config.Scp(), project_of=lambda called: {"TRIAL": "trial"}.get(called, "main"))

    assert [peers.admit("CT", called, "10.0.0.1").project for called in ("TRIAL", "EDGE")] == ["trial", "main"]  # type: ignore[union-attr]
