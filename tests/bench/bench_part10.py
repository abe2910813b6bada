"""What reading and writing cost, beside pydicom and beside the hash that a digest needs anyway. Ratios, not figures."""

import hashlib
import io
import sys
import timeit
from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from pydicom.datadict import DicomDictionary

from appliance.dicom import part10
from appliance.dicom.meta import FileMeta
from tests.make import make


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def best_ms(work: Callable[[], object], number: int = 100) -> float:
    return min(timeit.repeat(work, number=number, repeat=5)) / number * 1000


@pytest.fixture
def a_ct(tmp_path: Path) -> Path:
    """512x512x16 bit with some 150 elements."""
    data = make.with_private(make.ct(size=512))
    acquisition = [
        tag for tag, entry in DicomDictionary.items() if tag >> 16 == 0x18 and entry[0] in ("DS", "IS", "LO", "CS")
    ]
    for tag in acquisition[:90]:
        data.add_new(tag, DicomDictionary[tag][0], "1")
    return make.stored(tmp_path / "ct.dcm", data)


def test_the_header_of_a_ct_is_read_in_less_than_half_of_pydicoms_time(a_ct: Path) -> None:
    with a_ct.open("rb") as file:
        ours = best_ms(lambda: part10.read(file))
        elements = len(part10.read(file).dataset.elements)
    theirs = best_ms(lambda: pydicom.dcmread(a_ct, defer_size=4096), 20)

    say(f"\nread a header of {elements} elements: {ours:.3f} ms; pydicom, raw elements: {theirs:.3f} ms")
    assert ours < theirs / 2


def test_a_ct_is_written_and_hashed_in_less_than_twice_the_hash(a_ct: Path, tmp_path: Path) -> None:
    with a_ct.open("rb") as file, (tmp_path / "out.dcm").open("wb") as target:
        read = part10.read(file)
        meta = FileMeta.of(read.meta.elements)

        def write() -> None:
            target.seek(0)
            part10.write(meta, read.dataset, read.transfer_syntax, read.source, target)

        ours = best_ms(write)
    body = bytes(a_ct.stat().st_size)
    hashing = best_ms(lambda: hashlib.sha256(body).digest())

    say(f"\nwrite and hash a CT: {ours:.3f} ms; its hash alone: {hashing:.3f} ms")
    assert ours < hashing * 2 + 0.2


def test_file_meta_is_made_in_microseconds() -> None:
    meta = FileMeta(make.CT, "1.2.3", make.EXPLICIT, "SCANNER", "SCANNER", "EDGE", "192.0.2.7", b"{}")

    ours = best_ms(meta.encode, 1000)
    back = best_ms(lambda: FileMeta.decode(io.BytesIO(meta.encode())), 1000)

    say(f"\nFile Meta: encode {ours * 1000:.1f} us, encode and decode {back * 1000:.1f} us")
    assert ours < 0.1
