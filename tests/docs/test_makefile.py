"""``make setup`` says nothing that a person would have to worry about."""

import re
import subprocess
import sys
from pathlib import Path

MAKEFILE = (Path(__file__).resolve().parents[2] / "Makefile").read_text(encoding="utf-8")


def warned(value, words):
    """What Python says of a warning under PYTHONWARNINGS=value."""
    code = f"import warnings; warnings.warn({words!r}, UserWarning)"
    run = subprocess.run([sys.executable, "-W", value, "-c", code], capture_output=True, text=True, check=True)
    return run.stderr


def test_the_note_of_setuptools_about_our_own_folders_is_not_shown_and_others_are():
    (value,) = re.findall(r"PYTHONWARNINGS='([^']*)'", MAKEFILE)

    assert warned(value, "Editable installation.\n!!\n") == ""
    assert "another trouble" in warned(value, "another trouble")
