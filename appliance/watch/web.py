"""The port that monitoring asks: /metrics, /health/live, /health/ready, and the status page with its forms.

It belongs on loopback or the management network: it names no patient, but how much a hospital does is its own affair.
"""

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import ClassVar
from urllib.parse import parse_qsl

from appliance.errors import ApplianceError, CannotStart

log = logging.getLogger(__name__)

IDLE_S = 10.0  # a connection that says nothing for this long is closed
AT_ONCE = 16  # requests answered at once; more are told to come again
LARGEST_FORM = 16 * 1024  # bytes
MOST_FIELDS = 16
POLL_S = 0.05  # how often the server looks whether it is to stop


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    body: bytes
    kind: str = "application/json"
    status: HTTPStatus = HTTPStatus.OK
    policy: str = "default-src 'none'"  # what a browser may load for it
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as anybody looks at it. Nothing of it is trusted.

    form     fields of a form that was posted
    headers  names in lower case
    peer     address of the caller
    """

    form: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str

    @property
    def is_near(self) -> bool:
        """Whether it came from this machine: through a tunnel, or a reverse proxy on it."""
        address = ip_address(self.peer)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback

    def address(self, named_by: str = "") -> str:
        """Return where the caller is: what the header ``named_by`` of a trusted proxy says, else where it called from.

        Of several addresses the last is the proxy's own word (X-Forwarded-For); what is no address is not believed.
        """
        for text in (self.headers.get(named_by.lower(), "").rpartition(",")[2].strip(), self.peer):
            try:
                address = ip_address(text)
            except ValueError:
                continue
            return str(getattr(address, "ipv4_mapped", None) or address)
        return ""

    @property
    def is_from_elsewhere(self) -> bool:
        """Whether a browser says that another site's page made it (W3C, Fetch Metadata Request Headers)."""
        return self.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")

    def cookie(self, name: str) -> str:
        """Return a cookie's value, "" if there is none."""
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get(name)
        except CookieError:
            return ""
        return "" if found is None else found.value


def as_json(content: object, status: HTTPStatus = HTTPStatus.OK) -> Page:
    """Return ``content`` as a page of JSON."""
    return Page(json.dumps(content, indent=2).encode() + b"\n", status=status)


Routes = Mapping[str, Callable[[Asked], Page]]


def see(path: str, *headers: tuple[str, str]) -> Page:
    """Return the answer that sends a browser to another page of ours, by GET."""
    return Page(b"", "text/plain", HTTPStatus.SEE_OTHER, headers=(("Location", path), *headers))


class Web:
    """A small server in threads of its own. ``port`` is the one that it got, if 0 was asked for.

    routes  path -> what answers GET
    forms   path -> what answers POST

    Raises CannotStart when the address cannot be had.
    """

    def __init__(self, host: str, port: int, routes: Routes, forms: Routes | None = None) -> None:
        room = threading.BoundedSemaphore(AT_ONCE)
        handler = type("Handler", (_Handler,), {"routes": routes, "forms": forms or {}, "room": room})
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
    forms: ClassVar[Routes] = {}
    room: ClassVar[threading.BoundedSemaphore]
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answer(self._page(self.routes, {}))

    def do_HEAD(self) -> None:
        self._answer(self._page(self.routes, {}))

    def do_POST(self) -> None:
        form = self._form() if self.path in self.forms else None
        if form is not None:
            self._answer(self._page(self.forms, form))
            return
        self.close_connection = True  # what was not read is not the next request
        status = HTTPStatus.BAD_REQUEST if self.path in self.forms else HTTPStatus.METHOD_NOT_ALLOWED
        self._answer(as_json({"error": "This is no form of ours. Nothing was done."}, status))

    def version_string(self) -> str:
        """No word of the versions of Python and the library."""
        return "appliance"

    def log_message(self, format: str, *args: object) -> None:
        """Not logged: a scrape every few seconds is no news, and a path may hold anything."""

    def _form(self) -> dict[str, str] | None:
        """Return the fields of the form that was posted, None if it is none."""
        length = self.headers.get("Content-Length", "")
        kind = self.headers.get_content_type()
        if kind != "application/x-www-form-urlencoded" or not (length.isascii() and length.isdigit()):
            return None
        if len(length) > 6 or int(length) > LARGEST_FORM:
            return None
        try:
            return dict(
                parse_qsl(
                    self.rfile.read(int(length)).decode("ascii"),
                    keep_blank_values=True,
                    strict_parsing=True,
                    errors="strict",
                    max_num_fields=MOST_FIELDS,
                )
            )
        except ValueError:
            return None

    def _page(self, routes: Routes, form: Mapping[str, str]) -> Page:
        route = routes.get(self.path.partition("?")[0])
        if route is None:
            return as_json({"error": "There is nothing here. Known: " + ", ".join(self.routes)}, HTTPStatus.NOT_FOUND)
        if not self.room.acquire(blocking=False):
            return as_json({"error": "Too many requests at once. Ask again."}, HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            # One that comes twice is no value that anybody believes: a proxy's beside the caller's own.
            headers = {name.lower(): ", ".join(self.headers.get_all(name, ())) for name in self.headers}
            return route(Asked(form, headers, str(self.client_address[0])))
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
            *page.headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)
