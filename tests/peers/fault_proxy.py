"""A front before a real archive that does what the test says: it refuses, is late, loses some, or answers half.

    with FaultProxy(orthanc.root, "198.18.64.1", certificate, key) as front:
        front.act = status(503)              # an Act of fake_cloud, for every request until told otherwise
        front.act = ok                       # what the archive says

Each request has a connection of its own, so that a change of name, certificate or address is met at once.
"""

import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import requests

from tests.peers.fake_cloud import Act, ok
from tests.peers.patience import PATIENCE_S
from tests.peers.ports import free_port


class FaultProxy:
    """The front, on https. A context manager; ``stop`` and ``start`` may also be called, and keep the port.

    behind  root of the archive; act: ``status``, ``headers``, ``keep``, ``before_s`` and ``cut`` of it are obeyed
    met     how many requests to store met each act that was not ``ok``
    """

    def __init__(self, behind: str, host: str, certificate: Path, key: Path) -> None:
        self.act = ok
        self.met = 0
        self.port = free_port()
        self._behind = behind
        self._host = host
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(certificate, key)
        self._server: ThreadingHTTPServer | None = None
        self._stopped = threading.Event()

    def show(self, certificate: Path, key: Path) -> None:
        """Show another certificate to whoever connects from now on."""
        self._tls.load_cert_chain(certificate, key)

    def does(self, act: Act) -> None:
        """Do this with every request from now on, and count them anew."""
        self.met, self.act = 0, act

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        self._stopped.clear()
        front = self

        class Handler(BaseHTTPRequestHandler):
            def setup(self) -> None:
                self.request = front._tls.wrap_socket(self.request, server_side=True)
                super().setup()

            def do_POST(self) -> None:
                front._store(self)

            def do_GET(self) -> None:
                front._pass_on(self, b"", None)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away, or did not like the certificate, is part of the play

        self._server = Server((self._host, self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more: who connects is refused."""
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _store(self, handler: BaseHTTPRequestHandler) -> None:
        act = self.act
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if act is not ok:
            self.met += 1
        if act.status >= 300:
            handler.send_response(act.status)
            for name, value in act.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        self._pass_on(handler, _kept(body, handler.headers["Content-Type"], act), act)

    def _pass_on(self, handler: BaseHTTPRequestHandler, body: bytes, act: Act | None) -> None:
        """Give the request to the archive, and its answer back as ``act`` wants it."""
        named = {name: value for name in ("Accept", "Content-Type") if (value := handler.headers[name])}
        said = requests.request(
            handler.command, self._behind + handler.path, headers=named, data=body, timeout=PATIENCE_S
        )
        if act is not None and self._stopped.wait(act.before_s):
            return
        handler.send_response(said.status_code)
        handler.send_header("Content-Type", said.headers.get("Content-Type", "application/dicom+json"))
        handler.send_header("Content-Length", str(len(said.content)))
        handler.end_headers()
        handler.wfile.write(said.content if act is None else said.content[: act.cut])


def _kept(body: bytes, content_type: str, act: Act) -> bytes:
    """Return the multipart body without the parts that ``act`` does not keep."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    assert found is not None, "the request's Content-Type names no boundary"
    line = b"--" + found[1].encode()
    first, *parts, last = body.split(line)
    return line.join([first, *(part for at, part in enumerate(parts) if act.keep(at)), last])
