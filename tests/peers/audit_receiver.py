"""A receiver of syslog that does what a test tells it: ends connections as it should, or not, or cuts them.

The same messages reach a real rsyslog in tests/e2e/test_audit_messages.py, by the same contract.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from tests.peers.patience import PATIENCE_S

# ends        as RFC 5425 4.4 demands
# closes      reads everything, and closes without an answer
# is silent   reads everything, and never ends
# cuts        resets the connection after the first bytes
Manner = Literal["ends", "closes", "is silent", "cuts"]


class AuditReceiver:
    """Listens. ``arrived``: messages of connections that ended in order; ``seen``: all that it ever read.

    tls        (certificate, key); left out: plain TCP
    client_ca  only callers with a certificate of this authority
    """

    def __init__(
        self, *, tls: tuple[Path, Path] | None = None, client_ca: Path | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.manner: Manner = "ends"
        self.arrived: list[bytes] = []
        self.seen: list[bytes] = []
        self.connections = 0
        self._context: ssl.SSLContext | None = None
        if tls is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*tls)
            if client_ca is not None:
                self._context.verify_mode = ssl.CERT_REQUIRED
                self._context.load_verify_locations(client_ca)
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE_S)
        for each in self._held:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            plain.settimeout(PATIENCE_S)
            try:
                self._take(plain)
            except OSError:
                plain.close()

    def _take(self, plain: socket.socket) -> None:
        stream = plain if self._context is None else self._context.wrap_socket(plain, server_side=True)
        if self.manner == "cuts":
            stream.recv(100)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.close()
            return
        read = b""
        while chunk := stream.recv(65_536):
            read += chunk
        messages = messages_of(read)
        self.seen += messages
        if self.manner == "is silent":
            self._held.append(stream)
            return
        if self.manner == "ends":
            self.arrived += messages  # before the answer: whoever has it may look
            if isinstance(stream, ssl.SSLSocket):
                stream.unwrap()
        stream.close()


def messages_of(read: bytes) -> Sequence[bytes]:
    """Return the messages of a stream of RFC 5425 frames."""
    found = []
    while read:
        length, _, rest = read.partition(b" ")
        found.append(rest[: int(length)])
        assert len(found[-1]) == int(length), "a frame is not whole"
        read = rest[int(length) :]
    return found
