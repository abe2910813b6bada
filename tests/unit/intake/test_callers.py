"""What went wrong with a caller is remembered so that both ends can be told what to change."""

import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from appliance import config
from appliance.intake.associate import Rejection
from appliance.intake.callers import MOST_CALLERS, MOST_FAILURES, Callers, read_callers
from appliance.intake.statuses import Status
from appliance.intake.troubles import WORDS, Trouble, of_rejection, of_status
from tests.make.certificates import Authority
from tests.peers.caller import CT, EXPLICIT, Caller, pdu
from tests.peers.patience import PATIENCE_S, until
from tests.peers.receiver import receiver

CONTEXTS = {1: (CT, [EXPLICIT])}
WORKLIST = "1.2.840.10008.5.1.4.31"


def troubles(edge):
    """(calling AE title, trouble) of every failure, after it was written."""
    edge.callers._next = 0.0
    edge.callers.save()
    found = read_callers(edge.callers._file)
    return [(caller.calling, failure.trouble) for caller in found for failure in caller.failures]


def test_a_rejected_caller_is_remembered_with_both_titles(tmp_path):
    with receiver(tmp_path, peers=(config.Peer("CT1"),)) as edge, Caller(edge.port) as caller:
        caller.request(CONTEXTS, calling=b"CT-1", called=b"ARCHIVE")

        assert until(lambda: troubles(edge) == [("CT-1", Trouble.UNKNOWN_CALLER)])
        (remembered,) = read_callers(tmp_path / "callers.json")

    assert (remembered.address, remembered.failures[0].called) == ("127.0.0.1", "ARCHIVE")


def test_a_caller_whose_contexts_were_all_refused_is_told_what_it_proposed(tmp_path):
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        caller.request({1: (WORKLIST, [EXPLICIT])})
        caller.release()

        assert until(lambda: ("SCU", Trouble.NOTHING_ACCEPTED) in troubles(edge))
        (remembered,) = read_callers(tmp_path / "callers.json")

    assert remembered.failures[0].facts == f"Proposed in 1 presentation contexts: {WORKLIST}."


def test_an_image_that_was_refused_is_remembered(tmp_path):
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        caller.request(CONTEXTS)
        edge.shelf.on_write = lambda _size: (_ for _ in ()).throw(OSError(28, "full"))
        assert caller.store(1, CT, "1.2.3", bytes(1000)) == 0xA700

        assert until(lambda: ("SCU", Trouble.NO_SPACE) in troubles(edge))


def test_what_broke_off_or_was_aborted_or_was_no_dicom_is_told_apart(tmp_path):
    with receiver(tmp_path) as edge:
        with Caller(edge.port) as caller:
            caller.request(CONTEXTS, calling=b"CABLE")
        with Caller(edge.port) as caller:
            caller.request(CONTEXTS, calling=b"ABORTS")
            caller.send(pdu(7, bytes(4)))
            assert until(lambda: ("ABORTS", Trouble.ABORTED) in troubles(edge))
        with Caller(edge.port) as caller:
            caller.send(b"GET / HTTP/1.1\r\n\r\n")
            assert until(lambda: ("", Trouble.NOT_DICOM) in troubles(edge))

        assert until(lambda: ("CABLE", Trouble.BROKE_OFF) in troubles(edge))


def test_a_probe_that_only_connects_is_no_trouble(tmp_path):
    with receiver(tmp_path) as edge:
        socket.create_connection(("127.0.0.1", edge.port)).close()

        assert until(lambda: edge.seen.refused_connections == ["closed-by-peer"])
        assert troubles(edge) == []


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


def handshake(port, context):
    with (
        suppress(OSError),
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
    ):
        wrapped.recv(1)


def old(context):
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")


def other_cipher(context):
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256")


def nothing(_context):
    pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("own", "change", "told"),
    [
        (None, nothing, Trouble.TLS_NO_CERTIFICATE),
        ("stranger", nothing, Trouble.TLS_CERTIFICATE_REFUSED),
        ("modality", old, Trouble.TLS_TOO_OLD),
        ("modality", other_cipher, Trouble.TLS_NO_CIPHER),
        ("distrusts", nothing, Trouble.TLS_DOES_NOT_TRUST_US),
    ],
)
def test_what_is_wrong_with_a_senders_tls_is_told_by_name(tmp_path, authority, own, change, told):
    stranger = Authority(tmp_path / "stranger", name="Other CA")
    trusts = stranger if own == "distrusts" else authority
    context = ssl.create_default_context(cafile=trusts.certificate)
    if own is not None:
        context.load_cert_chain(*(stranger if own == "stranger" else authority).sign("modality"))
    change(context)
    section = config.Tls(*authority.sign("edge"), port=0, client_ca=authority.certificate, handshake_s=PATIENCE_S)
    with receiver(tmp_path / "edge", tls=section) as edge:
        handshake(edge.tls_port, context)

        assert until(lambda: troubles(edge) == [("", told)])


def test_the_wrong_port_of_the_two_is_told_either_way(tmp_path, authority):
    section = config.Tls(*authority.sign("edge"), port=0, handshake_s=PATIENCE_S)
    with receiver(tmp_path / "edge", tls=section) as edge:
        handshake(edge.port, ssl.create_default_context(cafile=authority.certificate))
        with suppress(OSError, AssertionError), Caller(edge.tls_port) as caller:
            caller.request(CONTEXTS)

        assert until(
            lambda: sorted(trouble.value for _, trouble in troubles(edge)) == ["plain-on-tls-port", "tls-on-plain-port"]
        )


def test_who_works_again_is_known(tmp_path):
    with receiver(tmp_path) as edge:
        with Caller(edge.port) as caller:
            caller.request(CONTEXTS)
            caller.release()
        assert until(lambda: bool(edge.callers._callers))
        troubles(edge)

        (remembered,) = read_callers(tmp_path / "callers.json")

    assert remembered.worked_at > 0
    assert remembered.failures == []


def test_it_is_bounded_and_survives_a_restart(tmp_path):
    file = tmp_path / "metrics" / "callers.json"
    callers = Callers(file, clock=lambda: 1000.0)
    for number in range(MOST_CALLERS + 50):
        for _ in range(MOST_FAILURES + 2):
            callers.failed(f"10.0.{number // 250}.{number % 250}", "CT1", Trouble.SILENT)
    callers.save()

    again = Callers(file, clock=lambda: 2000.0)
    again.failed("10.9.9.9", "CT9", Trouble.SILENT)
    again.save()

    kept = read_callers(file)
    assert len(kept) == MOST_CALLERS
    assert kept[-1].calling == "CT9"
    assert {len(caller.failures) for caller in kept[:-1]} == {MOST_FAILURES}


def test_titles_from_the_network_are_kept_with_their_plain_characters_only(tmp_path):
    callers = Callers(tmp_path / "callers.json", clock=lambda: 1.0)

    callers.failed("10.0.0.1", "../../etc\x1b[2J", Trouble.UNKNOWN_CALLER, called="Müller\n")
    callers.save()

    (remembered,) = read_callers(tmp_path / "callers.json")
    assert (remembered.calling, remembered.failures[0].called) == (".._.._etc?_2J".replace("_", "?"), "M?ller?")


@pytest.mark.parametrize("content", ["", "[", "{}", "[1]", '[{"address": 1}]'])
def test_a_damaged_file_is_forgotten(tmp_path, content):
    (tmp_path / "callers.json").write_text(content)

    assert Callers(tmp_path / "callers.json")._callers == {}


def test_a_file_that_cannot_be_written_ends_nothing(tmp_path):
    (tmp_path / "blocked").write_text("no folder")
    callers = Callers(Path(tmp_path / "blocked" / "callers.json"))
    callers.failed("10.0.0.1", "CT1", Trouble.SILENT)

    callers.save()


def test_every_rejection_and_every_refusal_is_explained():
    assert [of_rejection(why) for why in Rejection]
    refusals = [status for status in Status if status.code not in (0x0000, 0x0211)]
    assert [status for status in refusals if of_status(status) is None] == []
    assert set(WORDS) == set(Trouble)
