"""Scores anybody's results against the key of the corpus; knows nothing of our engine and shares no code with it.

score(corpus, {name: bytes of the result, or None if it was withheld})
"""

import base64
import html
import io
import re
import shutil
import subprocess
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from tests.make.corpus import Corpus, Secret, Specimen
from tests.make.corpus_studies import at

CODECS = ("utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso8859-2", "iso8859-5", "iso8859-7", "gb18030", "shift_jis",
          "euc_jp", "euc_kr")  # fmt: skip
_IDENTIFIES = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
DEFLATED = b"1.2.840.10008.1.2.1.99"
_PACKED = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2}){8,}")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")


@dataclass
class Score:
    """What came of the corpus. Lists name the specimen and what is wrong with it."""

    specimens: int = 0
    withheld: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    planted: int = 0
    found: list[tuple[str, Secret]] = field(default_factory=list)
    references: int = 0
    broken: list[tuple[str, str]] = field(default_factory=list)
    intervals: int = 0
    moved: list[tuple[str, str]] = field(default_factory=list)
    attributes: int = 0
    lost: list[tuple[str, str]] = field(default_factory=list)
    errors: Counter = field(default_factory=Counter)

    def line(self, who: str) -> str:
        """One line of a table."""
        return (
            f"{who:18} withheld {len(self.withheld):3}/{self.specimens}  secrets found {len(self.found):4}/"
            f"{self.planted}  references lost {len(self.broken):4}/{self.references}  intervals lost "
            f"{len(self.moved):3}/{self.intervals}  attributes lost {len(self.lost):4}/{self.attributes}  "
            f"new IOD errors {sum(self.errors.values())}  unreadable {len(self.unreadable)}"
        )


def score(corpus: Corpus, results: Mapping[str, bytes | None], *, work: Path | None = None) -> Score:
    """Score the results; ``work``: a folder for dciodvfy, without one it is not asked."""
    told = Score(specimens=len(corpus.specimens))
    delivered: list[tuple[Specimen, bytes, Dataset]] = []
    for specimen in corpus.specimens:
        body = results.get(specimen.name)
        if body is None:
            told.withheld.append(specimen.name)
            continue
        try:
            data = pydicom.dcmread(io.BytesIO(body), force=True)
            data.decode()
        except Exception:  # noqa: BLE001 - whatever a peer wrote
            told.unreadable.append(specimen.name)
            data = Dataset()
        delivered.append((specimen, body, data))
    for specimen, body, data in delivered:
        told.planted += len(specimen.secrets)
        told.found += [(specimen.name, secret) for secret in _found(specimen.secrets, body, data)]
        for path, value in specimen.research:
            told.attributes += 1
            left = at(data, path)
            if (left if isinstance(left, bytes) else str(left)) != value:
                told.lost.append((specimen.name, path))
    _references(told, delivered)
    _intervals(told, delivered)
    if work is not None and shutil.which("dciodvfy"):
        for specimen, body, _ in delivered:
            new = _iod_errors(body, work) - _iod_errors(specimen.body, work)
            told.errors.update({f"{specimen.name}: {error}": count for error, count in new.items()})
    return told


def _references(told: Score, delivered: list[tuple[Specimen, bytes, Dataset]]) -> None:
    """What stood for one UID must be one UID; what stood for two, two; and an instance must be found by it."""
    originals = {specimen.name: pydicom.dcmread(io.BytesIO(specimen.body)) for specimen, _, _ in delivered}
    new_of: dict[str, str] = {}
    old_of: dict[str, str] = {}
    for specimen, _, data in delivered:
        for keyword in _IDENTIFIES:
            old, new = originals[specimen.name].get(keyword), data.get(keyword)
            if old and new:
                new_of.setdefault(old, new)
                old_of.setdefault(new, old)
    there = {one.get(keyword) for one in originals.values() for keyword in _IDENTIFIES}
    for specimen, _, data in delivered:
        for path, uid in specimen.references:
            if uid not in there:
                continue  # its target was withheld
            told.references += 1
            if uid not in new_of or at(data, path) != new_of[uid] or old_of[new_of[uid]] != uid:
                told.broken.append((specimen.name, path))


def _intervals(told: Score, delivered: list[tuple[Specimen, bytes, Dataset]]) -> None:
    """Every date must keep its distance to the patient's first one."""
    first: dict[int, int] = {}
    for specimen, _, data in delivered:
        for path, value in specimen.dates:
            told.intervals += 1
            try:
                moved = _day(str(at(data, path))) - _day(value)
            except ValueError:
                told.moved.append((specimen.name, path))
                continue
            if moved != first.setdefault(specimen.patient, moved):
                told.moved.append((specimen.name, path))


def _day(text: str) -> int:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8])).toordinal()


def folded(text: str) -> str:
    """Without case, accents and widths."""
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def _found(secrets: list[Secret], body: bytes, data: Dataset) -> Iterator[Secret]:
    views = list(_bytes_of(body, data))
    text = folded("\n".join(_texts(data)))
    raw = b"\n".join(views)
    lower, plain = raw.lower(), raw.replace(b"\0", b"").lower()
    read = folded(raw.decode("latin-1")) + folded(raw.decode("utf-8", "ignore"))
    for secret in secrets:
        word = folded(secret.text)
        ascii_ = secret.text.lower().encode("ascii", "ignore")
        in_bytes = secret.text.isascii() and (ascii_ in lower or ascii_ in plain)
        coded = any(_encoded(secret.text, codec) in raw for codec in CODECS)
        if word in text or word in read or in_bytes or coded:
            yield secret


def _encoded(text: str, codec: str) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return b"\xff\xff not in this code"


def _texts(data: Dataset) -> Iterator[str]:
    for element in data.iterall():
        if element.VR not in ("SQ", "OB", "OW", "UN", "OF", "OD"):
            yield str(element.value)


def _bytes_of(body: bytes, data: Dataset) -> Iterator[bytes]:
    """The file, a deflated Data Set inflated, and what is packed anywhere in them."""
    yield body
    if body.find(DEFLATED, 0, 1000) > 0:
        yield _inflated(body)
    for element in data.iterall():
        if isinstance(element.value, bytes) and element.tag != 0x7FE00010:
            yield element.value
            yield from _unpacked(element.value)
        elif isinstance(element.value, str):
            yield from _unpacked(element.value.encode("utf-8", "ignore"))


def _unpacked(value: bytes, depth: int = 2) -> Iterator[bytes]:
    for inside in _unwrapped(value):
        yield inside
        if depth > 1:
            yield from _unpacked(inside, depth - 1)


def _unwrapped(value: bytes) -> Iterator[bytes]:
    for magic in _PACKED:
        for found in re.finditer(re.escape(magic), value):
            try:
                yield zlib.decompressobj(31 if magic[0] == 0x1F else 15).decompress(value[found.start() :])
            except zlib.error:
                continue
    for found in _BASE64.finditer(value):
        try:
            yield base64.b64decode(found[0] + b"=" * (-len(found[0]) % 4))
        except ValueError:
            continue
    for found in _HEX.finditer(value):
        yield bytes.fromhex(found[0].decode())
    if b"&#" in value:
        yield html.unescape(value.decode("latin-1")).encode("utf-8")


def _inflated(body: bytes) -> bytes:
    """The same file as Explicit VR Little Endian; the syntax keeps its length, padded by NULs."""
    for at_ in range(132, min(len(body), 2000)):
        try:
            inside = zlib.decompressobj(-zlib.MAX_WBITS).decompress(body[at_:])
        except zlib.error:
            continue
        if inside[:2] == b"\x08\0":
            return body[:at_].replace(DEFLATED, DEFLATED[:-3] + b"\0\0\0") + inside
    return b""


def _iod_errors(body: bytes, folder: Path) -> Counter:
    if body.find(DEFLATED, 0, 1000) > 0:
        body = _inflated(body)  # which dciodvfy does not do
    path = folder / "asked.dcm"
    path.write_bytes(body)
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    return Counter(line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error"))
