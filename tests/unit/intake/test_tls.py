"""The encrypted port: TLS 1.2 or newer, client certificates, and nobody held up by a stalled handshake."""

import datetime
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance import config
from appliance.errors import CannotStart
from appliance.intake import tls
from tests.peers.caller import ABORT, CT, EXPLICIT, IMPLICIT, VERIFICATION, Caller
from tests.peers.patience import PATIENCE_S, until
from tests.peers.receiver import Receiver, receiver

CONTEXTS = {1: (CT, [EXPLICIT]), 3: (VERIFICATION, [IMPLICIT])}


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a self-signed certificate (its own CA) and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


def client_context(ca: Path, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca))
    if own is not None:
        context.load_cert_chain(*own)
    return context


@pytest.fixture
def certificates(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    return {name: make_certificate(tmp_path, name) for name in ("localhost", "modality", "stranger")}


@pytest.fixture
def edge(tmp_path: Path, certificates: dict[str, tuple[Path, Path]]) -> Iterator[Receiver]:
    section = config.Tls(
        *certificates["localhost"], port=0, client_ca=certificates["modality"][0], handshake_s=PATIENCE_S
    )
    with receiver(tmp_path / "edge", tls=section) as running:
        yield running


def test_both_ports_serve_side_by_side(edge: Receiver, certificates: dict[str, tuple[Path, Path]]) -> None:
    context = client_context(certificates["localhost"][0], certificates["modality"])
    with Caller(edge.port) as plain, Caller(edge.tls_port, tls=context) as encrypted:
        for caller, uid in ((plain, "1.1"), (encrypted, "1.2")):
            assert caller.request(CONTEXTS).rejected is None
            assert caller.store(1, CT, uid, bytes(300_000)) == 0x0000
            caller.release()

    assert len(edge.shelf.files) == 2


@pytest.mark.parametrize("own", [None, "stranger"])
def test_without_a_certificate_of_the_ca_nothing_is_served(
    edge: Receiver, certificates: dict[str, tuple[Path, Path]], own: str | None
) -> None:
    context = client_context(certificates["localhost"][0], certificates[own] if own else None)

    with pytest.raises((OSError, AssertionError)), Caller(edge.tls_port, tls=context) as caller:
        caller.request(CONTEXTS)

    assert until(lambda: edge.scp.connections == 0)
    assert edge.seen.accepted == []


def test_tls_older_than_1_2_is_refused(edge: Receiver, certificates: dict[str, tuple[Path, Path]]) -> None:
    context = client_context(certificates["localhost"][0], certificates["modality"])
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")

    with pytest.raises(OSError):  # an alert or a closed connection, as the client's library likes
        Caller(edge.tls_port, tls=context)


def test_a_stalled_handshake_blocks_nobody(edge: Receiver, certificates: dict[str, tuple[Path, Path]]) -> None:
    stalled = [socket.create_connection(("127.0.0.1", edge.tls_port)) for _ in range(20)]
    stalled[0].sendall(b"\x16\x03\x01")

    with Caller(edge.tls_port, tls=client_context(certificates["localhost"][0], certificates["modality"])) as caller:
        assert caller.request(CONTEXTS).rejected is None
        assert caller.echo(3) == 0x0000
        assert edge.scp.connections == 21
        caller.release()

    for connection in stalled:
        connection.close()


def test_a_stalled_handshake_is_ended(tmp_path: Path, certificates: dict[str, tuple[Path, Path]]) -> None:
    section = config.Tls(*certificates["localhost"], port=0, handshake_s=0.3)
    with receiver(tmp_path / "edge", tls=section) as edge, Caller(edge.tls_port) as stalled:
        stalled.send(b"\x16\x03\x01")

        assert stalled.is_closed()
        assert until(lambda: edge.scp.connections == 0)


def test_plain_dicom_on_the_encrypted_port_is_ended(edge: Receiver) -> None:
    with Caller(edge.tls_port) as caller, pytest.raises((OSError, AssertionError)):
        caller.request(CONTEXTS)

    assert until(lambda: edge.seen.refused_connections == ["violation"])


def test_the_abort_of_the_drain_goes_out_encrypted(edge: Receiver, certificates: dict[str, tuple[Path, Path]]) -> None:
    with Caller(edge.tls_port, tls=client_context(certificates["localhost"][0], certificates["modality"])) as caller:
        caller.request(CONTEXTS)

        edge.scp.drain(0.1)

        assert caller.receive()[0] == ABORT  # in clear it would be an SSL error here


def test_a_certificate_that_is_none_says_what_to_do(tmp_path: Path, certificates: dict[str, tuple[Path, Path]]) -> None:
    pem, key = certificates["localhost"]
    for section in (
        config.Tls(tmp_path / "missing.pem", key),
        config.Tls(pem, certificates["stranger"][1]),
        config.Tls(pem, key, client_ca=key),
    ):
        with pytest.raises(CannotStart, match="openssl x509"):
            tls.server_context(section)
