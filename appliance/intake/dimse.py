"""Command sets, as far as a storage and commitment SCP meets them: read with struct, answered with fixed bytes.

Command sets are always implicit VR little endian. Source: PS3.7 Sections 6.3, 9.3 and E.
"""

import struct
from dataclasses import dataclass

from appliance.errors import Malformed
from appliance.intake.statuses import Status

C_STORE_RQ, C_ECHO_RQ, C_CANCEL_RQ = 0x0001, 0x0030, 0x0FFF
N_EVENT_REPORT_RQ, N_ACTION_RQ = 0x0100, 0x0130
_RESPONSE = 0x8000
NO_DATA_SET = 0x0101  # (0000,0800): anything else means that a data set follows

_ELEMENT = struct.Struct("<HHI")  # group, element, length
_US = struct.Struct("<H")
_P_DATA = struct.Struct(">BxIIBB")  # one P-DATA-TF with one fragment: PS3.8 Table 9-22

_AFFECTED_CLASS, _REQUESTED_CLASS, _FIELD, _MESSAGE_ID, _DATA_SET_TYPE = 0x0002, 0x0003, 0x0100, 0x0110, 0x0800
_AFFECTED_INSTANCE, _REQUESTED_INSTANCE, _EVENT_TYPE, _ACTION_TYPE = 0x1000, 0x1001, 0x1002, 0x1008
_ANSWERED_ID, _STATUS = 0x0120, 0x0900


@dataclass(frozen=True, slots=True)
class Command:
    """A request as far as we need it; UIDs are as sent, stripped, unchecked.

    action  Action Type ID of an N-ACTION
    """

    field: int
    message_id: int
    sop_class: str
    sop_instance: str
    has_data_set: bool
    action: int | None = None


def read_command(data: bytes) -> Command:
    """Return the command in a whole command set; raises Malformed if it is none."""
    values = _values(data)
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
        _number(values[_ACTION_TYPE]) if _ACTION_TYPE in values else None,
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
    parts.append(_element(_ANSWERED_ID, _US.pack(command.message_id)))
    parts.append(_element(_DATA_SET_TYPE, _US.pack(NO_DATA_SET)))
    parts.append(_element(_STATUS, _US.pack(status.code)))
    if status.comment:
        parts.append(_element(0x0902, _padded(status.comment.encode(), b" ")))
    if command.sop_instance:
        parts.append(_element(_AFFECTED_INSTANCE, _padded(command.sop_instance.encode("latin-1"), b"\0")))
    rest = b"".join(parts)
    return fragment(context, _element(0x0000, struct.pack("<I", len(rest))) + rest, 0x03)


def event_report(context: int, message_id: int, event: int, sop_class: str, sop_instance: str) -> bytes:
    """Return the P-DATA-TF with the command of an N-EVENT-REPORT; its Data Set follows. PS3.7 Table 10.3-1."""
    parts = (
        _element(_AFFECTED_CLASS, _padded(sop_class.encode(), b"\0")),
        _element(_FIELD, _US.pack(N_EVENT_REPORT_RQ)),
        _element(_MESSAGE_ID, _US.pack(message_id)),
        _element(_DATA_SET_TYPE, _US.pack(0x0001)),
        _element(_AFFECTED_INSTANCE, _padded(sop_instance.encode(), b"\0")),
        _element(_EVENT_TYPE, _US.pack(event)),
    )
    rest = b"".join(parts)
    return fragment(context, _element(0x0000, struct.pack("<I", len(rest))) + rest, 0x03)


def fragment(context: int, data: bytes, control: int) -> bytes:
    """Return a P-DATA-TF with one fragment. ``control``: PS3.8 E.2."""
    return _P_DATA.pack(0x04, len(data) + 6, len(data) + 2, context, control) + data


def read_event_answer(data: bytes, message_id: int) -> tuple[int, bool]:
    """Return the status of an N-EVENT-REPORT-RSP, and whether a Data Set follows; raises Malformed if it is none."""
    values = _values(data)
    field, answered = (_number(values.get(each, b"")) for each in (_FIELD, _ANSWERED_ID))
    if field != N_EVENT_REPORT_RQ | _RESPONSE or answered != message_id:
        raise Malformed("The command set is no answer to the report.")
    has_data_set = _number(values.get(_DATA_SET_TYPE, _US.pack(NO_DATA_SET))) != NO_DATA_SET
    return _number(values.get(_STATUS, b"")), has_data_set


def _values(data: bytes) -> dict[int, bytes]:
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
    return values


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
