"""Limits, silence, drain: nobody can lock others out, and the end is orderly."""

import errno
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from appliance import config
from appliance.errors import CannotStart
from appliance.intake import association, listening
from appliance.intake.listening import Listener, listeners
from tests.peers.caller import ABORT, CT, EXPLICIT, IMPLICIT, VERIFICATION, Caller, pdu, request_body
from tests.peers.patience import PATIENCE_S, until
from tests.peers.receiver import open_descriptors, receiver

DATA = bytes(100_000)
CONTEXTS = {1: (CT, [EXPLICIT]), 3: (VERIFICATION, [IMPLICIT])}


def test_128_contexts_are_answered(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        answer = caller.request({number: (CT, [EXPLICIT]) for number in range(1, 256, 2)})

    assert [result for result, _syntax in answer.contexts.values()] == [0] * 128


def test_an_unknown_caller_is_rejected_for_good(tmp_path: Path) -> None:
    peers = (config.Peer("CT1"),)
    with receiver(tmp_path, peers=peers) as edge, Caller(edge.port) as stranger, Caller(edge.port) as known:
        assert stranger.request(CONTEXTS, calling=b"STRANGER").rejected == (1, 1, 3)
        assert known.request(CONTEXTS, calling=b"CT1").rejected is None

    assert edge.seen.rejected == ["unknown-caller"]
    assert edge.seen.accepted == ["CT1"]


def test_a_wrong_called_title_is_rejected_for_good_where_the_site_wants_it(tmp_path: Path) -> None:
    with receiver(tmp_path, any_called_ae=False) as edge, Caller(edge.port) as caller:
        assert caller.request(CONTEXTS, called=b"OTHER").rejected == (1, 1, 7)


def test_another_application_or_protocol_is_rejected(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as one, Caller(edge.port) as two:
        assert one.request(CONTEXTS, application="1.2.3").rejected == (1, 1, 2)
        assert two.request(CONTEXTS, protocol=2).rejected == (1, 2, 2)


def test_one_association_too_many_is_rejected_transiently_and_welcome_later(tmp_path: Path) -> None:
    with receiver(tmp_path, max_associations=2) as edge, Caller(edge.port) as first, Caller(edge.port) as second:
        first.request(CONTEXTS)
        second.request(CONTEXTS)

        with Caller(edge.port) as third:
            assert third.request(CONTEXTS).rejected == (2, 3, 2)

        first.release()
        assert until(lambda: edge.scp.associations == 1)
        with Caller(edge.port) as fourth:
            assert fourth.request(CONTEXTS).rejected is None


def test_without_room_callers_are_rejected_transiently(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as early, Caller(edge.port) as later:
        edge.shelf.room = False
        assert early.request(CONTEXTS).rejected == (2, 3, 1)

        edge.shelf.room = True
        assert later.request(CONTEXTS).rejected is None


def test_a_caller_that_goes_silent_is_aborted_after_idle_s(tmp_path: Path) -> None:
    with receiver(tmp_path, idle_s=0.3) as edge, Caller(edge.port) as caller:
        caller.request(CONTEXTS)

        kind, _body = caller.receive()

        assert kind == ABORT
        assert caller.is_closed()
        assert until(lambda: edge.seen.ended == [("unlisted", "silent")])


def test_silence_in_mid_transfer_leaves_no_half_file(tmp_path: Path) -> None:
    with receiver(tmp_path, idle_s=1.5) as edge, Caller(edge.port) as caller:
        caller.request(CONTEXTS)
        caller.send(caller.store_bytes(1, CT, "1.2.3", DATA)[:50_000])

        assert caller.receive()[0] == ABORT
        assert until(lambda: edge.shelf.halves == [])
        assert edge.shelf.files == []


def test_a_connection_that_asks_for_nothing_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "REQUEST_S", 0.3)
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        assert caller.is_closed()
        assert until(lambda: edge.scp.connections == 0)


def test_a_request_that_trickles_in_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(association, "REQUEST_S", 0.5)
    reset = pytest.raises(OSError)  # or a broken pipe, as the kernel likes
    with receiver(tmp_path) as edge, Caller(edge.port) as caller, reset:
        for byte in pdu(1, request_body(CONTEXTS)):
            caller.send(bytes([byte]))
            time.sleep(0.05)


def test_a_request_of_absurd_length_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as caller:
        caller.send(b"\x01\x00\xff\xff\xff\xff")

        assert caller.receive()[0] == ABORT


def test_port_scanners_and_half_open_connections_leak_nothing(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge:
        with Caller(edge.port) as caller:
            caller.request(CONTEXTS)
            caller.release()
        assert until(lambda: edge.scp.connections == 0)
        threads, descriptors = threading.active_count(), open_descriptors()

        for probe in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", pdu(1, request_body(CONTEXTS))) * 40:
            with Caller(edge.port) as scanner:
                scanner.send(probe)

        assert until(lambda: edge.scp.connections == 0)
        # Not "equal": what an earlier test left may end meanwhile.
        assert until(lambda: threading.active_count() <= threads and open_descriptors() <= descriptors)


def test_a_hundred_silent_connections_lock_nobody_out(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge:
        silent = [socket.create_connection(("127.0.0.1", edge.port)) for _ in range(100)]
        try:
            with Caller(edge.port) as caller:
                assert caller.request(CONTEXTS).rejected is None
                assert caller.echo(3) == 0x0000
            assert edge.scp.connections <= 66
        finally:
            for connection in silent:
                connection.close()


def test_one_slow_association_does_not_hold_up_another(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as slow, Caller(edge.port) as quick:
        slow.request(CONTEXTS)
        slow.send(slow.store_bytes(1, CT, "1.2.3", DATA)[:50_000])

        quick.request(CONTEXTS)

        assert quick.store(1, CT, "1.2.4", DATA) == 0x0000


def test_running_associations_finish_during_the_drain_and_new_ones_are_rejected_transiently(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as running:
        running.request(CONTEXTS)
        drain = threading.Thread(target=edge.scp.drain, args=(PATIENCE_S,))
        drain.start()

        assert until(lambda: _rejected(edge.port) == (2, 3, 1))
        assert running.store(1, CT, "1.2.3", DATA) == 0x0000
        running.release()
        drain.join(PATIENCE_S)

        assert not drain.is_alive()
        assert len(edge.shelf.files) == 1


def _rejected(port: int) -> tuple[int, int, int] | None:
    with Caller(port) as late:
        return late.request(CONTEXTS).rejected


def test_what_is_not_finished_when_the_drain_ends_is_aborted_and_leaves_nothing(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, Caller(edge.port) as running:
        running.request(CONTEXTS)
        running.send(running.store_bytes(1, CT, "1.2.3", DATA)[:50_000])
        assert until(lambda: bool(edge.shelf.halves))

        edge.scp.drain(0.3)

        assert running.receive()[0] == ABORT
        assert edge.shelf.files + edge.shelf.halves == []
        assert edge.seen.ended == [("unlisted", "ended-by-us")]


def test_a_port_in_use_says_what_to_do(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge, pytest.raises(CannotStart, match="ss -ltnp"):
        listeners(config.Scp(host="127.0.0.1", port=edge.port), {})


def test_sockets_of_another_process_are_not_taken_for_ours() -> None:
    own = listeners(config.Scp(host="127.0.0.1", port=0), {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"})

    assert [listener.passed for listener in own] == [False]
    own[0].close()


SYSTEMD = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}


def passed_by_systemd(monkeypatch: pytest.MonkeyPatch, sock: socket.socket) -> None:
    monkeypatch.setattr(listening, "_FIRST_FD", sock.detach())


def test_an_encrypted_socket_of_systemd_without_a_certificate_to_show_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    passed_by_systemd(monkeypatch, socket.create_server(("127.0.0.1", 0)))

    with pytest.raises(CannotStart, match=r"Add scp\.tls to the configuration"):
        listeners(config.Scp(), {**SYSTEMD, "LISTEN_FDNAMES": "dicom-tls"})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_accepting_can_begin_again_after_it_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_listener: object) -> None:
        raise MemoryError

    with receiver(tmp_path) as edge:
        monkeypatch.setattr(edge.scp, "_accept", broken)
        with socket.create_connection(("127.0.0.1", edge.port)):
            assert until(lambda: not edge.scp.is_accepting)
            monkeypatch.undo()

            edge.scp.start()

        with Caller(edge.port) as caller:
            assert caller.request(CONTEXTS).rejected is None


def test_our_own_fault_is_an_abort_never_success_and_the_others_go_on(tmp_path: Path) -> None:
    def fault(_id: str) -> None:
        raise ZeroDivisionError

    with receiver(tmp_path) as edge, Caller(edge.port) as unlucky, Caller(edge.port) as other:
        other.request(CONTEXTS)
        unlucky.request(CONTEXTS)
        edge.shelf.on_keep = fault
        unlucky.send(unlucky.store_bytes(1, CT, "1.2.3", DATA))

        assert unlucky.receive()[0] == ABORT
        assert edge.shelf.files + edge.shelf.halves == []
        edge.shelf.on_keep = lambda _id: None
        assert other.store(1, CT, "1.2.4", DATA) == 0x0000
        assert until(lambda: edge.seen.ended == [("unlisted", "unexpected")])


def test_without_descriptors_left_callers_wait_and_are_served_later(tmp_path: Path) -> None:
    with receiver(tmp_path) as edge:
        began = time.monotonic()
        edge.scp._accept(Listener(_NoDescriptors(), encrypted=False, passed=False))  # type: ignore[arg-type]

        assert time.monotonic() - began > 0.1  # the loop that calls it must not spin
        with Caller(edge.port) as caller:
            assert caller.request(CONTEXTS).rejected is None


class _NoDescriptors:
    """A listening socket whose accept finds no descriptor."""

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "too many open files")
