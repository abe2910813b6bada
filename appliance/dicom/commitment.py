"""What is said in storage commitment: the request's Action Information, the report's Event Information.

Source: PS3.4 Tables J.3-1 and J.3-2; PS3.3 C.14 has the failure reasons.
"""

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.dicom.element import DataSet, Element, Tag, tag_text
from appliance.dicom.encode import pieces_of
from appliance.dicom.encoding import Encoding, encoding_of
from appliance.dicom.scan import Scanner
from appliance.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, syntax_of
from appliance.errors import Malformed

SYNTAXES = (IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG)  # in which requests are read
COMPLETE, WITH_FAILURES = 1, 2  # Event Type ID: Table J.3-2

_TRANSACTION: Tag = 0x00081195
_REFERENCES: Tag = 0x00081199
_CLASS: Tag = 0x00081150
_INSTANCE: Tag = 0x00081155
_FAILED: Tag = 0x00081198
_REASON: Tag = 0x00081197

_UID = re.compile(r"[0-9.]{1,64}")
_ROOM = 1024  # bytes that the reader looks beyond


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that is spoken of, by its original UIDs."""

    sop_class: str
    sop_instance: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: commitment for these instances, each once, in the order of the request."""

    transaction: str
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Event:
    """A report: Event Type ID and Event Information."""

    kind: int
    information: DataSet

    def encoded(self, transfer_syntax: str) -> bytes:
        """Return the Event Information in implicit or explicit VR, little endian."""
        pieces = pieces_of(self.information, _encoding(transfer_syntax))
        return b"".join(piece for piece in pieces if isinstance(piece, bytes))


def read_asked(data: bytes, transfer_syntax: str) -> Asked:
    """Return what the Action Information asks; raises Malformed where it is none, or a UID is missing or no UID.

    transfer_syntax  one of SYNTAXES
    """
    scanner = Scanner(io.BytesIO(data), 0, max_header=len(data) + _ROOM, bulk_from=len(data) + 1)
    found, _ = scanner.data_set(0, len(data), _encoding(transfer_syntax))
    if scanner.trailing:
        raise Malformed("The request for commitment has bytes behind its last element.")
    transaction = _uid(found, _TRANSACTION)
    element = found.get(_REFERENCES)
    items = [] if element is None else element.items
    if not items:
        raise Malformed(f"The request for commitment names no instance in {tag_text(_REFERENCES)}.")
    references = dict.fromkeys(Reference(_uid(item, _CLASS), _uid(item, _INSTANCE)) for item in items)
    return Asked(transaction, tuple(references))


def event_of(asked: Asked, failures: Mapping[Reference, int]) -> Event:
    """Return the report on a request.

    failures  the Failure Reason (0008,1197) of each reference that is not committed to; the others are
    """
    event = DataSet()
    event.put(Element(_TRANSACTION, "UI", asked.transaction.encode()))
    committed = [_item(each) for each in asked.references if each not in failures]
    if committed:
        event.put(Element(_REFERENCES, "SQ", committed))
    if failures:
        failed = [_item(each, failures[each]) for each in asked.references if each in failures]
        event.put(Element(_FAILED, "SQ", failed))
    return Event(WITH_FAILURES if failures else COMPLETE, event)


def _item(reference: Reference, failure: int | None = None) -> DataSet:
    item = DataSet()
    item.put(Element(_CLASS, "UI", reference.sop_class.encode()))
    item.put(Element(_INSTANCE, "UI", reference.sop_instance.encode()))
    if failure is not None:
        item.put(Element(_REASON, "US", failure.to_bytes(2, "little")))
    return item


def _encoding(transfer_syntax: str) -> Encoding:
    syntax = syntax_of(transfer_syntax)
    return encoding_of(implicit=syntax.implicit, little_endian=syntax.little_endian)


def _uid(data_set: DataSet, tag: Tag) -> str:
    element = data_set.get(tag)
    value = element.value.decode("latin-1").strip(" \0") if element and isinstance(element.value, bytes) else ""
    if _UID.fullmatch(value) is None:
        raise Malformed(f"The request for commitment has no UID in {tag_text(tag)}.")
    return value
