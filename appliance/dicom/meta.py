"""File Meta: who an instance is and how it came, before the Data Set. Source: PS3.10 Section 7.1.

Written by hand, because it is written for every C-STORE. The Data Set behind it stays byte for byte as received; so
the file itself carries what its row needs, and recovery can make the row from the file.
"""

import json
import struct
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, BinaryIO, Self

from appliance import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from appliance.dicom.element import Element, tag_text
from appliance.dicom.encoding import LONG_VRS, SHORT_VRS, UNDEFINED
from appliance.errors import Malformed, NotDicom
from appliance.model import UNLISTED, Provenance, is_source

PREAMBLE = bytes(128)
PREFIX = b"DICM"
DATA_SET_BEGINS = 132  # in a file with preamble, if there were no File Meta
PRIVATE_CREATOR_UID = "2.25.83811075677748629293532280550820469708"  # says that 0002,0102 is our JSON

_HEAD = struct.Struct("<HH2sH")
_LONG = struct.Struct("<L")
_AT_FIRST = 4096  # bytes; more is read when File Meta is longer
_AT_MOST = 16 * 1024 * 1024
_URI = "dicom://"  # of 0002,0027: PS3.10 Section 7.1

SOP_CLASS, SOP_INSTANCE, TRANSFER_SYNTAX = 0x00020002, 0x00020003, 0x00020010
SOURCE_AE, SENDING_AE, RECEIVING_AE, SENDING_ADDRESS = 0x00020016, 0x00020017, 0x00020018, 0x00020027
PRIVATE_CREATOR, PRIVATE_INFORMATION = 0x00020100, 0x00020102


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What File Meta says. Texts are as sent: a wrong UID or AE title is kept, never refused here.

    peer     address of the sender
    private  our Private Information (0002,0102); b"" for none, and when the file's is another maker's
    """

    sop_class: str
    sop_instance: str
    transfer_syntax: str
    source_ae: str = ""
    sending_ae: str = ""
    receiving_ae: str = ""
    peer: str = ""
    private: bytes = b""

    def encode(self) -> bytes:
        """Return preamble, prefix and group 2: what stands in a file before the Data Set."""
        group = _always(self.sop_class, self.sop_instance, self.transfer_syntax)
        if self.source_ae:
            group += _short(0x16, b"AE", self.source_ae, b" ")
        if self.sending_ae:
            group += _short(0x17, b"AE", self.sending_ae, b" ")
        if self.receiving_ae:
            group += _short(0x18, b"AE", self.receiving_ae, b" ")
        if self.peer:
            group += _long(0x27, b"UR", (_URI + self.peer).encode("latin-1", "replace"), b" ")
        if self.private:
            group += _short(0x100, b"UI", PRIVATE_CREATOR_UID, b"\0")
            group += _long(0x102, b"OB", self.private, b"\0")
        return b"".join((PREAMBLE, PREFIX, _HEAD.pack(2, 0, b"UL", 4), _LONG.pack(len(group)), group))

    @classmethod
    def decode(cls, file: BinaryIO) -> Self:
        """Read the File Meta at the beginning of ``file``. Raises NotDicom without one, Malformed if it is broken."""
        _, elements, _ = read_group_two(file)
        if not elements:
            raise NotDicom("The file has no File Meta.")
        return cls.of(elements)

    @classmethod
    def of(cls, elements: dict[int, Element]) -> Self:
        """Return what the elements of group 2 say; "" where they say nothing."""
        ours = _text(elements, PRIVATE_CREATOR) == PRIVATE_CREATOR_UID
        return cls(
            sop_class=_text(elements, SOP_CLASS),
            sop_instance=_text(elements, SOP_INSTANCE),
            transfer_syntax=_text(elements, TRANSFER_SYNTAX),
            source_ae=_text(elements, SOURCE_AE),
            sending_ae=_text(elements, SENDING_AE),
            receiving_ae=_text(elements, RECEIVING_AE),
            peer=_text(elements, SENDING_ADDRESS).removeprefix(_URI),
            private=_value(elements, PRIVATE_INFORMATION) if ours else b"",
        )


def provenance_to_meta(provenance: Provenance, sop_class: str, sop_instance: str, transfer_syntax: str) -> FileMeta:
    """Return the File Meta of an original: the whole provenance travels in it."""
    return FileMeta(
        sop_class,
        sop_instance,
        transfer_syntax,
        source_ae=provenance.calling_ae,
        sending_ae=provenance.calling_ae,
        receiving_ae=provenance.called_ae,
        peer=provenance.peer,
        private=_provenance_json(provenance),
    )


def provenance_from_meta(meta: FileMeta) -> Provenance:
    """Return the provenance that ``provenance_to_meta`` put in; for a file of another maker, what its File Meta says.

    Never raises, and never returns a source that may not stand in a path: such a one becomes ``unlisted``.
    """
    facts: dict[str, Any] = {}
    try:
        loaded = json.loads(meta.private.rstrip(b"\0") or b"{}")
        facts = {name: loaded[name] for name, kind in _FIELDS.items() if type(loaded.get(name)) is kind}
    except (ValueError, AttributeError, RecursionError):
        facts = {}
    if not is_source(facts.get("source", "")):
        facts["source"] = UNLISTED
    facts.setdefault("calling_ae", meta.sending_ae)
    facts.setdefault("called_ae", meta.receiving_ae)
    facts.setdefault("peer", meta.peer)
    return Provenance(**facts)


_FIELDS = {name: type(value) for name, value in asdict(Provenance(source="")).items()}


@lru_cache(maxsize=1024)
def _provenance_json(provenance: Provenance) -> bytes:
    return json.dumps(asdict(provenance), separators=(",", ":")).encode()


def _always(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    return b"".join(
        (
            _VERSION,
            _short(0x02, b"UI", sop_class, b"\0"),
            _short(0x03, b"UI", sop_instance, b"\0"),
            _short(0x10, b"UI", transfer_syntax, b"\0"),
            _OURS,
        )
    )


def _short(element: int, vr: bytes, text: str, padding: bytes) -> bytes:
    value = text.encode("latin-1", "replace")[:0xFFFE]
    if len(value) & 1:
        value += padding
    return _HEAD.pack(2, element, vr, len(value)) + value


def _long(element: int, vr: bytes, value: bytes, padding: bytes) -> bytes:
    if len(value) & 1:
        value += padding
    return _HEAD.pack(2, element, vr, 0) + _LONG.pack(len(value)) + value


_VERSION = _long(0x01, b"OB", b"\0\1", b"")
_OURS = _short(0x12, b"UI", IMPLEMENTATION_CLASS_UID, b"\0") + _short(0x13, b"SH", IMPLEMENTATION_VERSION_NAME, b" ")


def _value(elements: dict[int, Element], tag: int) -> bytes:
    element = elements.get(tag)
    return element.value if element is not None and isinstance(element.value, bytes) else b""


def _text(elements: dict[int, Element], tag: int) -> str:
    return _value(elements, tag).decode("latin-1").strip(" \0")


class _MoreNeeded(Exception):
    """File Meta goes on behind what was read."""


def read_group_two(file: BinaryIO) -> tuple[bytes, dict[int, Element], int]:
    """Return (preamble or b"", the elements of group 2, offset of what follows them).

    A file that begins with group 2 without a preamble is read as well; one with neither gives (b"", {}, 0).
    Raises NotDicom for an empty file, Malformed when group 2 contradicts itself or ends early.
    """
    want = _AT_FIRST
    while True:
        file.seek(0)
        data = file.read(want)
        try:
            return _group_two(data, whole=len(data) < want)
        except _MoreNeeded:
            if len(data) < want:
                raise Malformed("The file ends within its File Meta.") from None
            if want >= _AT_MOST:
                raise Malformed("The File Meta is longer than 16 MiB.") from None
            want *= 16


def _group_two(data: bytes, *, whole: bool) -> tuple[bytes, dict[int, Element], int]:
    if not data:
        raise NotDicom("The file is empty.")
    prefixed = data[128:132] == PREFIX
    at = DATA_SET_BEGINS if prefixed else 0
    if not prefixed and (data[:2] != b"\2\0" or data[4:6] not in SHORT_VRS.keys() | LONG_VRS.keys()):
        return b"", {}, 0
    elements: dict[int, Element] = {}
    while True:
        if len(data) < at + 8:
            if whole and elements and data[at : at + 2] != b"\2\0":  # a deflated empty Data Set has two bytes
                return data[:128] if prefixed else b"", elements, at
            raise _MoreNeeded
        group, number, code, length = _HEAD.unpack_from(data, at)
        if group != 2:
            return data[:128] if prefixed else b"", elements, at
        start, vr = at + 8, SHORT_VRS.get(code)
        if vr is None:
            vr, start = LONG_VRS.get(code), at + 12
            length = _LONG.unpack_from(data, at + 8)[0] if len(data) >= start else 0
        where = f"{tag_text(0x00020000 | number)} at byte {at}"
        if vr is None or length == UNDEFINED:
            raise Malformed(f"{where} is no explicit VR element, as File Meta must be.")
        if len(data) < start + length:
            raise _MoreNeeded
        tag = 0x00020000 | number
        elements[tag] = Element(tag, vr, data[start : start + length])
        at = start + length
