"""What is registered is the same in every process, whatever else it has imported."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.dicom.registry import NEWER, all_registered, registered
from appliance.dicom.syntaxes import syntax_of

SAY = (
    "import json; from appliance.dicom.registry import all_registered; from appliance.dicom.syntaxes import syntax_of;"
    "print(json.dumps([[each.uid, each.name, each.kind, syntax_of(each.uid).known] for each in all_registered()]))"
)


def said(before: str) -> list[list[object]]:
    repository = Path(__file__).resolve().parents[3]
    ran = subprocess.run([sys.executable, "-c", before + SAY], capture_output=True, check=True, cwd=repository)
    found: list[list[object]] = json.loads(ran.stdout)
    return found


def test_a_process_that_has_imported_pynetdicom_knows_no_other_uids() -> None:
    assert said("") == said("import pynetdicom; ")


@pytest.mark.parametrize("uid", NEWER)
def test_syntaxes_that_came_after_the_library_are_known_and_encapsulated(uid: str) -> None:
    syntax = syntax_of(uid)

    assert syntax.known and syntax.encapsulated and not syntax.implicit and syntax.little_endian


def test_what_the_standard_has_not_registered_is_not_known() -> None:
    assert registered("1.2.840.10008.99999") is None
    assert not syntax_of("1.2.840.10008.1.1").known, "Verification is no transfer syntax"
    assert not syntax_of("1.2.3.4").known


def test_each_uid_stands_once() -> None:
    uids = [each.uid for each in all_registered()]

    assert uids == sorted(set(uids)) and len(uids) > 400
