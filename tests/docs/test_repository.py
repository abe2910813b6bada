"""What the repository itself promises: it names no machine and no registry, and installs what it was tested with."""

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")

_MACHINE = re.compile(r"(?<![\w.])/(work|farm|root|home/[a-z]+)/")
_REGISTRY = re.compile(r"https?://(pypi|files|deb|security|registry)\.")


def committed():
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    return [ROOT / name for name in names.decode().split("\0") if name and (ROOT / name).is_file()]


def test_no_committed_file_names_a_registry_host_or_a_path_of_one_machine():
    if not (ROOT / ".git").exists():
        pytest.skip("git: this is no checkout")
    wrong = []
    for file in committed():
        if file == Path(__file__).resolve():
            continue
        text = file.read_bytes().decode("utf-8", "replace")
        wrong.extend(f"{file.relative_to(ROOT)}: {found[0]}" for found in _MACHINE.finditer(text))
        wrong.extend(f"{file.relative_to(ROOT)}: {found[0]}" for found in _REGISTRY.finditer(text))

    assert wrong == []


def test_no_image_that_was_not_made_here_is_committed():
    if not (ROOT / ".git").exists():
        pytest.skip("git: this is no checkout")

    assert [file for file in committed() if file.suffix.lower() in (".dcm", ".ima", ".dicom")] == []


def name_of(requirement):
    return re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_its_version_and_hashes(lock):
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / lock).read_text())[1:]

    assert len(entries) > 10
    assert [entry.partition("\n")[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked(lock):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = {name_of(line) for line in (ROOT / lock).read_text().splitlines() if re.match(r"[A-Za-z0-9]", line)}

    assert {name_of(each) for each in project["dependencies"]} - locked == set()


def test_developers_and_hospitals_run_the_same_versions():
    versions = [
        dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS
    ]

    assert {name: version for name, version in versions[1].items() if name in versions[0]} == versions[0]


def test_a_wheel_holds_everything_that_the_program_reads(tmp_path):
    """Rules, tables and the example configuration, as files and not as links."""
    copy = tmp_path / "source"
    copy.mkdir()
    for file in committed():
        target = copy / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.is_symlink():
            target.symlink_to(file.readlink())
        else:
            target.write_bytes(file.read_bytes())
    (copy / "README.md").touch()
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("setuptools 77: an older one is installed in this environment; make setup brings it")
    python = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    built = subprocess.run([*python, "-w", str(tmp_path), str(copy)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        held = set(wheel.namelist())
        rules = wheel.read("appliance/deid/data/default.yaml")
    data = {
        str(file.relative_to(ROOT)) for file in (ROOT / "appliance").rglob("*") if file.suffix not in (".py", ".pyc")
    }
    files = {name for name in data if (ROOT / name).is_file()}
    assert files - held == set()
    assert b"\n" in rules
