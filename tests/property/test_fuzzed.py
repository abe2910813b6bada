"""A short run of the fuzzer (``make fuzz`` is a long one): what it knows is found again, what is new may be too."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNS = 3000  # some seconds


@pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="NOT RUN: atheris is not installed (make test does it where there is a wheel)",
)
@pytest.mark.parametrize("target", ["read", "deidentify"])
def test_a_fuzzer_finds_no_crash_and_no_patient_in_a_result(target, tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.property.fuzz", target, f"--runs={RUNS}", f"--corpus={tmp_path / 'corpus'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )

    assert ran.returncode == 0, ran.stderr[-3000:]
    assert f"Done {RUNS} runs" in ran.stderr
    assert not list(tmp_path.glob("found-*"))
