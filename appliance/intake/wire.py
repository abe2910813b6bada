"""One connection as PDUs and fragments: the only place that touches its socket once TLS is settled.

Everything comes through one reusable buffer, so an instance of any size costs the same memory; a PDU longer than what
we announced is therefore let pass. Source: PS3.8 Section 9.3.
"""

import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Collection
from enum import IntEnum, StrEnum
from typing import NamedTuple

from appliance.errors import ApplianceError

BUFFER_BYTES = 256 * 1024  # two PDUs of the size that we announce
_LOOK_UP_S = 0.5  # how often a waiting thread looks whether it was told to hang up
_PDU = struct.Struct(">BxI")  # type, reserved, length
_PDV = struct.Struct(">IBB")  # length, presentation context id, message control header: PS3.8 E.2

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ = 0x01, 0x02, 0x03
P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = 0x04, 0x05, 0x06, 0x07
_TLS_HANDSHAKE = 0x16  # the content type of a ClientHello: RFC 8446 5.1
_COMMAND, _LAST = 0x01, 0x02


class AbortReason(IntEnum):
    """Why we, as the service provider, abort. Source: PS3.8 Table 9-26."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


class End(StrEnum):
    """How an association ended."""

    RELEASED = "released"
    ABORTED_BY_PEER = "aborted-by-peer"
    CLOSED_BY_PEER = "closed-by-peer"  # without release: a cable, a crash, a port scanner
    SILENT = "silent"  # nothing came for idle_s
    VIOLATION = "violation"  # what came is not DICOM's protocol
    TLS_HELLO = "tls-hello"  # TLS began on the port that is not encrypted
    ENDED_BY_US = "ended-by-us"  # we stop and the time to finish was over, or a silent caller made room
    UNEXPECTED = "unexpected"  # our own fault


class Over(ApplianceError):
    """The association is over; ``abort`` says what to tell the peer, None: nothing, or it knows."""

    def __init__(self, end: End, abort: AbortReason | None = None) -> None:
        self.end = end
        self.abort = abort
        super().__init__(end.value)


class Fragment(NamedTuple):
    """The head of one presentation data value; its ``length`` bytes are read with ``Wire.piece``."""

    context: int
    is_command: bool
    is_last: bool
    length: int


class Wire:
    """A connected socket, read through a reusable buffer.

    idle_s is the longest wait for the next byte, and for a send to go on. All methods but ``hang_up`` belong to the
    association's own thread. Reading raises Over.
    """

    def __init__(self, sock: socket.socket, *, idle_s: float) -> None:
        self._sock = sock
        self._idle_s = idle_s
        self._deadline: float | None = None  # monotonic; only while the request comes
        self._sock.settimeout(min(_LOOK_UP_S, idle_s))
        self._view = memoryview(bytearray(BUFFER_BYTES))
        self._start = 0  # the unread bytes are _view[_start:_end]
        self._end = 0
        self._left_in_pdu = 0
        self._hung_up = False

    def request(self, *, longest: int, within_s: float) -> bytes:
        """Return the body of the A-ASSOCIATE-RQ that must come first, at most ``longest`` bytes, within the time."""
        return self.expected({ASSOCIATE_RQ}, longest=longest, within_s=within_s)[1]

    def expected(self, kinds: Collection[int], *, longest: int, within_s: float) -> tuple[int, bytes]:
        """Return type and body of the next PDU, which must be one of ``kinds``, whole, within the time."""
        self._deadline = time.monotonic() + within_s
        kind, length = self._header()
        if kind == ABORT:
            raise Over(End.ABORTED_BY_PEER)
        if kind == _TLS_HANDSHAKE:
            raise Over(End.TLS_HELLO)
        if kind not in kinds:
            raise Over(End.VIOLATION, AbortReason.UNEXPECTED_PDU)
        if length > longest:
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER)
        body = bytearray()
        while len(body) < length:
            body += self.piece(length - len(body))
        self._deadline = None
        return kind, bytes(body)

    def fragment(self) -> Fragment | None:
        """Return the next fragment's head; None when the peer asks for release instead.

        The body of the fragment before must have been read to its end.
        """
        while not self._left_in_pdu:
            kind, length = self._header()
            if kind == P_DATA:
                self._left_in_pdu = length
            elif kind == RELEASE_RQ:
                self._pass_over(length)
                return None
            else:
                self._refuse(kind)
        if self._left_in_pdu < _PDV.size:
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER)
        if self._end - self._start < _PDV.size:
            self._fill(_PDV.size)
        length, context, control = _PDV.unpack_from(self._view, self._start)
        self._start += _PDV.size
        self._left_in_pdu -= 4 + length
        if length < 2 or self._left_in_pdu < 0:
            raise Over(End.VIOLATION, AbortReason.INVALID_PARAMETER)
        return Fragment(context, bool(control & _COMMAND), bool(control & _LAST), length - 2)

    def piece(self, at_most: int) -> memoryview:
        """Return the next bytes, at least one and at most ``at_most``; valid until the next call."""
        if self._start == self._end:
            self._fill(1)
        start = self._start
        self._start = min(self._end, start + at_most)
        return self._view[start : self._start]

    def send(self, data: bytes) -> None:
        """Send all of ``data``; raises Over when the peer is gone or does not read."""
        try:
            self._sock.settimeout(self._idle_s)
            self._sock.sendall(data)
            self._sock.settimeout(min(_LOOK_UP_S, self._idle_s))
        except TimeoutError:
            raise Over(End.SILENT) from None
        except OSError:
            raise Over(End.CLOSED_BY_PEER) from None

    def abort(self, reason: AbortReason) -> None:
        """Send an A-ABORT of the service provider, if it can still be sent."""
        with contextlib.suppress(Over):
            self.send(_PDU.pack(ABORT, 4) + bytes([0, 0, 2, reason]))

    def release(self) -> None:
        """Answer the peer's wish to release."""
        self.send(_PDU.pack(RELEASE_RP, 4) + bytes(4))

    def ask_release(self, within_s: float) -> None:
        """Ask for release and wait for the answer; a peer that gives none loses nothing by it."""
        with contextlib.suppress(Over):
            self.send(_PDU.pack(RELEASE_RQ, 4) + bytes(4))
            self.expected({RELEASE_RP}, longest=4, within_s=within_s)

    def hang_up(self) -> None:
        """From another thread: end the association soon; its own thread still sends the abort."""
        # Only a flag: shutting the socket down here would break the TLS layer that the abort must go through.
        self._hung_up = True

    def linger(self, seconds: float) -> None:
        """Wait until the peer closes, at most ``seconds``, and read what still comes.

        Closing with unread bytes makes the kernel send a reset, which can overtake our last PDU: the caller would see
        a broken connection instead of a rejection.
        """
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            if not isinstance(self._sock, ssl.SSLSocket):
                self._sock.shutdown(socket.SHUT_WR)  # nothing follows: the peer may close at once
            while not self._hung_up and (left := end - time.monotonic()) > 0:
                self._sock.settimeout(left)
                if not self._sock.recv_into(self._view):
                    return

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._sock.close()

    def _header(self) -> tuple[int, int]:
        if self._end - self._start < _PDU.size:
            self._fill(_PDU.size)
        kind, length = _PDU.unpack_from(self._view, self._start)
        self._start += _PDU.size
        return kind, length

    def _fill(self, wanted: int) -> None:
        """Read until ``wanted`` (a few) bytes are there; more if they come along."""
        held = self._end - self._start
        if not held:
            self._start = self._end = 0
        elif self._start + wanted > BUFFER_BYTES:
            self._view[:held] = self._view[self._start : self._end].tobytes()
            self._start, self._end = 0, held
        while self._end - self._start < wanted:
            self._end += self._receive()

    def _receive(self) -> int:
        """Read what is there, at least one byte, and return how much; the waiting looks up now and then."""
        until = self._deadline or time.monotonic() + self._idle_s
        while True:
            if self._hung_up:
                raise Over(End.ENDED_BY_US, AbortReason.NOT_SPECIFIED)
            try:
                got = self._sock.recv_into(self._view[self._end :])
            except TimeoutError:
                got = -1
            except OSError:
                got = 0
            if not got:
                raise Over(End.CLOSED_BY_PEER)
            # A request that trickles in must not keep its place for ever: its deadline counts although bytes come.
            if (got < 0 or self._deadline is not None) and time.monotonic() >= until:
                raise Over(End.SILENT, AbortReason.NOT_SPECIFIED)
            if got > 0:
                return got

    def _pass_over(self, length: int) -> None:
        while length:
            length -= len(self.piece(length))

    def _refuse(self, kind: int) -> None:
        if kind == ABORT:
            raise Over(End.ABORTED_BY_PEER)
        known = kind in (ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, RELEASE_RP)
        raise Over(End.VIOLATION, AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU)
