"""A DICOM caller of our own, byte by byte: fast enough to measure with, and willing to misbehave.

    with Caller(port) as caller:
        answer = caller.request({1: (CT, [EXPLICIT])})
        status = caller.store(1, CT, "1.2.3", data_set)
        caller.release()

It shares no code with the receiver, so that a misreading of the Standard is not made twice.
"""

import socket
import ssl
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from tests.peers.patience import PATIENCE_S

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"
APPLICATION = "1.2.840.10008.3.1.1.1"

ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RP, ABORT = 2, 3, 4, 6, 7


@dataclass(frozen=True)
class Answer:
    """What was said to an association request.

    rejected  (result, source, reason), or None when accepted
    contexts  id -> (result, transfer syntax); user: item type -> values in order
    """

    rejected: tuple[int, int, int] | None = None
    contexts: dict[int, tuple[int, str]] = field(default_factory=dict)
    user: dict[int, list[bytes]] = field(default_factory=dict)


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def request_body(
    contexts: Mapping[int, tuple[str, Sequence[str]]],
    *,
    calling: bytes = b"SCU",
    called: bytes = b"EDGE",
    items: bytes = b"",
    user: bytes = b"",
    protocol: int = 1,
    application: str = APPLICATION,
    max_length: int = 16384,
) -> bytes:
    """Return the body of an A-ASSOCIATE-RQ; ``items`` and ``user`` are appended as they are."""
    body = struct.pack(">H2x16s16s32x", protocol, called.ljust(16), calling.ljust(16))
    body += item(0x10, application.encode())
    for number, (abstract, transfers) in contexts.items():
        subs = item(0x30, abstract.encode()) + b"".join(item(0x40, syntax.encode()) for syntax in transfers)
        body += item(0x20, struct.pack(">B3x", number) + subs)
    mine = item(0x51, struct.pack(">I", max_length)) + item(0x52, b"1.2.826.0.1.3680043.9.9999")
    return body + items + item(0x50, mine + user)


def command(field_: int, message_id: int, sop_class: str, sop_instance: str = "", *, data: bool = True) -> bytes:
    """Return a command set, implicit VR little endian."""

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) & 1)
        return struct.pack("<HHI", 0, number, len(value)) + value

    rest = element(0x0002, sop_class.encode()) if sop_class else b""
    rest += element(0x0100, struct.pack("<H", field_)) + element(0x0110, struct.pack("<H", message_id))
    rest += element(0x0700, struct.pack("<H", 0)) if field_ == 1 else b""
    rest += element(0x0800, struct.pack("<H", 0x0001 if data else 0x0101))
    rest += element(0x1000, sop_instance.encode()) if sop_instance else b""
    return element(0x0000, struct.pack("<I", len(rest))) + rest


def fragments(context: int, data: bytes, *, is_command: bool, pdu_bytes: int) -> bytes:
    """Return ``data`` as P-DATA-TF PDUs of at most ``pdu_bytes``."""
    step = pdu_bytes - 6
    out = []
    for start in range(0, max(len(data), 1), step):
        part = data[start : start + step]
        last = 2 if start + step >= len(data) else 0
        out.append(pdu(P_DATA, struct.pack(">IBB", len(part) + 2, context, int(is_command) | last) + part))
    return b"".join(out)


class Caller:
    """A connection to a receiver."""

    def __init__(
        self, port: int, *, timeout_s: float = PATIENCE_S, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.sock: socket.socket = socket.create_connection((host, port), timeout=timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.pdu_bytes = 131072
        self._message = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        """Return (type, body) of the next PDU; (0, b"") when the receiver closed."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._exactly(length)

    def request(self, contexts: Mapping[int, tuple[str, Sequence[str]]], **how: object) -> Answer:
        """Ask for an association and return what was said; keywords as for ``request_body``."""
        self.send(pdu(1, request_body(contexts, **how)))  # type: ignore[arg-type]
        kind, body = self.receive()
        if kind == ASSOCIATE_RJ:
            return Answer((body[1], body[2], body[3]))
        assert kind == ASSOCIATE_AC, f"PDU type {kind}"
        return _accepted(body)

    def store_bytes(self, context: int, sop_class: str, sop_instance: str, data: bytes) -> bytes:
        """Return the PDUs of one C-STORE-RQ."""
        self._message = self._message % 65535 + 1
        rq = command(1, self._message, sop_class, sop_instance)
        return fragments(context, rq, is_command=True, pdu_bytes=self.pdu_bytes) + fragments(
            context, data, is_command=False, pdu_bytes=self.pdu_bytes
        )

    def store(self, context: int, sop_class: str, sop_instance: str, data: bytes) -> int:
        """C-STORE and return the status."""
        self.send(self.store_bytes(context, sop_class, sop_instance, data))
        return self.status()

    def echo(self, context: int) -> int:
        """C-ECHO and return the status."""
        self._message += 1
        rq = command(0x30, self._message, VERIFICATION, data=False)
        self.send(fragments(context, rq, is_command=True, pdu_bytes=self.pdu_bytes))
        return self.status()

    def response(self) -> dict[int, bytes]:
        """Return the elements of the next response, by element number of group 0."""
        kind, body = self.receive()
        assert kind == P_DATA, f"PDU type {kind} instead of a response"
        elements, offset = {}, 6
        while offset < len(body):
            _group, number, length = struct.unpack_from("<HHI", body, offset)
            elements[number] = body[offset + 8 : offset + 8 + length]
            offset += 8 + length
        return elements

    def status(self) -> int:
        return int(struct.unpack("<H", self.response()[0x0900])[0])

    def release(self) -> None:
        """Ask for release, see it granted, close."""
        self.send(pdu(5, bytes(4)))
        kind, _body = self.receive()
        assert kind == RELEASE_RP, f"PDU type {kind}"
        self.close()

    def is_closed(self) -> bool:
        """Wait until the receiver closes, and say whether it did; PDUs that come before are read."""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            got = self.sock.recv(count - len(data))
            if not got:
                break
            data += got
        return bytes(data)


def _accepted(body: bytes) -> Answer:
    contexts: dict[int, tuple[int, str]] = {}
    user: dict[int, list[bytes]] = {}
    for kind, value in _items(body[68:]):
        if kind == 0x21:
            syntax = next((v for k, v in _items(value[4:]) if k == 0x40), b"")
            contexts[value[0]] = (value[2], syntax.decode())
        elif kind == 0x50:
            for sub, content in _items(value):
                user.setdefault(sub, []).append(content)
    return Answer(None, contexts, user)


def _items(data: bytes) -> list[tuple[int, bytes]]:
    found, offset = [], 0
    while offset < len(data):
        kind, length = struct.unpack_from(">BxH", data, offset)
        found.append((kind, data[offset + 4 : offset + 4 + length]))
        offset += 4 + length
    return found
