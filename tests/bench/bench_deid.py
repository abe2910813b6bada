"""What reading and de-identifying a header costs one worker, beside dicognito where PEERS_PYTHON has it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.outcome import Deidentified
from appliance.deid.ruleset import load_rules
from tests.make import make
from tests.make.deidentified import outcome_of

ROUNDS = 200


def as_scanned(data: Dataset) -> Dataset:
    """As much header as scanners write: acquisition, request, references, and a maker's private blocks."""
    data.StudyDescription, data.ProtocolName, data.OperatorsName = "CT Thorax nativ", "Thorax 1.5 mm", "Reader^Rob"
    told = [tag for tag, entry in DicomDictionary.items() if tag >> 16 in (0x18, 0x20, 0x28) and entry[0] in KINDS]
    for tag in told[:100]:
        if tag not in data and not 0x00181010 <= tag <= 0x0018101B:  # those of secondary captures
            data.add_new(tag, DicomDictionary[tag][0], "1")
    request, reference = Dataset(), Dataset()
    request.ScheduledProcedureStepDescription, request.RequestedProcedureID = "CT Thorax", "R4711"
    reference.ReferencedSOPClassUID, reference.ReferencedSOPInstanceUID = make.CT, make.uid("other")
    data.RequestAttributesSequence, data.SourceImageSequence = Sequence([request]), Sequence([reference] * 3)
    for group, creator in ((0x0019, "GEMS_ACQU_01"), (0x0029, "SIEMENS CSA HEADER"), (0x0043, "GEMS_PARM_01")):
        block = data.private_block(group, creator, create=True)
        for number in range(1, 21):
            block.add_new(number, "DS", "1.5")
    return data


MAKERS = {"CT": make.ct, "MR": make.mr}
KINDS = ("DS", "IS", "LO", "CS", "SH")
PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)
THEIRS = """
import sys, io, time, pydicom, dicognito.anonymizer
one = dicognito.anonymizer.Anonymizer(seed="x")
body = open(sys.argv[1], "rb").read()
def once():
    one.anonymize(pydicom.dcmread(io.BytesIO(body)))
once()
best = 1e9
for _ in range(5):
    before = time.process_time()
    for _ in range(40):
        once()
    best = min(best, (time.process_time() - before) / 40)
print(best * 1000)
"""


@pytest.mark.parametrize("kind", MAKERS)
def test_a_header_costs_at_most_a_third_of_dicognito(kind: str, tmp_path: Path) -> None:
    rules, path = load_rules(None), make.stored(tmp_path / "one.dcm", as_scanned(MAKERS[kind]()))
    body = path.read_bytes()
    assert isinstance(outcome_of(body, rules), Deidentified)
    best = 1e9
    for _ in range(5):
        before = time.process_time()
        for _ in range(ROUNDS):
            outcome_of(body, rules)
        best = min(best, (time.process_time() - before) / ROUNDS * 1000)
    told = subprocess.run([PYTHON, "-c", THEIRS, str(path)], capture_output=True, text=True, check=False)
    theirs = float(told.stdout) if told.returncode == 0 else None
    beside = "dicognito is not installed" if theirs is None else f"dicognito {theirs:.2f} ms"
    sys.stdout.write(f"\n{kind}: read and de-identify a header: {best:.2f} ms of CPU; {beside}\n")

    assert best < 2
    assert theirs is None or best < theirs / 3
