"""Hard cases: instances with a secret in every place where one was ever seen, and the list of what was planted.

planted = secrets.everywhere(make.ct())
planted.data      a pydicom Dataset
planted.words     texts that must not be found in a result, in any encoding
"""

import gzip
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

PATIENT = "Zwirnlein^Quasimodo"
PATIENT_ID = "00QX4711"
_TEXTS = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"}
_LIMITS = {"AE": 16, "SH": 16}
# What an instance cannot be without, set by the maker.
_MADE = {0x00080018, 0x0020000D, 0x0020000E, 0x00100020, 0x00080005, 0x00100010}
# What the default rules keep on purpose: a free text among the patient characteristics.
_KEPT = {0x00102160}  # Ethnic Group


@dataclass
class Planted:
    """An instance and what must not come out of it."""

    data: Dataset
    words: list[str] = field(default_factory=list)

    def secret(self, prefix: str = "SECRET") -> str:
        """A new secret, noted."""
        word = f"{prefix}{len(self.words):05d}Q"
        self.words.append(word)
        return word

    def uid(self) -> str:
        """A new UID, noted."""
        word = f"1.3.6.1.4.1.99999.7.{len(self.words)}.1"
        self.words.append(word)
        return word


def listed_tags() -> Iterator[tuple[int, str]]:
    """Every plain tag of the profile with its VR."""
    text = files("appliance.deid").joinpath("data", "profile.txt").read_text()
    for line in text.splitlines()[1:]:
        tag = line.split("\t")[0]
        if "x" in tag or tag == "private" or int(tag, 16) < 0x00080000 or int(tag, 16) in _KEPT:
            continue
        if keyword_for_tag(int(tag, 16)):
            yield int(tag, 16), dictionary_VR(int(tag, 16))


def everywhere(data: Dataset) -> Planted:
    """Plant a secret into every listed attribute, at the top, in a sequence, in private and in UN ones."""
    planted = Planted(data)
    data.PatientName, data.PatientID = PATIENT, PATIENT_ID
    planted.words += ["Zwirnlein", "Quasimodo", PATIENT_ID, "ZWIRNLEIN"]
    _listed(planted, data)
    nested = Dataset()
    _listed(planted, nested, sequences=False)
    data.PurposeOfReferenceCodeSequence = Sequence([nested])
    _private(planted, data)
    _unknown(planted, data)
    _groups(planted, data)
    return planted


def _listed(planted: Planted, place: Dataset, *, sequences: bool = True) -> None:
    for tag, vr in listed_tags():
        if tag in _MADE and place is planted.data:
            continue
        if vr in _TEXTS:
            place.add_new(tag, vr, planted.secret()[: _LIMITS.get(vr, 64)])
        elif vr == "UI":
            place.add_new(tag, vr, planted.uid())
        elif vr in ("OB", "UN"):
            place.add_new(tag, vr, planted.secret().encode())
        elif vr == "SQ" and sequences:
            item = Dataset()
            item.PersonName, item.TextValue, item.UID = planted.secret(), planted.secret(), planted.uid()
            item.PatientName, item.InstitutionName = planted.secret(), planted.secret()
            item.ReferencedSOPInstanceUID = planted.uid()
            place.add_new(tag, vr, Sequence([item]))


def _private(planted: Planted, data: Dataset) -> None:
    """A private block with a text, a sequence with public names, bytes; its creator holds a name, too."""
    block = data.private_block(0x0029, f"{PATIENT} CREATOR", create=True)
    block.add_new(0x01, "LO", planted.secret())
    inside = Dataset()
    inside.PatientName, inside.StudyDescription = planted.secret(), planted.secret()
    block.add_new(0x02, "SQ", Sequence([inside]))
    block.add_new(0x03, "OB", gzip.compress(planted.secret().encode(), mtime=0))
    block.add_new(0x04, "UN", planted.secret().encode("utf-16-le"))
    safe = data.private_block(0x2001, "Philips Imaging DD 001", create=True)
    deep = Dataset()
    deep.PatientName, deep.SeriesInstanceUID = planted.secret(), planted.uid()
    safe.add_new(0x5F, "SQ", Sequence([deep]))  # Stack Sequence: on the safe list
    safe.add_new(0x99, "LO", planted.secret())  # not on it
    data.add_new(0x00311001, "LO", planted.secret())  # without a creator


def _unknown(planted: Planted, data: Dataset) -> None:
    """A public sequence and a public text as UN, and elements that no dictionary knows."""
    inside = implicit(0x00100010, planted.secret().encode()) + implicit(0x0020000E, planted.uid().encode())
    for tag in (0x00089215, 0x00081115):  # Derivation Code Sequence, Referenced Series Sequence
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inside)) + inside
        data[tag] = unknown(tag, item)
    data[0x00081080] = unknown(0x00081080, planted.secret().encode() + b" ")
    data[0x00081048] = unknown(0x00081048, planted.secret().encode() + b" ")
    data.add_new(0x0008FFF8, "LO", planted.secret())
    data.add_new(0x00100FF2, "UN", planted.secret().encode())


def _groups(planted: Planted, data: Dataset) -> None:
    """Overlay texts, a curve, trailing padding."""
    data.add_new(0x60000022, "LO", planted.secret())
    data.add_new(0x60001500, "LO", planted.secret())
    data.add_new(0x60003000, "OW", planted.secret().encode() + b" " * 2)
    data.add_new(0x50000022, "LO", planted.secret())
    data.add_new(0x50003000, "OW", planted.secret().encode() + b" " * 2)
    data.add_new(0xFFFCFFFC, "OB", planted.secret().encode())


def unknown(tag: int, value: bytes) -> DataElement:
    """A public element as UN, behind pydicom's back: it would put in the VR that it knows."""
    element = DataElement(Tag(tag), "OB", value)
    element.VR = "UN"
    return element


def implicit(tag: int, value: bytes) -> bytes:
    """An element in implicit VR little endian."""
    value += b" " * (len(value) % 2)
    return struct.pack("<HHL", tag >> 16, tag & 0xFFFF, len(value)) + value


def found(body: bytes, words: list[str]) -> list[str]:
    """Which of the words stand in the bytes: as ASCII or UTF-16, in any case."""
    folded = body.lower()
    plain = folded.replace(b"\0", b"")
    return [word for word in words if word.lower().encode() in folded or word.lower().encode() in plain]
