"""The hard corpus through our engine and, where they are installed, through peers; one scorer for all.

Peers are looked for in the Python named by PEERS_PYTHON (a virtual environment of their own: dicognito,
dicom-anonymizer, deid), else in this one. Orthanc is the packaged one, asked by its REST interface for what its manual
calls anonymization, by each edition of PS3.15 that it knows. What is not installed is skipped by name.

RSNA CTP is not run: it is Java, in no registry of packages (Debian's and PyPI's have it not), and is had only as an
installer from its makers' site, which a bench must not fetch.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from appliance.deid.ruleset import load_rules
from tests.make.corpus import Corpus, make_corpus
from tests.make.deidentified import outcome_of
from tests.make.score import Score, score
from tests.peers.orthanc import Orthanc
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


@pytest.mark.parametrize("edition", ["2008", "2017c", "2021b"])
def test_orthanc(edition: str, corpus: Corpus, tmp_path: Path) -> None:
    """A patient at once, so that references may stay; what became of which instance Orthanc notes by itself."""
    results: dict[str, bytes | None] = {}
    with Orthanc(tmp_path / "orthanc") as orthanc, requests.Session() as session:
        names = {}
        for specimen in corpus.specimens:
            sent = session.post(f"{orthanc.root}/instances", data=specimen.body, timeout=60)
            if sent.status_code == 200:  # else it does not read it
                names[sent.json()["ID"]] = specimen.name
        for patient in session.get(f"{orthanc.root}/patients", timeout=60).json():
            asked = {"DicomVersion": edition, "Force": True, "KeepSource": True}
            session.post(f"{orthanc.root}/patients/{patient}/anonymize", json=asked, timeout=600)
        for made in session.get(f"{orthanc.root}/instances", timeout=60).json():
            if made not in names:
                there = f"{orthanc.root}/instances/{made}"
                before = session.get(f"{there}/metadata/AnonymizedFrom", timeout=60).text
                results[names[before]] = session.get(f"{there}/file", timeout=60).content

    told = scored(f"Orthanc, {edition}", corpus, results, tmp_path)

    assert told.specimens == len(corpus.specimens)
    assert results
