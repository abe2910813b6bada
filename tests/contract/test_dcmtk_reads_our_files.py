"""Another toolkit's reader accepts what we write: DCMTK's dcmdump, with every warning an error."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from appliance.dicom import part10
from appliance.dicom.element import DataSet, Element
from appliance.dicom.meta import provenance_to_meta
from appliance.model import Provenance
from tests.make import make
from tests.peers.patience import PATIENCE_S

SYNTAXES = [make.IMPLICIT, make.EXPLICIT, make.BIG_ENDIAN, make.DEFLATED, make.RLE, make.JPEG_BASELINE]
KINDS = {"ct": make.with_private(make.ct(frames=3)), "sr": make.sr(), "us": make.us(), "pr": make.presentation_state()}


def dumped(path: Path) -> str:
    dcmdump = shutil.which("dcmdump")
    if dcmdump is None:
        pytest.skip("dcmdump is missing: Debian package dcmtk")
    told = subprocess.run([dcmdump, "-ll", "warn", "+L", path], capture_output=True, check=False, timeout=PATIENCE_S)
    # The one warning allowed says that items of UN were read as PS3.5 6.2.2 (once CP-246) has it: as we meant them.
    warnings = [line for line in told.stderr.splitlines() if b"CP-246" not in line]
    assert (told.returncode, warnings) == (0, [])
    return told.stdout.decode("latin-1")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("kind", KINDS)
def test_dcmtk_reads_every_element_that_was_written(tmp_path: Path, kind: str, syntax: str) -> None:
    data: Dataset = KINDS[kind]
    read = part10.read(io.BytesIO(make.file(data, syntax)))
    # An item list under UN, as a private sequence comes out of implicit VR.
    inner = DataSet({0x00100020: Element(0x00100020, "LO", b"INSIDE")})
    read.dataset.put(Element(0x00311001, "UN", [inner]))
    read.dataset.put(Element(0x00310010, "LO", b"MAKER "))
    meta = provenance_to_meta(
        Provenance("CT1", calling_ae="SCANNER", called_ae="EDGE", peer="192.0.2.7"), make.CT, "1.2.3", syntax
    )
    path = tmp_path / "out.dcm"

    with path.open("wb") as target:
        part10.write(meta, read.dataset, syntax, read.source, target)

    text = dumped(path)
    for tag in read.dataset.elements:
        assert f"({tag >> 16:04x},{tag & 0xFFFF:04x})" in text
    assert "INSIDE" in text
