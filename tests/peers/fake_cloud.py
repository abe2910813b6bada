"""A scripted DICOMweb destination on loopback: it does what the test says, and remembers what it was given.

    with FakeCloud() as cloud:
        cloud.answers(503, 503, ok)          # one script entry a request; afterwards ``ok`` for ever
        ...
        cloud.stored                          # {SOP Instance UID: DICOM file}

Its ordinary self behaves as Orthanc does where the contract suite looks: it passes the same suite.
"""

import io
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs

import pydicom

from tests.peers.fake_archive import FakeArchive
from tests.peers.ports import free_port

Named = tuple[str, str]  # SOP Class UID, SOP Instance UID


@dataclass(frozen=True)
class Act:
    """What the cloud does with one request. Times in seconds.

    status       of the answer
    headers      added to it
    keep         which of the request's instances are really stored, by their place in it
    name         which of them are named as stored
    fail         place -> Failure Reason of those named as failed
    body         instead of the answer that follows from ``name`` and ``fail``
    xml          answer in native XML
    before_s     wait before answering
    read         bytes of the body to read before answering or closing; None: all
    close        close the connection instead of answering
    cut          send only so many bytes of the answer, then close
    drip_s       wait this long between the bytes of the answer
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    keep: Callable[[int], bool] = lambda _: True
    name: Callable[[int], bool] = lambda _: True
    fail: dict[int, int] = field(default_factory=dict)
    body: bytes | None = None
    xml: bool = False
    before_s: float = 0.0
    read: int | None = None
    close: bool = False
    cut: int | None = None
    drip_s: float = 0.0


ok = Act()
nothing = Act(body=b"", keep=lambda _: False)  # 200, and not a word
slow = Act(before_s=3600)
hangs_up = Act(read=1000, close=True, keep=lambda _: False)
truncated = Act(cut=60)


def omits(*places: int) -> Act:
    """200, with these silently missing."""
    return Act(keep=lambda at: at not in places, name=lambda at: at not in places)


def fails(reasons: dict[int, int], status: int = 202) -> Act:
    """These are named as failed, for their reasons; the others are stored and named."""
    return Act(status, keep=lambda at: at not in reasons, name=lambda at: at not in reasons, fail=reasons)


def status(code: int, **headers: str) -> Act:
    """A bare status: nothing is stored, nothing named. ``Retry_After="3"`` becomes ``Retry-After: 3``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Act(code, named, keep=lambda _: False, body=b"")


class FakeCloud:
    """The cloud. Threads of the server write what the test reads; single assignments, so no lock is needed for reading.

    keeps     True: an instance that it has is not replaced, and yet named as stored, as Orthanc's default does
    authorize given the Authorization header ("" without), says whether to let the request in
    archive   how it is searched and what may be deleted there
    tokens    what the token endpoint hands out, one after the other; the last for ever
    """

    def __init__(self, *, keeps: bool = True) -> None:
        self.keeps = keeps
        self.authorize: Callable[[str], bool] = lambda _: True
        self.tokens: list[dict[str, Any]] = []
        self.token_requests: list[tuple[dict[str, list[str]], str]] = []
        self.stored: dict[str, bytes] = {}
        self.requests: list[list[str]] = []  # SOP Instance UIDs of each request
        self.moments: list[float] = []  # when each request came, monotonic
        self.headers: list[dict[str, str]] = []
        self.bytes_received = 0
        self.connections = 0
        self.discards = False  # True: bodies are read and forgotten, and nothing is named
        self.lets_look = True  # False: 403 to WADO-RS
        self.when: Callable[[list[str]], bool] = lambda _: False  # given a request's UIDs: whether ``then`` is done
        self.then = ok
        self.archive = FakeArchive(self.stored)
        self._script: list[Act] = []
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server: ThreadingHTTPServer | None = None
        self.port = 0

    @property
    def dicomweb(self) -> str:
        """Its DICOMweb root, before ``/studies``."""
        return f"http://127.0.0.1:{self.port}/dicom-web"

    @property
    def token_url(self) -> str:
        """Its OIDC token endpoint."""
        return f"http://127.0.0.1:{self.port}/token"

    def answers(self, *acts: Act | int) -> None:
        """Do these with the next requests, one each; then be ordinary."""
        with self._lock:
            self._script = [status(act) if isinstance(act, int) else act for act in acts]

    def always(self, act: Act | int) -> None:
        """Do this with every request until told otherwise."""
        self.answers(*[act] * 100_000)

    @property
    def sent(self) -> list[str]:
        """Every SOP Instance UID that came, in order."""
        return [uid for request in self.requests for uid in request]

    def instances(self) -> set[str]:
        """What it has stored, as Orthanc's harness says it."""
        return set(self.stored)

    def file(self, sop_instance: str) -> bytes:
        """The DICOM file that it has under this UID."""
        return self.stored[sop_instance]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the port it had before if it had one."""
        self._stopped.clear()
        cloud = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def setup(self) -> None:
                super().setup()
                cloud.connections += 1

            def do_POST(self) -> None:
                if not cloud.archive.answers(self):
                    cloud._token(self) if self.path.startswith("/token") else cloud._store(self)

            def do_GET(self) -> None:
                if not cloud.archive.answers(self):
                    cloud._retrieve(self)

            def do_DELETE(self) -> None:
                cloud.archive.answers(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away is part of the play

        self.port = self.port or free_port()
        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more; what it stored stays."""
        self._stopped.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    # --- the play ---------------------------------------------------------------------------------------------------

    def _next(self) -> Act:
        with self._lock:
            return self._script.pop(0) if self._script else ok

    def _store(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        authorized = self.authorize(handler.headers.get("Authorization", ""))
        act = self._next() if authorized else status(401, WWW_Authenticate="Bearer")
        self.headers.append(dict(handler.headers.items()))
        if self.discards:
            while length > 0:
                length -= (got := len(handler.rfile.read(min(length, 1 << 20))))
                self.bytes_received += got
            self._send(handler, nothing, 200, b"")
            return
        body = handler.rfile.read(length if act.read is None else min(length, act.read))
        self.bytes_received += len(body)
        files = _parts(body, handler.headers["Content-Type"]) if len(body) == length else []
        names = [_name(file) for file in files]
        if self.when([uid for _, uid in names]):
            act = self.then
        with self._lock:
            self.requests.append([uid for _, uid in names])
            self.moments.append(time.monotonic())
            for place, (file, (_, uid)) in enumerate(zip(files, names, strict=True)):
                if act.keep(place) and uid and not (self.keeps and uid in self.stored):
                    self.stored[uid] = file
        if self._stopped.wait(act.before_s) or act.close:
            _hang_up(handler)
            return
        answer = _answer(act, names) if act.body is None else act.body
        unreadable = act is ok and any(not uid for _, uid in names)
        self._send(handler, act, 400 if unreadable else act.status, answer)

    def _send(self, handler: BaseHTTPRequestHandler, act: Act, code: int, answer: bytes) -> None:
        handler.send_response(code)
        for name, value in act.headers.items():
            handler.send_header(name, value)
        if code < 300 and answer:
            handler.send_header("Content-Type", "application/dicom+xml" if act.xml else "application/dicom+json")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        if act.drip_s:
            for at in range(len(answer)):
                handler.wfile.write(answer[at : at + 1])
                if self._stopped.wait(act.drip_s):
                    return
        elif act.cut is not None:
            handler.wfile.write(answer[: act.cut])
            _hang_up(handler)
        else:
            handler.wfile.write(answer)

    def _retrieve(self, handler: BaseHTTPRequestHandler) -> None:
        file = self.stored.get(handler.path.rpartition("/")[2])
        if not self.lets_look or file is None:
            self._send(handler, ok, 404 if self.lets_look else 403, b"")
            return
        body = b"--eyecatcher\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--eyecatcher--\r\n"
        handler.send_response(200)
        handler.send_header("Content-Type", 'multipart/related; type="application/dicom"; boundary=eyecatcher')
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _token(self, handler: BaseHTTPRequestHandler) -> None:
        form = parse_qs(handler.rfile.read(int(handler.headers["Content-Length"])).decode())
        self.token_requests.append((form, handler.headers.get("Authorization", "")))
        token = self.tokens.pop(0) if len(self.tokens) > 1 else (self.tokens or [{"error": "invalid_client"}])[0]
        answer = json.dumps(token).encode()
        handler.send_response(400 if "error" in token else 200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(answer)))
        handler.end_headers()
        handler.wfile.write(answer)


def _hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.close_connection = True
    # A reset, as a killed server or an impatient proxy sends it.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def _parts(body: bytes, content_type: str) -> list[bytes]:
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    assert found is not None, "the request's Content-Type names no boundary"
    pieces = body.split(b"--" + found[1].encode())
    assert pieces[-1].startswith(b"--"), "the request's body has no end"
    return [piece.partition(b"\r\n\r\n")[2][:-2] for piece in pieces[1:-1]]


def _name(file: bytes) -> Named:
    """Return (SOP Class, SOP Instance) of a whole DICOM file; empty for what is none."""
    try:
        data = pydicom.dcmread(
            io.BytesIO(file), stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"]
        )
        return str(data.SOPClassUID), str(data.SOPInstanceUID)
    except Exception:  # noqa: BLE001 - whatever a damaged file does to the reader, the cloud answers
        return "", ""


def _answer(act: Act, names: Iterable[Named]) -> bytes:
    stored, failed = [], []
    for place, (sop_class, uid) in enumerate(names):
        if place in act.fail:
            failed.append((sop_class, uid, act.fail[place]))
        elif act.name(place) and uid:
            stored.append((sop_class, uid, None))
    return _xml(stored, failed) if act.xml else _json(stored, failed)


def _json(stored: list[Any], failed: list[Any]) -> bytes:
    def items(named: list[Any]) -> dict[str, Any]:
        values = [
            {
                "00081150": {"vr": "UI", "Value": [sop_class]},
                "00081155": {"vr": "UI", "Value": [uid]},
                **({} if code is None else {"00081197": {"vr": "US", "Value": [code]}}),
            }
            for sop_class, uid, code in named
        ]
        return {"vr": "SQ", **({"Value": values} if values else {})}

    return json.dumps({"00081198": items(failed), "00081199": items(stored)}).encode()


def _xml(stored: list[Any], failed: list[Any]) -> bytes:
    def attribute(tag: str, vr: str, value: object) -> str:
        return f'<DicomAttribute tag="{tag}" vr="{vr}"><Value number="1">{value}</Value></DicomAttribute>'

    def sequence(tag: str, named: list[Any]) -> str:
        items = "".join(
            f'<Item number="{number}">{attribute("00081150", "UI", sop_class)}{attribute("00081155", "UI", uid)}'
            f"{'' if code is None else attribute('00081197', 'US', code)}</Item>"
            for number, (sop_class, uid, code) in enumerate(named, 1)
        )
        return f'<DicomAttribute tag="{tag}" vr="SQ">{items}</DicomAttribute>'

    return (
        '<?xml version="1.0" encoding="utf-8"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
        f"{sequence('00081198', failed)}{sequence('00081199', stored)}</NativeDicomModel>"
    ).encode()
