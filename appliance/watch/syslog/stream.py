"""TLS to a receiver that has to confirm the end of the connection, and to show how else it ended.

Not by ``ssl.SSLSocket``: its ``unwrap`` takes a fatal alert, as that of a receiver which does not trust us, for the end
that was waited for (OpenSSL marks both alike), and what it never read would count as read. Here what comes after our
end is read, so that an alert raises. A test with a receiver that wants a certificate fails if this is simplified.
"""

import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

CHUNK: Final = 65_536


class Unconfirmed(OSError):
    """The receiver took the connection, and did not say that it read everything."""


def encrypted(plain: socket.socket, context: ssl.SSLContext, host: str, frames: Iterable[bytes], end: float) -> bytes:
    """Send ``frames``, end the connection, and return when the receiver has ended it too: its certificate (DER).

    end  monotonic seconds: TimeoutError after that

    Raises Unconfirmed, ssl.SSLError or another OSError.
    """
    come, go = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(come, go, server_hostname=host)
    try:
        _greet(plain, tls, come, go, end)
        for each in frames:
            tls.write(each)
            _send(plain, tls, come, go)
            in_time(end)
        if _has_ended(tls):  # also: what it has against us, if that has come
            raise Unconfirmed("it ended the connection before us")
        with suppress(ssl.SSLWantReadError):
            tls.unwrap()  # close_notify; nothing is there to be read, so it only sends
        _send(plain, tls, come, go)
        while not _has_ended(tls):
            come.write(_more(plain, end))
        return tls.getpeercert(binary_form=True) or b""
    finally:
        with suppress(OSError):
            plain.sendall(go.read())  # what we have against it


def in_time(end: float) -> None:
    """Raise TimeoutError after ``end``, monotonic seconds."""
    if time.monotonic() > end:
        raise TimeoutError("the receiver is too slow")


def received(plain: socket.socket) -> bytes:
    """Return what comes next, b"" at the end. Raises Unconfirmed when the connection is cut."""
    try:
        return plain.recv(CHUNK)
    except ConnectionError as error:
        raise Unconfirmed("it cut the connection") from error


def _greet(plain: socket.socket, tls: ssl.SSLObject, come: ssl.MemoryBIO, go: ssl.MemoryBIO, end: float) -> None:
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            plain.sendall(go.read())
            come.write(_more(plain, end))
        else:
            plain.sendall(go.read())
            return


def _send(plain: socket.socket, tls: ssl.SSLObject, come: ssl.MemoryBIO, go: ssl.MemoryBIO) -> None:
    try:
        plain.sendall(go.read())
    except ConnectionError:
        with suppress(OSError):
            come.write(plain.recv(CHUNK))  # what it had against us may have come before the cut
        _has_ended(tls)
        raise


def _has_ended(tls: ssl.SSLObject) -> bool:
    """Whether the receiver said that it ended, in what has come. A fatal alert raises ssl.SSLError."""
    try:
        while tls.read(CHUNK):
            pass  # it has nothing to say to us
    except ssl.SSLWantReadError:
        return False
    except ssl.SSLZeroReturnError:
        return True
    return True


def _more(plain: socket.socket, end: float) -> bytes:
    in_time(end)
    more = received(plain)
    if not more:
        raise Unconfirmed("it closed the connection without ending it")
    return more
