"""The hard corpus through our engine and, where they are installed, through peers; one scorer for all.

Peers are looked for in the Python named by PEERS_PYTHON (a virtual environment of their own: dicognito,
dicom-anonymizer, deid), else in this one. What is not installed is skipped by name.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.deid.ruleset import load_rules
from tests.make.corpus import Corpus, make_corpus
from tests.make.deidentified import outcome_of
from tests.make.score import Score, score
from tests.unit.deid.test_corpus import results_of

PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)
PEERS = {
    "dicognito": """
import sys, io, pathlib, pydicom, dicognito.anonymizer
one = dicognito.anonymizer.Anonymizer(seed="x")
def work(source, target):
    data = pydicom.dcmread(source, force=True)
    one.anonymize(data)
    data.save_as(target)
""",
    "dicomanonymizer": """
import sys, pathlib, dicomanonymizer
def work(source, target):
    dicomanonymizer.anonymize_dicom_file(str(source), str(target))
""",
    "deid": """
import sys, pathlib, shutil
from deid.dicom import get_identifiers, replace_identifiers
def work(source, target):
    ids = get_identifiers([str(source)])
    made = replace_identifiers(dicom_files=[str(source)], ids=ids, save=False)
    made[0].save_as(target)
""",
}
LOOP = """
import logging, warnings, time
warnings.simplefilter("ignore"); logging.disable(logging.CRITICAL)
spent = failed = 0
for source in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    before = time.process_time()
    try:
        work(source, pathlib.Path(sys.argv[2]) / source.name)
    except Exception:
        failed += 1
    spent += time.process_time() - before
print("spent", spent, "failed", failed)
"""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return make_corpus()


@pytest.fixture(scope="module")
def originals(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    for specimen in corpus.specimens:
        (folder / specimen.name).write_bytes(specimen.body)
    return folder


def scored(who: str, corpus: Corpus, results: dict[str, bytes | None], work: Path, spent: str = "") -> Score:
    told = score(corpus, results, work=work)
    say(f"\n{told.line(who)}{spent}")
    return told


def test_ours(corpus: Corpus, tmp_path: Path) -> None:
    rules = load_rules(None)
    outcomes = {one.name: outcome_of(one.body, rules, accepted={"burned-in-risk"}) for one in corpus.specimens}

    told = scored("ours", corpus, results_of(corpus, outcomes), tmp_path)

    assert not told.found and not told.broken and not told.moved and not told.lost and not told.errors


@pytest.mark.parametrize("peer", PEERS)
def test_a_peer(peer: str, corpus: Corpus, originals: Path, tmp_path: Path) -> None:
    found = subprocess.run([PYTHON, "-c", f"import {peer}"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"{peer} is not installed; name a Python that has it in PEERS_PYTHON")
    out = tmp_path / "out"
    out.mkdir()
    ran = subprocess.run(
        [PYTHON, "-c", PEERS[peer] + LOOP, str(originals), str(out)], capture_output=True, text=True, check=True
    )
    results = {path.name: path.read_bytes() for path in out.iterdir()}

    told = scored(peer, corpus, results, tmp_path, f"  {ran.stdout.splitlines()[-1]}")

    shutil.rmtree(out)
    assert told.specimens == len(corpus.specimens)
