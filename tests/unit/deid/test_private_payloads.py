"""Binary and packed payloads of makers, wherever their blocks moved to and however they were written: removed whole."""

import base64
import bz2
import gzip
import io
import lzma
import struct
import zlib

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.ruleset import load_rules
from appliance.dicom import part10
from tests.make import make, secrets
from tests.make.deidentified import written

WORD = "Schmalzriedhuber"  # nobody's name: no proof can know it, only removal helps
SYNTAXES = (make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN, make.DEFLATED)


def csa(word):
    tag = b"PatientName".ljust(64, b"\0") + struct.pack("<l4sLLL", 1, b"PN\0\0", 0, 1, 77)
    text = f'### ASCCONV BEGIN ###\ntPatientName = "{word}"\n### ASCCONV END ###'.encode()
    return b"SV10\4\3\2\1" + struct.pack("<LL", 1, 77) + tag + struct.pack("<4L", 16, 16, 77, 16) + word.encode() + text


def sequence(word):
    inside = secrets.implicit(0x00100010, word.encode()) + secrets.implicit(0x0040A160, word.encode())
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(inside)) + inside


PAYLOADS = {
    "csa": csa(WORD), "large csa": csa(WORD) * 60, "text": WORD.encode(), "utf-16": WORD.encode("utf-16"),
    "utf-16-be": WORD.encode("utf-16-be"), "utf-32": WORD.encode("utf-32-le"), "gzip": gzip.compress(WORD.encode()),
    "zlib": b"GE" + zlib.compress(WORD.encode()), "raw deflate": zlib.compress(WORD.encode())[2:-4],
    "bz2": bz2.compress(WORD.encode()), "xz": lzma.compress(WORD.encode()), "base64": base64.b64encode(WORD.encode()),
    "xml": f"<n>{WORD}</n>".encode(), "gzip in base64": base64.b64encode(gzip.compress(WORD.encode())),
    "sequence": sequence(WORD), "dicom": make.file(make.ct(patient=WORD)), "pdf": b"%PDF-1.4 " + WORD.encode(),
}  # fmt: skip
BLOCKS = [
    (0x0029, "SIEMENS CSA HEADER", 0x10), (0x0029, "SIEMENS CSA HEADER", 0x20), (0x0029, "SIEMENS MEDCOM HEADER", 0x20),
    (0x0021, "SIEMENS MR SDI 02", 0xFE), (0x0051, "SIEMENS MR HEADER", 0x08), (0x0025, "GEMS_SERS_01", 0x1B),
    (0x2001, "Philips Imaging DD 001", 0x5F), (0x2005, "Philips MR Imaging DD 005", 0x02),
    (0x7005, "TOSHIBA_MEC_CT3", 0),
    (0x0019, "GEMS_ACQU_01", 0x23),  # on the safe list, but then a number
]  # fmt: skip


@pytest.fixture(scope="module")
def rules():
    return load_rules(None)


def planted(group, creator, low, payload, vr, block, nested):
    """A CT with the payload in that block, at the top or in a sequence."""
    data = make.ct()
    place = data
    if nested:
        place = Dataset()
        data.DerivationCodeSequence = Sequence([place])
    place.add_new(group << 16 | block, "LO", creator)
    tag = group << 16 | block << 8 | low
    if vr == "UN":
        place[tag] = secrets.unknown(tag, payload + b"\0" * (len(payload) % 2))
    else:
        place.add_new(tag, vr, payload + b"\0" * (len(payload) % 2))
    return data


def left(body):
    """Every byte of a file but its pixels, a deflated Data Set inflated; and what gzip, zlib and base64 hide."""
    read = part10.read(io.BytesIO(body))
    told = []
    for element in pydicom.dcmread(io.BytesIO(body)).iterall():
        if element.tag != 0x7FE00010:
            told.append(element.value if isinstance(element.value, bytes) else str(element.value).encode())
    read.source.seek(0)
    return b"\n".join(told) + read.source.read()


@pytest.mark.parametrize("vr", ["OB", "UN"])
@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_removed_wherever_its_block_is(name, vr, rules):
    payload = PAYLOADS[name]
    begins = payload[:24] if name != "dicom" else WORD.encode()  # every file begins alike
    for number, (group, creator, low) in enumerate(BLOCKS):
        syntax, block = SYNTAXES[number % len(SYNTAXES)], (0x10, 0x13, 0xFF)[number % 3]
        data = planted(group, creator, low, payload, vr, block, nested=number % 2 == 1)

        told = left(written(make.file(data, syntax), rules))

        for form in (WORD.encode(), begins, WORD.encode("utf-16-le"), WORD.encode("utf-16-be")):
            assert form not in told, (creator, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_stands_in_a_safe_sequence_is_cleaned_as_deep_as_it_goes(syntax, rules):
    data = make.ct()
    inner = Dataset()
    inner.PatientName, inner.StackID = WORD, "1"
    inner.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", csa(WORD))
    inner.private_block(0x2005, "Philips MR Imaging DD 001", create=True).add_new(0x99, "UN", sequence(WORD))
    data.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x5F, "SQ", Sequence([inner]))

    told = left(written(make.file(data, syntax), rules))

    assert WORD.encode() not in told
    assert b"Philips Imaging DD 001" in told


def test_elements_of_a_block_without_a_creator_or_with_two_are_removed(rules):
    data = make.ct()
    data.add_new(0x00291010, "OB", csa(WORD))  # nobody's
    data.add_new(0x00190010, "LO", ["GEMS_ACQU_01", "OTHER"])
    data.add_new(0x00191023, "DS", "55.5")

    result = pydicom.dcmread(io.BytesIO(written(make.file(data), rules)))

    assert not any(element.tag.is_private for element in result)
