"""The port that monitoring asks: /metrics, /health/live, /health/ready, and the status page. It only answers GET.

It belongs on loopback or the management network: it names no patient, but how much a hospital does is its own affair.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from appliance.errors import ApplianceError, CannotStart

log = logging.getLogger(__name__)

IDLE_S = 10.0  # a connection that says nothing for this long is closed
AT_ONCE = 16  # requests answered at once; more are told to come again
POLL_S = 0.05  # how often the server looks whether it is to stop


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    policy: str = "default-src 'none'"  # what a browser may load for it


def as_json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """Return ``content`` as a page of JSON."""
    return Page(json.dumps(content, indent=2).encode() + b"\n", status=status)


Routes = Mapping[str, Callable[[], Page]]


class Web:
    """A small server in threads of its own. ``port`` is the one that it got, if 0 was asked for.

    Raises CannotStart when the address cannot be had.
    """

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        handler = type("Handler", (_Handler,), {"routes": routes, "room": threading.BoundedSemaphore(AT_ONCE)})
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            raise CannotStart(
                f"The watch service cannot listen on {host} port {port}: {error.strerror}. Images go on being received "
                "and forwarded; metrics and health are not shown. See who has the port (ss -ltnp) or change watch.port."
            ) from None
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A caller that went away: the library would print its address and a stack trace."""


class _Handler(BaseHTTPRequestHandler):
    routes: ClassVar[Routes] = {}
    room: ClassVar[threading.BoundedSemaphore]
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answer(self._page())

    def do_HEAD(self) -> None:
        self._answer(self._page())

    def version_string(self) -> str:
        """No word of the versions of Python and the library."""
        return "appliance"

    def log_message(self, format: str, *args: object) -> None:
        """Not logged: a scrape every few seconds is no news, and a path may hold anything."""

    def _page(self) -> Page:
        route = self.routes.get(self.path.partition("?")[0])
        if route is None:
            return as_json({"error": "There is nothing here. Known: " + ", ".join(self.routes)}, HTTPStatus.NOT_FOUND)
        if not self.room.acquire(blocking=False):
            return as_json({"error": "Too many requests at once. Ask again."}, HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            return route()
        except (ApplianceError, OSError) as error:
            log.exception("not shown")
            what = str(error) if isinstance(error, ApplianceError) else type(error).__name__
            return as_json({"error": what}, HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self.room.release()

    def _answer(self, page: Page) -> None:
        self.send_response(page.status)
        for name, value in (
            ("Content-Type", page.kind),
            ("Content-Length", str(len(page.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Security-Policy", page.policy),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)
