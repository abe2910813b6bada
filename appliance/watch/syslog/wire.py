"""How audit messages travel: RFC 5424 in RFC 5425's frames, over TLS (PS3.15 A.6).

Syslog has no acknowledgement. But a receiver answers the end of a TLS connection (close_notify) after everything that
came before it (RFC 5425 4.4), so each delivery is one connection, and counts only when the receiver has ended it too.
"""

import os
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from appliance.auditing import Syslog
from appliance.watch.syslog.message import SUCCESS, Message, moment

APP_NAME: Final = "appliance"
MSGID: Final = "DICOM+RFC3881"  # PS3.15 A.6
BOM: Final = b"\xef\xbb\xbf"  # RFC 5424 6.4: what follows is UTF-8
KINDS: Final = ("not-trusted", "tls", "files", "unconfirmed", "timeout", "unreachable")
MOST_S: Final = 10.0  # of one delivery, over all

_AUTHPRIV: Final = 10  # facility
_WARNING: Final = 4  # severity
_NOTICE: Final = 5


class Unconfirmed(OSError):
    """The receiver took the connection, and did not say that it read everything."""


def frame(message: Message, host: str) -> bytes:
    """Return one message with its length before it. ``host``: this machine's name.

    The time is that of the event, so that a message which is sent again is the same.
    """
    priority = 8 * _AUTHPRIV + (_NOTICE if message.outcome == SUCCESS else _WARNING)
    header = f"<{priority}>1 {moment(message.at)} {host} {APP_NAME} - {MSGID} - "
    body = header.encode("ascii") + BOM + message.body
    return b"%d " % len(body) + body  # RFC 5425 4.3


def header_name(text: str) -> str:
    """Return a name as it may stand in the header: printable ASCII without spaces. Source: RFC 5424 6.2.4."""
    return "".join(each for each in text if "!" <= each <= "~")[:255] or "-"


def deliver(to: Syslog, frames: Iterable[bytes], *, environment: Mapping[str, str] = os.environ) -> None:
    """Send ``frames``, and return when the receiver has read them all.

    Raises Unconfirmed, ssl.SSLError (not trusted, or it does not trust us) or another OSError; then none counts as
    sent, though some may have arrived.
    """
    trusted = _context(to, environment) if to.tls else None
    end = time.monotonic() + MOST_S
    with socket.create_connection((to.host, to.port), timeout=to.timeout_s) as plain:
        if trusted is None:
            _send(plain, frames, end)
            plain.shutdown(socket.SHUT_WR)
            _until_closed(plain, end)
            return
        with trusted.wrap_socket(plain, server_hostname=to.host) as stream:
            _send(stream, frames, end)
            _end(stream)


def greet(to: Syslog, *, environment: Mapping[str, str] = os.environ) -> bytes:
    """Connect as ``deliver`` does, send nothing, and return the certificate that was shown (PEM; b"" without TLS)."""
    if not to.tls:
        deliver(to, [])
        return b""
    with (
        socket.create_connection((to.host, to.port), timeout=to.timeout_s) as plain,
        _context(to, environment).wrap_socket(plain, server_hostname=to.host) as stream,
    ):
        shown = ssl.DER_cert_to_PEM_cert(stream.getpeercert(binary_form=True) or b"").encode()
        _end(stream)
        return shown


def kind(error: OSError | UnicodeError) -> str:
    """Return which of KINDS an error of ``deliver`` is."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "not-trusted"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, FileNotFoundError | PermissionError):
        return "files"
    if isinstance(error, Unconfirmed):
        return "unconfirmed"
    return "timeout" if isinstance(error, TimeoutError) else "unreachable"


def _context(to: Syslog, environment: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=to.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # PS3.15 A.6
    if to.certificate is not None and to.key is not None:
        context.load_cert_chain(to.certificate, _place(to.key, environment))
    return context


def _place(key: Path, environment: Mapping[str, str]) -> Path:
    """Return the systemd credential of the file's name if there is one, else the file."""
    folder = environment.get("CREDENTIALS_DIRECTORY", "")
    credential = Path(folder) / key.name
    return credential if folder and credential.is_file() else key


def _send(stream: socket.socket, frames: Iterable[bytes], end: float) -> None:
    for each in frames:
        if time.monotonic() > end:
            raise TimeoutError("the receiver reads too slowly")
        stream.sendall(each)


def _end(stream: ssl.SSLSocket) -> None:
    """Say that this was all, and wait for the receiver to say so too. What it has against us is told here as well."""
    try:
        stream.unwrap()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError) as error:
        raise Unconfirmed("it ended the connection without an answer") from error


def _until_closed(plain: socket.socket, end: float) -> None:
    while plain.recv(4096):
        if time.monotonic() > end:
            raise Unconfirmed("it does not end the connection")
