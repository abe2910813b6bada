"""Command sets, as far as a storage SCP meets them: read with struct, answered with fixed bytes.

Command sets are always implicit VR little endian. Source: PS3.7 Sections 6.3, 9.3 and E.
"""

import struct
from dataclasses import dataclass

from appliance.errors import Malformed
from appliance.intake.statuses import Status

C_STORE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
_RESPONSE = 0x8000
NO_DATA_SET = 0x0101  # (0000,0800): anything else means that a data set follows

_ELEMENT = struct.Struct("<HHI")  # group, element, length
_US = struct.Struct("<H")
_P_DATA = struct.Struct(">BxIIBB")  # one P-DATA-TF with one fragment: PS3.8 Table 9-22

_AFFECTED_CLASS, _REQUESTED_CLASS, _FIELD, _MESSAGE_ID, _DATA_SET_TYPE = 0x0002, 0x0003, 0x0100, 0x0110, 0x0800
_AFFECTED_INSTANCE, _REQUESTED_INSTANCE = 0x1000, 0x1001


@dataclass(frozen=True, slots=True)
class Command:
    """A request as far as we need it; UIDs are as sent, stripped, unchecked."""

    field: int
    message_id: int
    sop_class: str
    sop_instance: str
    has_data_set: bool


def read_command(data: bytes) -> Command:
    """Return the command in a whole command set; raises Malformed if it is none."""
    values: dict[int, bytes] = {}
    offset, end = 0, len(data)
    while offset < end:
        if offset + _ELEMENT.size > end:
            raise Malformed(f"The command set ends within an element (byte {offset}).")
        group, element, length = _ELEMENT.unpack_from(data, offset)
        offset += _ELEMENT.size
        if group or offset + length > end:
            raise Malformed(f"The command set has an element that does not fit (byte {offset}).")
        values[element] = data[offset : offset + length]
        offset += length
    try:
        field, message_id = _number(values[_FIELD]), _number(values[_MESSAGE_ID])
    except KeyError:
        # A C-CANCEL has no message id of its own, and gets no answer.
        if values.get(_FIELD) == _US.pack(C_CANCEL_RQ):
            return Command(C_CANCEL_RQ, 0, "", "", False)
        raise Malformed("The command set has no command field or no message id.") from None
    return Command(
        field,
        message_id,
        _uid(values.get(_AFFECTED_CLASS) or values.get(_REQUESTED_CLASS, b"")),
        _uid(values.get(_AFFECTED_INSTANCE) or values.get(_REQUESTED_INSTANCE, b"")),
        _number(values.get(_DATA_SET_TYPE, _US.pack(NO_DATA_SET))) != NO_DATA_SET,
    )


def expects_no_answer(command: Command) -> bool:
    """Whether nothing is to be said to it: a C-CANCEL, or a response to what nobody asked."""
    return command.field == C_CANCEL_RQ or bool(command.field & _RESPONSE)


def response(command: Command, context: int, status: Status) -> bytes:
    """Return the P-DATA-TF that answers ``command`` with ``status``: UIDs and message id as the peer sent them."""
    parts = []
    if command.sop_class:
        parts.append(_element(_AFFECTED_CLASS, _padded(command.sop_class.encode("latin-1"), b"\0")))
    parts.append(_element(_FIELD, _US.pack(command.field | _RESPONSE)))
    parts.append(_element(0x0120, _US.pack(command.message_id)))
    parts.append(_element(_DATA_SET_TYPE, _US.pack(NO_DATA_SET)))
    parts.append(_element(0x0900, _US.pack(status.code)))
    if status.comment:
        parts.append(_element(0x0902, _padded(status.comment.encode(), b" ")))
    if command.sop_instance:
        parts.append(_element(_AFFECTED_INSTANCE, _padded(command.sop_instance.encode("latin-1"), b"\0")))
    rest = b"".join(parts)
    body = _element(0x0000, struct.pack("<I", len(rest))) + rest
    return _P_DATA.pack(0x04, len(body) + 6, len(body) + 2, context, 0x03) + body


def _element(number: int, value: bytes) -> bytes:
    return _ELEMENT.pack(0, number, len(value)) + value


def _padded(value: bytes, pad: bytes) -> bytes:
    return value + pad if len(value) & 1 else value


def _number(value: bytes) -> int:
    if len(value) != 2:
        raise Malformed("A number of the command set is not two bytes long.")
    return int(_US.unpack(value)[0])


def _uid(value: bytes) -> str:
    return value.decode("latin-1").strip(" \0")
