"""De-identifying makes no instance less valid than it was: dciodvfy finds no error that it did not find before."""

import shutil
import subprocess
from collections import Counter

import pytest
from pydicom.sequence import Sequence

from appliance.deid.ruleset import load_rules
from tests.make import make
from tests.make.deidentified import written

pytestmark = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="needs the Debian package dicom3tools")
ACCEPTED = {"burned-in-risk", "document"}


@pytest.fixture(scope="module", params=["default", "basic only"])
def rules(request, tmp_path_factory):
    if request.param == "default":
        return load_rules(None)
    file = tmp_path_factory.mktemp("rules") / "basic.yaml"
    file.write_text("Options: []")
    return load_rules(file)


def errors(body, path):
    path.write_bytes(body)
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    return Counter(line for line in (told.stdout + told.stderr).splitlines() if line.startswith("Error"))


def enhanced():
    data = make.ct(frames=2, AcquisitionDateTime="20240229101112", ContentDate="20240229")
    frame = make.code("x", "y", "z")
    frame.FrameContentSequence = Sequence([make.code("a", "b", "c")])
    frame.FrameContentSequence[0].FrameAcquisitionDateTime = "20240229101112.5"
    frame.FrameContentSequence[0].FrameReferenceDateTime = "20240229101112.5"
    data.PerFrameFunctionalGroupsSequence = Sequence([frame])
    return data


MAKERS = {
    "ct": make.ct, "mr": make.mr, "sr": make.sr, "pr": make.presentation_state, "us": make.us,
    "sc": make.secondary_capture, "pdf": lambda: make.pdf(EncapsulatedDocument=b"%PDF-1.4 clean. "),
    "enhanced ct": enhanced,
}  # fmt: skip


@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_no_new_error_by_de_identifying(maker, rules, tmp_path):
    before = make.file(maker())

    after = written(before, rules, accepted=ACCEPTED)

    assert errors(after, tmp_path / "after.dcm") - errors(before, tmp_path / "before.dcm") == Counter()
