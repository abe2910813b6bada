"""Reports to peers of every kind: those that answer, those that refuse, those that say nothing or nonsense."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.commitment import Commitment
from appliance.config import Tls
from appliance.dicom.commitment import Asked, Reference, event_of
from appliance.intake.commitment_report import NotTaken, report
from appliance.intake.tls import client_context
from tests.make.certificates import Authority
from tests.peers.caller import EXPLICIT, IMPLICIT, item, pdu
from tests.peers.committed import Modality
from tests.peers.ports import free_port

PUSH_MODEL = "1.2.840.10008.1.20.1"
EVENT = event_of(Asked("9.1", tuple(Reference("1.2", f"1.2.{number}") for number in range(200))), {})


class Peer:
    """One accepted connection, byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pdus: list[tuple[int, bytes]] = []

    def read(self) -> tuple[int, bytes]:
        kind, length = struct.unpack(">BxI", self._exactly(6))
        self.pdus.append((kind, self._exactly(length)))
        return self.pdus[-1]

    def accept(self, *, result: int = 0, syntax: str = EXPLICIT, longest: int = 16384) -> None:
        body = self.read()[1]
        context = bytes([1, 0, result, 0]) + item(0x40, syntax.encode())
        user = item(0x50, item(0x51, struct.pack(">I", longest)) + item(0x52, b"1.2.3"))
        answer = body[:68] + item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x21, context) + user
        self.sock.sendall(pdu(2, answer))

    def report(self) -> bytes:
        """Read one report, and return its Event Information."""
        data = b""
        while True:
            body = self.read()[1]
            data += b"" if body[5] & 1 else body[6:]
            if body[5] == 2:
                return data

    def answer(self, status: int, *, number: int = 1, field: int = 0x8100, more: bytes = b"") -> None:
        rest = b"".join(
            struct.pack("<HHIH", 0, element, 2, value)
            for element, value in ((0x0100, field), (0x0120, number), (0x0800, 1 if more else 0x0101), (0x0900, status))
        )
        command = struct.pack("<HHII", 0, 0, 4, len(rest)) + rest
        self.sock.sendall(pdu(4, struct.pack(">IBB", len(command) + 2, 1, 3) + command))
        if more:
            self.sock.sendall(pdu(4, struct.pack(">IBB", len(more) + 2, 1, 2) + more))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            got = self.sock.recv(count - len(data))
            if not got:
                raise EOFError
            data += got
        return data


@contextmanager
def peer(acts: Callable[[Peer], object]) -> Iterator[tuple[Commitment, Peer]]:
    """A peer whose one connection is served by ``acts``."""
    port = free_port()
    found: list[Peer] = []
    with socket.create_server(("127.0.0.1", port)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            found.append(Peer(sock))
            try:
                acts(found[0])
            except (EOFError, OSError):
                return

        thread = threading.Thread(target=serve)
        thread.start()
        granted = Commitment("in-custody", port, "127.0.0.1", "CT1", timeout_s=1)
        holder = Peer(listener)
        yield granted, holder
        thread.join(10)
        if found:
            holder.pdus = found[0].pdus
            found[0].sock.close()


def test_a_report_is_sent_as_provider_in_fragments_that_the_peer_can_take() -> None:
    said: list[bytes] = []

    def acts(it: Peer) -> None:
        it.accept(longest=5000)
        said.append(it.report())
        it.answer(0)
        it.read()  # release
        it.sock.sendall(pdu(6, bytes(4)))

    with peer(acts) as (to, seen):
        assert list(report(to, "EDGE", [EVENT])) == [0]

    assert said == [EVENT.encoded(EXPLICIT)]
    kinds = [kind for kind, _ in seen.pdus]
    assert (kinds[0], kinds[-1], set(kinds[1:-1])) == (1, 5, {4})
    assert max(len(body) for kind, body in seen.pdus if kind == 4) <= 5000
    request = seen.pdus[0][1]
    assert request[4:36] == b"CT1".ljust(16) + b"EDGE".ljust(16)
    name = PUSH_MODEL.encode()
    assert item(0x54, struct.pack(">H", len(name)) + name + b"\0\1") in request, "not SCU, but SCP"


def test_several_reports_go_on_one_association_each_with_its_status() -> None:
    def acts(it: Peer) -> None:
        it.accept(syntax=IMPLICIT)
        for number, status in enumerate((0, 0x0110, 0x0107), start=1):
            assert it.report() == EVENT.encoded(IMPLICIT)
            it.answer(status, number=number, more=b"a reply" if number == 1 else b"")

    with peer(acts) as (to, _):
        assert list(report(to, "EDGE", [EVENT] * 3)) == [0, 0x0110, 0], "a warning is a Yes"


def _reset(it: Peer) -> None:
    it.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    it.sock.close()


REFUSALS: list[tuple[str, Callable[[Peer], object]]] = [
    ("rejected the association .*1, 1, 7", lambda it: (it.read(), it.sock.sendall(pdu(3, bytes([0, 1, 1, 7]))))),
    ("aborted", lambda it: (it.read(), it.sock.sendall(pdu(7, bytes(4))))),
    ("did not answer", lambda it: (it.read(), threading.Event().wait(1.5))),
    ("closed", lambda it: it.sock.close()),
    ("closed|could not be reached", _reset),
    ("broke the protocol", lambda it: (it.read(), it.sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))),
    ("broke the protocol", lambda it: (it.read(), it.sock.sendall(struct.pack(">BxI", 2, 2**31)))),
    ("could not be read", lambda it: (it.read(), it.sock.sendall(pdu(2, bytes(68) + b"\x21\0\xff\xff")))),
    ("accepts no reports", lambda it: it.accept(result=3)),
    ("accepts no reports", lambda it: it.accept(syntax="1.2.840.10008.1.2.4.50")),
    ("accepts no reports", lambda it: (it.read(), it.sock.sendall(pdu(2, bytes(68))))),
    ("did not answer", lambda it: (it.accept(), it.report(), threading.Event().wait(1.5))),
    ("aborted", lambda it: (it.accept(), it.report(), it.sock.sendall(pdu(7, bytes(4))))),
    ("closed", lambda it: (it.accept(), it.report(), it.sock.close())),
    ("could not be read", lambda it: (it.accept(), it.report(), it.answer(0, number=7))),
    ("could not be read", lambda it: (it.accept(), it.report(), it.answer(0, field=0x8030))),
    ("could not be read", lambda it: (it.accept(), it.report(), it.sock.sendall(pdu(4, b"\0\0\0\6\1\3\1\2\3\4")))),
    ("broke the protocol", lambda it: (it.accept(), it.report(), it.sock.sendall(pdu(5, bytes(4))))),
]


@pytest.mark.parametrize(("why", "acts"), REFUSALS, ids=range(len(REFUSALS)))
def test_whatever_else_a_peer_does_the_report_is_not_taken_and_it_is_told_why(
    why: str, acts: Callable[[Peer], object]
) -> None:
    with peer(acts) as (to, _), pytest.raises(NotTaken, match=why):
        list(report(to, "EDGE", [EVENT]))


def test_a_peer_that_is_not_there_is_told_as_that() -> None:
    with pytest.raises(NotTaken, match="could not be reached: Connection refused"):
        list(report(Commitment("in-custody", free_port(), "127.0.0.1", "CT1", timeout_s=1), "EDGE", [EVENT]))


def _encrypted(authority: Authority, name: str = "ct1") -> ssl.SSLContext:
    """A peer's context: it shows a certificate of ``authority`` and wants one."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.certificate)
    context.load_cert_chain(*authority.sign(name))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _ours(authority: Authority) -> ssl.SSLContext:
    certificate, key = authority.sign("edge")
    return client_context(Tls(certificate, key, client_ca=authority.certificate))


def test_a_peer_of_the_hospital_s_authority_gets_its_report_encrypted(tmp_path: Path) -> None:
    hospital = Authority(tmp_path / "hospital")
    with Modality(tls=_encrypted(hospital)) as modality:
        to = Commitment("in-custody", modality.port, "127.0.0.1", "CT1", tls=True, timeout_s=5)

        assert list(report(to, "EDGE", [EVENT], encryption=_ours(hospital))) == [0]

        assert modality.report("9.1").kind == 1
        with pytest.raises(NotTaken):
            list(report(replace(to, tls=False), "EDGE", [EVENT]))


def test_a_peer_of_another_authority_or_without_tls_is_told_nothing(tmp_path: Path) -> None:
    hospital, other = Authority(tmp_path / "hospital"), Authority(tmp_path / "other", "Other CA")
    for context in (_encrypted(other), None):
        with Modality(tls=context) as modality:
            to = Commitment("in-custody", modality.port, "127.0.0.1", "CT1", tls=True, timeout_s=2)

            with pytest.raises(NotTaken, match="TLS handshake failed"):
                list(report(to, "EDGE", [EVENT], encryption=_ours(hospital)))
            with pytest.raises(NotTaken, match="it wants TLS"):
                list(report(to, "EDGE", [EVENT]))

            assert modality.reports == []


def test_what_was_taken_before_a_peer_broke_off_stays_taken() -> None:
    def acts(it: Peer) -> None:
        it.accept()
        it.report()
        it.answer(0)
        it.report()
        it.sock.close()

    with peer(acts) as (to, _):
        answers = report(to, "EDGE", [EVENT, EVENT])
        assert next(answers) == 0
        with pytest.raises(NotTaken):
            next(answers)
