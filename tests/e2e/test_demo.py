"""``appliance demo --once``: what ``make demo ONCE=1`` runs, into a real Orthanc and, where there is none, a folder."""

import os
import subprocess
import sys

import pytest

from tests.peers.appliance_process import REPOSITORY
from tests.peers.orthanc import orthanc_binary
from tests.peers.patience import PATIENCE_S

PROGRAM = {
    "orthanc": ["-m", "appliance.cli"],
    "folder": [
        "-c",
        "import shutil, sys; shutil.which = lambda *_, **__: None\n"
        "from appliance.cli.main import main; sys.exit(main(sys.argv[1:]))",
    ],
}


@pytest.mark.parametrize("cloud", PROGRAM)
def test_both_studies_are_delivered_and_shown_before_and_after_and_it_ends_by_itself(tmp_path, cloud):
    if cloud == "orthanc":
        orthanc_binary()

    ran = subprocess.run(
        [sys.executable, *PROGRAM[cloud], "demo", "--once", "--folder", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE_S,
        stdin=subprocess.DEVNULL,
        cwd=REPOSITORY,
        env={**os.environ, "COLUMNS": "200"},
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ("Orthanc is not installed here" in ran.stdout) == (cloud == "folder")
    assert "PatientName" in ran.stdout and "PatientIdentityRemoved" in ran.stdout
    assert "Traceback" not in ran.stdout + ran.stderr
