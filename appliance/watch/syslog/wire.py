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
from appliance.watch.syslog.stream import Unconfirmed, encrypted, in_time, received

APP_NAME: Final = "appliance"
MSGID: Final = "DICOM+RFC3881"  # PS3.15 A.6
BOM: Final = b"\xef\xbb\xbf"  # RFC 5424 6.4: what follows is UTF-8
KINDS: Final = ("not-trusted", "tls", "files", "unconfirmed", "timeout", "unreachable")
MOST_S: Final = 10.0  # of one delivery, over all

_AUTHPRIV: Final = 10  # facility
_WARNING: Final = 4  # severity
_NOTICE: Final = 5


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


def deliver(to: Syslog, frames: Iterable[bytes], *, environment: Mapping[str, str] = os.environ) -> bytes:
    """Send ``frames``, and return when the receiver has read them all: its certificate (DER; b"" without TLS).

    Raises Unconfirmed, ssl.SSLError (not trusted, or it does not trust us) or another OSError; then none counts as
    sent, though some may have arrived. UnicodeError for a name that cannot be one.
    """
    context = _context(to, environment) if to.tls else None
    end = time.monotonic() + MOST_S
    with socket.create_connection((to.host, to.port), timeout=to.timeout_s) as plain:
        if context is not None:
            return encrypted(plain, context, to.host, frames, end)
        for each in frames:
            plain.sendall(each)
            in_time(end)
        plain.shutdown(socket.SHUT_WR)
        while received(plain):
            in_time(end)
        return b""


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
