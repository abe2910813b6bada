"""Storage commitment as the provider: the report, on an association of our own. Source: PS3.4 Annex J.3.3.

The roles are turned about (PS3.7 D.3.3.4): whoever calls is the provider here, and proposes so. Written by hand, since
pynetdicom 3.0.4 binds its sockets, which the unit of the receiver denies, and sends nothing to a peer that leaves the
role unanswered.
"""

import contextlib
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.commitment import Commitment
from appliance.dicom.commitment import Event
from appliance.dicom.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from appliance.errors import ApplianceError, Malformed
from appliance.intake import associate, dimse
from appliance.intake.associate import item_of, items_of
from appliance.intake.sop_classes import APPLICATION_CONTEXT, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE
from appliance.intake.wire import ASSOCIATE_AC, ASSOCIATE_RJ, End, Over, Wire

_CONTEXT = 1
_TAKES = 16384  # bytes of a P-DATA-TF that we announce; answers are short
_LONGEST = 64 * 1024  # of what answers
_SMALLEST_PDU = 4096  # a peer that announces less is taken at this: PS3.8 D.1 has no lower bound, and some say 1
_LARGEST_PDU = 128 * 1024
_RELEASE_S = 2.0
_WARNINGS = frozenset({0x0001, 0x0107, 0x0116})  # PS3.7 Annex C.4: it was carried out all the same
_WORDS = {
    End.ABORTED_BY_PEER: "the peer aborted the association",
    End.CLOSED_BY_PEER: "the peer closed the connection",
    End.SILENT: "the peer did not answer",
}


class NotTaken(ApplianceError):
    """The peer could not be called, or gave no answer; the message is a phrase that says which."""


def report(
    to: Commitment, calling: str, events: Sequence[Event], *, encryption: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Call the peer, and yield for each event in turn the status that it was answered with; 0: taken.

    Raises NotTaken when the peer accepts no association or context, or stops answering: events without a status are
    not taken. Each connection, request and pause is waited for ``to.timeout_s`` at most.

    encryption  of peers with ``to.tls``
    """
    with _connected(to, encryption) as sock:
        wire = Wire(sock, idle_s=to.timeout_s)
        try:
            syntax, longest = _associated(wire, to, calling)
            for number, event in enumerate(events, start=1):
                yield _sent(wire, number, event, syntax, longest)
            wire.ask_release(_RELEASE_S)
        except Over as over:
            raise NotTaken(_WORDS.get(over.end, "the peer broke the protocol")) from None
        except Malformed:
            raise NotTaken("the peer's answer could not be read") from None


def _connected(to: Commitment, encryption: ssl.SSLContext | None) -> socket.socket:
    if to.tls and encryption is None:
        raise NotTaken("it wants TLS, and scp.tls has none")
    try:
        sock = socket.create_connection((to.host, to.port), timeout=to.timeout_s)
    except OSError as error:
        raise NotTaken(f"the peer could not be reached: {error.strerror or 'no answer'}") from None
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not to.tls or encryption is None:
        return sock
    try:
        return encryption.wrap_socket(sock)
    except OSError as error:
        sock.close()
        why = getattr(error, "reason", None) or type(error).__name__
        raise NotTaken(f"the TLS handshake failed: {why}") from None


def _associated(wire: Wire, to: Commitment, calling: str) -> tuple[str, int]:
    """Return the accepted transfer syntax, and how long a P-DATA-TF may be."""
    wire.send(_request(calling, to.ae_title))
    kind, body = wire.expected({ASSOCIATE_AC, ASSOCIATE_RJ}, longest=_LONGEST, within_s=to.timeout_s)
    if kind == ASSOCIATE_RJ:
        said = ", ".join(str(number) for number in body[1:4])
        raise NotTaken(f"the peer rejected the association (PS3.8 Table 9-21: {said})")
    syntax, longest = "", 0
    for item, value in items_of(body, 68):
        if item == associate.ANSWERED_CONTEXT and value[2:3] == bytes([associate.ACCEPTED]):
            syntax = next((_text(each) for sub, each in items_of(value, 4) if sub == associate.TRANSFER_SYNTAX), "")
        elif item == associate.USER_INFORMATION:
            # Whether the role was answered is not looked at: some peers accept it without a word.
            found = (each for sub, each in items_of(value, 0) if sub == associate.MAXIMUM_LENGTH)
            longest = int.from_bytes(next(found, b"")[:4], "big")
    if syntax not in (EXPLICIT_LITTLE, IMPLICIT_LITTLE):
        raise NotTaken("the peer accepts no reports of storage commitment")
    return syntax, max(_SMALLEST_PDU, min(longest or _LARGEST_PDU, _LARGEST_PDU))


def _request(calling: str, called: str) -> bytes:
    """Return the A-ASSOCIATE-RQ. Source: PS3.8 Table 9-11, PS3.7 Table D.3-9."""
    syntaxes = b"".join(
        item_of(associate.TRANSFER_SYNTAX, each.encode()) for each in (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
    )
    name = STORAGE_COMMITMENT.encode()
    context = struct.pack(">B3x", _CONTEXT) + item_of(associate.ABSTRACT_SYNTAX, name) + syntaxes
    user = (
        item_of(associate.MAXIMUM_LENGTH, struct.pack(">I", _TAKES)),
        item_of(associate.CLASS_UID, IMPLEMENTATION_CLASS_UID.encode()),
        item_of(associate.ROLE, struct.pack(">H", len(name)) + name + bytes([0, 1])),  # not SCU, but SCP
        item_of(associate.VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode()),
    )
    items = (
        item_of(associate.APPLICATION_CONTEXT_ITEM, APPLICATION_CONTEXT.encode()),
        item_of(associate.PROPOSED_CONTEXT, context),
        item_of(associate.USER_INFORMATION, b"".join(user)),
    )
    titles = called.encode("ascii").ljust(16) + calling.encode("ascii").ljust(16)
    body = struct.pack(">Hxx", 1) + titles + bytes(32) + b"".join(items)
    return struct.pack(">BxI", 1, len(body)) + body


def _sent(wire: Wire, number: int, event: Event, syntax: str, longest: int) -> int:
    """Send one report and return the status of its answer."""
    wire.send(dimse.event_report(_CONTEXT, number, event.kind, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE))
    data = event.encoded(syntax)
    step = longest - 6
    for start in range(0, len(data), step):
        is_last = start + step >= len(data)
        wire.send(dimse.fragment(_CONTEXT, data[start : start + step], 0x02 if is_last else 0x00))
    status, has_reply = dimse.read_event_answer(_gathered(wire, is_command=True), number)
    if has_reply:
        _gathered(wire, is_command=False)
    return 0 if status in _WARNINGS else status


def _gathered(wire: Wire, *, is_command: bool) -> bytes:
    parts = bytearray()
    while True:
        fragment = wire.fragment()
        if fragment is None or fragment.is_command is not is_command or len(parts) + fragment.length > _LONGEST:
            raise Over(End.VIOLATION)
        left = fragment.length
        while left:
            piece = wire.piece(left)
            parts += piece
            left -= len(piece)
        if fragment.is_last:
            return bytes(parts)


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")
