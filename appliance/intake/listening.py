"""The sockets that callers reach: ours, or those that systemd holds open across our restarts.

A socket of systemd is used and closed, never shut down: shutdown() would end it for systemd too, and the next start
would find a port that refuses everyone. Source: sd_listen_fds(3).
"""

import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from appliance import config
from appliance.errors import CannotStart

log = logging.getLogger(__name__)

_FIRST_FD = 3
_BACKLOG = 256
TLS_NAME = "dicom-tls"  # FileDescriptorName= of the encrypted port's socket unit; any other name is the plain port


@dataclass(frozen=True, slots=True)
class Listener:
    """A listening TCP socket.

    encrypted  whether TLS is spoken on it
    passed     whether systemd holds it too: on stop, who waits in its backlog is left to the next start
    """

    sock: socket.socket
    encrypted: bool
    passed: bool

    @property
    def port(self) -> int:
        """The TCP port it is bound to."""
        return int(self.sock.getsockname()[1])

    def close(self) -> None:
        """Close it, for us only."""
        with contextlib.suppress(OSError):
            self.sock.close()


def listeners(scp: config.Scp, environ: Mapping[str, str]) -> tuple[Listener, ...]:
    """Return the listening sockets: those that systemd passed if there are any, else our own as configured.

    environ  of the process: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES. Raises CannotStart.
    """
    passed = _passed(environ)
    if not passed:
        plain = Listener(_bound(scp.host, scp.port), encrypted=False, passed=False)
        if scp.tls is None:
            return (plain,)
        try:
            return plain, Listener(_bound(scp.host, scp.tls.port), encrypted=True, passed=False)
        except CannotStart:
            plain.close()
            raise
    if scp.tls is None and any(listener.encrypted for listener in passed):
        raise CannotStart(
            f"systemd passed a socket named {TLS_NAME}, but the configuration has no scp.tls. "
            "No image was refused or lost; the receiver has not started. "
            "Add scp.tls to the configuration, or disable the encrypted socket unit."
        )
    if scp.tls is not None and not any(listener.encrypted for listener in passed):
        log.warning(
            "scp.tls is configured, but systemd passed no encrypted socket, so callers of that port are refused; "
            "nothing is lost; start it: systemctl enable --now appliance-dicom-tls.socket"
        )
    return passed


def _passed(environ: Mapping[str, str]) -> tuple[Listener, ...]:
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return ()
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found = []
    for number in range(int(environ.get("LISTEN_FDS", "0"))):
        sock = socket.socket(fileno=_FIRST_FD + number)
        os.set_inheritable(sock.fileno(), False)
        # Not blocking: several processes may accept on it, and another may be quicker after our poll.
        sock.setblocking(False)
        name = names[number] if number < len(names) else ""
        found.append(Listener(sock, encrypted=name == TLS_NAME, passed=True))
    return tuple(found)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise CannotStart(
            f"The DICOM port {port} on {host} cannot be opened: {error.strerror or error}. "
            "No image was refused or lost; the receiver has not started. "
            "See what uses the port with 'ss -ltnp', change scp.host or scp.port, then start again."
        ) from None
    return sock
