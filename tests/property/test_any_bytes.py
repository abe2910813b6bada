"""Whatever the bytes: a tree that can be written and read again as the same, or NotDicom, or Malformed."""

import io
import os
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.dicom import part10
from appliance.dicom.element import Bulk, DataSet, Element, walk
from appliance.dicom.media import listed_files
from appliance.dicom.meta import FileMeta, provenance_from_meta
from appliance.dicom.sniff import identify
from appliance.dicom.unknown import sequence_in_unknown
from appliance.errors import Malformed, NotDicom
from tests.make import make

SYNTAXES = (make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.DEFLATED, make.RLE, make.UNKNOWN)
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))


@cache
def _originals() -> tuple[bytes, ...]:
    sets = (make.with_private(make.ct(frames=2, size=4)), make.sr(), make.presentation_state())
    return tuple(
        make.file(data, syntax, preamble=preamble) for data in sets for syntax in SYNTAXES for preamble in (True, False)
    ) + tuple(
        make.file(data, syntax, meta=False, preamble=False)
        for data in sets
        for syntax in (make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN)
    )


@st.composite
def damaged(draw: Callable[..., object]) -> bytes:
    """A valid file with bytes changed, removed, added, repeated or cut."""
    body = bytearray(draw(st.sampled_from(_originals())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        match draw(st.sampled_from(["set", "length", "tag", "delete", "insert", "repeat", "cut"])):
            case "set":
                body[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "length":
                body[at : at + 4] = draw(
                    st.sampled_from([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\1\0\0\0"])
                )
            case "tag":
                body[at : at + 4] = draw(
                    st.sampled_from(
                        [b"\xfe\xff\0\xe0", b"\xfe\xff\r\xe0", b"\xfe\xff\xdd\xe0", b"\xe0\x7f\x10\0", b"UNSQ"]
                    )
                )
            case "delete":
                del body[at : at + draw(st.integers(1, 40))]
            case "insert":
                body[at:at] = draw(st.binary(min_size=1, max_size=40))
            case "repeat":
                body[at:at] = body[at : at + draw(st.integers(1, 80))]
            case "cut":
                del body[at:]
    return bytes(body)


def _values(data: DataSet, source: io.BytesIO) -> list[object]:
    """The tree as plain values, bulk read, group lengths left out, odd lengths padded."""
    told: list[object] = []
    for tag in sorted(data.elements):
        value = data.elements[tag].value
        if tag & 0xFFFF == 0:
            continue
        if isinstance(value, Bulk):
            source.seek(value.offset)
            told.append((tag, value.encapsulated, _even(source.read(value.length), pad=not value.encapsulated)))
        elif isinstance(value, list):
            told.append((tag, [_values(item, source) for item in value]))
        else:
            told.append((tag, _even(value.rstrip(b" \0"))))
    return told


def _even(value: bytes, *, pad: bool = True) -> bytes:
    return value + bytes(len(value) % 2) if pad else value


def _read_or_refused(body: bytes) -> None:
    try:
        read = part10.read(io.BytesIO(body), bulk_from=64)
    except (NotDicom, Malformed) as refusal:
        assert str(refusal).endswith(".")
        return
    written = io.BytesIO()
    try:
        digest = part10.write(FileMeta.of(read.meta.elements), read.dataset, read.transfer_syntax, read.source, written)
    finally:
        for _, element in walk(read.dataset):
            sequence_in_unknown(element, read.source)
    again = part10.read(written, bulk_from=64)
    assert part10.digest(written, again.dataset_offset) == digest
    assert again.trailing == 0
    assert _values(again.dataset, again.source) == _values(read.dataset, read.source)


@settings(max_examples=EXAMPLES, deadline=None)
@given(damaged())
def test_a_damaged_file_is_read_and_written_or_refused(body: bytes) -> None:
    _read_or_refused(body)


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.sampled_from([b"", bytes(128) + b"DICM", bytes(128) + b"DICM\2\0\x10\0UI\x12\0001.2.840.10008.1.2\0"]),
    st.binary(),
)
def test_bytes_of_chance_are_read_and_written_or_refused(head: bytes, tail: bytes) -> None:
    _read_or_refused(head + tail)


@pytest.mark.parametrize("ask", [identify, listed_files, FileMeta.decode])
@settings(max_examples=EXAMPLES, deadline=None)
@given(body=damaged() | st.binary())
def test_other_questions_to_a_damaged_file_are_answered_or_refused(
    ask: Callable[[io.BytesIO], object], body: bytes
) -> None:
    try:
        answer = ask(io.BytesIO(body))
    except (NotDicom, Malformed):
        return
    if isinstance(answer, FileMeta):
        provenance_from_meta(answer)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.binary(max_size=200).map(lambda tail: b"\xfe\xff\0\xe0" + tail) | st.binary(max_size=200))
def test_bytes_in_an_unknown_are_a_sequence_or_none(value: bytes) -> None:
    found = sequence_in_unknown(Element(0x00091001, "UN", value), io.BytesIO())

    assert found is None or all(isinstance(item, DataSet) for item in found)
