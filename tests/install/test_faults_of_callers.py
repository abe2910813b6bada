"""A booted host under load while others hold its ports, knock at them, or speak nonsense; and the sum afterwards."""

import random
import socket
import ssl
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from tests.make import make
from tests.peers.caller import ABORT, CT, EXPLICIT, Caller, pdu, request_body
from tests.peers.troubled import image

DICOM, DICOM_TLS, WATCH = 11112, 2762, 9112
IDLE_S = 5  # as the configuration of this host says
SEED, CALLS = 20261127, 400


def test_ten_peers_that_hold_associations_open_and_say_nothing_keep_nobody_out_and_are_let_go(troubled):
    with troubled.load("silent"):
        silent = [Caller(DICOM, host=troubled.host.address) for _ in range(10)]
        for caller in silent:
            assert caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1").rejected is None
        for number, caller in enumerate(silent[5:], 1):  # half of them in the middle of an image
            data = image("half", number)
            body = caller.store_bytes(1, CT, data.SOPInstanceUID, make.data_set(data))
            caller.send(body[: len(body) // 2])
        mute = [Caller(DICOM, host=troubled.host.address) for _ in range(10)]  # do not even ask
        time.sleep(IDLE_S)
        for caller in (*silent, *mute):
            assert caller.is_closed()
            caller.close()

    troubled.settles()


def test_port_scans_disturb_nobody(troubled):
    with troubled.load("scans"):
        for port in (*range(1, 1025), *[DICOM, DICOM_TLS] * 100, WATCH):
            _knock(troubled.host.address, port)
        for port in (DICOM, DICOM_TLS) * 20:  # asks for the version, as scanners do, in other languages
            _knock(troubled.host.address, port, b"GET / HTTP/1.0\r\n\r\n")
            _knock(troubled.host.address, port, b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1")
        _speak_tls_to_the_plain_port(troubled.host.address)

    troubled.settles()


def _knock(address, port, said=b""):
    """Connect, say it, and close with a reset, as a scanner does."""
    with socket.socket() as caller:
        caller.settimeout(2)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if caller.connect_ex((address, port)) == 0 and said:
            caller.send(said)


def _speak_tls_to_the_plain_port(address):
    with socket.create_connection((address, DICOM), timeout=10) as plain:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).wrap_socket(plain, server_hostname=address).close()
        except OSError:
            return
    raise AssertionError("the plain port spoke TLS")


def test_malformed_pdus_are_survived_and_what_of_them_was_acknowledged_is_kept(troubled):
    """Conversations with bytes changed, left out, doubled or cut off, made from one seed."""
    before = troubled.queue()["received"]
    chance = random.Random(SEED)
    conversations = [_spoilt(chance, number) for number in range(CALLS)]

    with troubled.load("malformed") as caller, ThreadPoolExecutor(4) as callers:
        took = sum(callers.map(lambda said: _successes(troubled.host.address, said), conversations))

    # An image whose pixels alone were changed is one; one that contradicts itself waits for a person.
    troubled.host.wait_until(lambda: not {"RECEIVED", "READY"} & set(troubled.states()))
    assert troubled.queue()["received"] - before >= len(caller.acknowledged) + took
    troubled.discard_what_waits()
    troubled.acknowledged = troubled.states()["FORWARDED"]
    troubled.settles()


def _spoilt(chance, number):
    """Return an association request and a C-STORE with a few faults in them."""
    caller = Caller.__new__(Caller)
    caller.pdu_bytes, caller._message = 4096, 0
    data = image("spoilt", number)
    said = bytearray(pdu(1, request_body({1: (CT, [EXPLICIT])}, calling=b"CT1")))
    first = len(said) if number % 2 else 0  # half of the callers get as far as the image
    said += caller.store_bytes(1, CT, data.SOPInstanceUID, make.data_set(data))
    for _ in range(chance.randint(1, 6)):
        at = min(len(said) - 1, first + int(chance.expovariate(1 / 120)))  # where the structure is
        match chance.randrange(5):
            case 0:
                said[at] = chance.randrange(256)
            case 1:
                said[at] ^= 1 << chance.randrange(8)
            case 2:
                del said[at : at + chance.randint(1, 9)]
            case 3:
                said[at:at] = chance.randbytes(chance.randint(1, 9))
            case 4:
                said[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
    return bytes(said[: chance.randint(1, len(said))] if chance.random() < 0.2 else said)


def _successes(address, said):
    """Say it all, and return how many images were answered with Success."""
    took = 0
    with Caller(DICOM, host=address, timeout_s=3) as caller:
        try:
            caller.send(said)
            caller.sock.shutdown(socket.SHUT_WR)
            while (found := caller.receive()) != (0, b"") and found[0] != ABORT:
                took += b"\0\0\x00\x09\x02\0\0\0\0\0" in found[1]  # (0000,0900) Status, 0000
        except OSError:
            pass
    return took


def test_sixteen_associations_at_once_each_deliver_all_their_images(troubled):
    together = threading.Barrier(16)
    each = 5

    def send(peer):
        with Caller(DICOM, host=troubled.host.address) as caller:
            assert caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1").rejected is None
            together.wait()
            for number in range(1, each + 1):
                data = image(f"sixteen-{peer}", number)
                assert caller.store(1, CT, data.SOPInstanceUID, make.data_set(data)) == 0
            together.wait()  # all are open until the last has sent
            caller.release()

    with troubled.load("sixteen"), ThreadPoolExecutor(16) as peers:
        list(peers.map(send, range(16)))
    troubled.acknowledged += 16 * each

    troubled.settles()
