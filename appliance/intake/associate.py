"""Reading what a caller asks for (A-ASSOCIATE-RQ) and writing what it gets (A-ASSOCIATE-AC, -RJ).

Written by hand rather than taken from pynetdicom 3.0.4, whose parser refuses a whole association for one item of an
unknown type or one AE title outside ASCII; the Standard says that unknown items are ignored. Source: PS3.8 Section 9.3.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.dicom.commitment import SYNTAXES as COMMITMENT_SYNTAXES
from appliance.errors import Malformed
from appliance.intake.sop_classes import APPLICATION_CONTEXT, STORAGE_COMMITMENT, VERIFICATION, is_storage

_ITEM = struct.Struct(">BxH")  # item type, reserved, item length: Table 9-12
_PDU = struct.Struct(">BxI")
_FIXED = struct.Struct(">Hxx16s16s32x")  # protocol version, called and calling AE title: Table 9-11
_HIGHEST_CONTEXTS = 128  # odd ids 1 to 255: PS3.8 7.1.1.13

APPLICATION_CONTEXT_ITEM, PROPOSED_CONTEXT, ANSWERED_CONTEXT = 0x10, 0x20, 0x21
ABSTRACT_SYNTAX, TRANSFER_SYNTAX, USER_INFORMATION = 0x30, 0x40, 0x50
MAXIMUM_LENGTH, CLASS_UID, ASYNC_WINDOW, ROLE, VERSION_NAME = 0x51, 0x52, 0x53, 0x54, 0x55

# Results of a presentation context. Source: PS3.8 Table 9-18
ACCEPTED, USER_REJECTION, ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 0, 1, 3, 4

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_LONGEST_UID = 64
_IMPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2"


class Rejection(Enum):
    """Why an association is rejected: (result, source, reason), and a label. Source: PS3.8 Table 9-21.

    Permanent means: do not try again unchanged. What passes by itself is transient, so that modalities retry.
    """

    UNKNOWN_CALLER = (1, 1, 3)
    UNKNOWN_CALLED = (1, 1, 7)
    UNKNOWN_APPLICATION = (1, 1, 2)
    UNKNOWN_PROTOCOL = (1, 2, 2)
    TOO_MANY = (2, 3, 2)  # transient, local limit exceeded
    CONGESTION = (2, 3, 1)  # transient, temporary congestion: under the reserve, or shutting down

    @property
    def label(self) -> str:
        """The name in metrics and logs: a closed set."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposed presentation context: an abstract syntax, and transfer syntaxes in the sender's order."""

    context: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for. AE titles are raw text from the network: stripped, at most 16 characters, unchecked.

    titles      the 32 bytes of both AE titles as sent; the answer repeats them
    max_length  of a P-DATA-TF that the caller takes; 0: unlimited
    roles       SOP Class UID -> (wants to be SCU, wants to be SCP)
    """

    called_ae: str
    calling_ae: str
    titles: bytes
    protocol: int
    application: str
    proposals: tuple[Proposal, ...]
    max_length: int = 0
    implementation: str = ""
    version_name: str = ""
    asks_for_window: bool = False
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Context:
    """One answered presentation context; ``result`` 0 is accepted."""

    context: int
    abstract_syntax: str
    transfer_syntax: str
    result: int


def read_request(body: bytes) -> Request:
    """Return what the body of an A-ASSOCIATE-RQ (without the six bytes of PDU header) asks for.

    Items of unknown types are passed over. Raises Malformed where lengths contradict each other or a context id is
    not odd or comes twice: an answer to it could not be understood.
    """
    if len(body) < _FIXED.size:
        raise Malformed(f"The association request ends after {len(body)} bytes; it must have at least {_FIXED.size}.")
    protocol, called, calling = _FIXED.unpack_from(body)
    application = ""
    proposals: list[Proposal] = []
    user: dict[int, bytes] = {}
    roles: dict[str, tuple[bool, bool]] = {}
    for kind, value in items_of(body, _FIXED.size):
        if kind == APPLICATION_CONTEXT_ITEM:
            application = _uid(value)
        elif kind == PROPOSED_CONTEXT:
            proposals.append(_proposal(value))
        elif kind == USER_INFORMATION:
            for sub, content in items_of(value, 0):
                user[sub] = content
                if sub == ROLE:
                    roles.update(_role(content))
    ids = [proposal.context for proposal in proposals]
    if len(set(ids)) != len(ids) or any(not number & 1 for number in ids) or len(ids) > _HIGHEST_CONTEXTS:
        raise Malformed("The presentation context ids of the association request are not odd and different.")
    length = user.get(MAXIMUM_LENGTH, b"")
    return Request(
        _text(called),
        _text(calling),
        body[4:36],
        protocol,
        application,
        tuple(proposals),
        int.from_bytes(length[:4], "big"),
        _uid(user.get(CLASS_UID, b"")),
        _text(user.get(VERSION_NAME, b"")),
        ASYNC_WINDOW in user,
        roles,
    )


def negotiate(request: Request, *, commitment: bool = False) -> tuple[Context, ...]:
    """Return our answer to each proposed context, in the order of the proposals.

    Verification and every storage class are accepted, in the sender's first transfer syntax that is a UID at all:
    what it puts first costs it least, and we store any syntax byte for byte. A caller that wants to be the SCP of a
    class only (for C-GET) is refused that context.

    commitment  storage commitment is accepted too, in a transfer syntax that its requests are read in
    """
    return tuple(_answer(proposal, request.roles, commitment) for proposal in request.proposals)


def acceptance(request: Request, contexts: tuple[Context, ...], max_length: int) -> bytes:
    """Return the A-ASSOCIATE-AC PDU. Source: PS3.8 Table 9-17; PS3.7 D.3.3."""
    items = [item_of(APPLICATION_CONTEXT_ITEM, APPLICATION_CONTEXT.encode())]
    for context in contexts:
        syntax = item_of(TRANSFER_SYNTAX, context.transfer_syntax.encode("latin-1"))
        items.append(item_of(ANSWERED_CONTEXT, struct.pack(">BxBx", context.context, context.result) + syntax))
    user = [
        item_of(MAXIMUM_LENGTH, struct.pack(">I", max_length)),
        item_of(CLASS_UID, IMPLEMENTATION_CLASS_UID.encode()),
    ]
    if request.asks_for_window:
        # Without this answer some callers take the window they proposed for granted: one operation at a time.
        user.append(item_of(ASYNC_WINDOW, struct.pack(">HH", 1, 1)))
    accepted = {context.abstract_syntax for context in contexts if context.result == ACCEPTED}
    for sop_class, (as_scu, _as_scp) in request.roles.items():
        if sop_class in accepted:
            name = sop_class.encode("latin-1")
            user.append(item_of(ROLE, struct.pack(">H", len(name)) + name + bytes([as_scu, 0])))
    user.append(item_of(VERSION_NAME, IMPLEMENTATION_VERSION_NAME.encode()))
    items.append(item_of(USER_INFORMATION, b"".join(user)))
    body = struct.pack(">Hxx", 1) + request.titles + bytes(32) + b"".join(items)
    return _PDU.pack(0x02, len(body)) + body


def rejection(why: Rejection) -> bytes:
    """Return the A-ASSOCIATE-RJ PDU. Source: PS3.8 Table 9-21."""
    return _PDU.pack(0x03, 4) + bytes([0, *why.value])


def _answer(proposal: Proposal, roles: dict[str, tuple[bool, bool]], commitment: bool) -> Context:
    asks_commitment = proposal.abstract_syntax == STORAGE_COMMITMENT
    if asks_commitment:
        possible = [syntax for syntax in proposal.transfer_syntaxes if syntax in COMMITMENT_SYNTAXES]
    else:
        possible = [syntax for syntax in proposal.transfer_syntaxes if is_uid(syntax)]
    syntax = possible[0] if possible else _IMPLICIT_LITTLE_ENDIAN
    as_scu, _as_scp = roles.get(proposal.abstract_syntax, (True, False))
    if not (commitment if asks_commitment else _is_served(proposal.abstract_syntax)):
        result = ABSTRACT_SYNTAX_NOT_SUPPORTED
    elif not possible:
        result = TRANSFER_SYNTAXES_NOT_SUPPORTED
    else:
        result = ACCEPTED if as_scu else USER_REJECTION
    return Context(proposal.context, proposal.abstract_syntax, syntax, result)


def _is_served(abstract_syntax: str) -> bool:
    return is_uid(abstract_syntax) and (abstract_syntax == VERIFICATION or is_storage(abstract_syntax))


def is_uid(text: str) -> bool:
    """Whether ``text`` has the form of a UID: digits and single dots, at most 64. Leading zeros are let pass."""
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def items_of(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of each item; raises Malformed where one reaches beyond the end."""
    while offset < len(data):
        if offset + _ITEM.size > len(data):
            raise Malformed(f"The association request ends within the head of an item (byte {offset}).")
        kind, length = _ITEM.unpack_from(data, offset)
        offset += _ITEM.size
        if offset + length > len(data):
            raise Malformed(f"An item of the association request is longer than what holds it (byte {offset}).")
        yield kind, data[offset : offset + length]
        offset += length


def _proposal(value: bytes) -> Proposal:
    if len(value) < 4:
        raise Malformed("A presentation context of the association request has no id.")
    abstract = ""
    transfer = []
    for kind, content in items_of(value, 4):
        if kind == ABSTRACT_SYNTAX:
            abstract = _uid(content)
        elif kind == TRANSFER_SYNTAX:
            transfer.append(_uid(content))
    return Proposal(value[0], abstract, tuple(transfer))


def _role(content: bytes) -> dict[str, tuple[bool, bool]]:
    """Return the one role selection of the item; nothing where its length is wrong. Source: PS3.7 Table D.3-9."""
    length = int.from_bytes(content[:2], "big")
    if len(content) < 4 + length:
        return {}
    return {_uid(content[2 : 2 + length]): (content[2 + length] == 1, content[3 + length] == 1)}


def item_of(kind: int, value: bytes) -> bytes:
    """Return an item. Source: PS3.8 Table 9-12."""
    return _ITEM.pack(kind, len(value)) + value


def _uid(value: bytes) -> str:
    """Return the text of a UID; some senders pad it with a zero byte or a blank."""
    return value.decode("latin-1").strip(" \0")


def _text(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")
