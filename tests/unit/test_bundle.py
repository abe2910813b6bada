"""The bundle that a hospital installs from: whole, each file with its sum, and the same bytes from the same sources."""

import json
import shutil
import subprocess
import sys
import tarfile
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tools import bundle

ROOT = Path(__file__).resolve().parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with the only library that the small program below needs."""
    source, made = tmp_path_factory.mktemp("library"), tmp_path_factory.mktemp("wheels")
    (source / "pyproject.toml").write_text(
        '[project]\nname = "library"\nversion = "1.0"\n[tool.setuptools]\npy-modules = []\n'
    )
    subprocess.run(
        [*bundle.PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(made), str(source)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return made


@pytest.fixture(scope="module")
def sources(tmp_path_factory, wheels):
    """A program of one module, with role, units and documentation as ours."""
    root = tmp_path_factory.mktemp("sources")
    (root / "appliance").mkdir()
    (root / "appliance/__init__.py").write_text('__version__ = "1.2.3"\n')
    (root / "pyproject.toml").write_text(
        '[project]\nname = "appliance"\ndynamic = ["version"]\ndependencies = ["library"]\n'
        '[tool.setuptools.dynamic]\nversion = { attr = "appliance.__version__" }\n'
        '[tool.setuptools.packages.find]\ninclude = ["appliance*"]\n'
    )
    for name in ("README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copyfile(ROOT / name, root / name)
    for name in ("ansible", "systemd"):
        shutil.copytree(ROOT / name, root / name)
    (library,) = wheels.iterdir()
    digest = sha256(library.read_bytes()).hexdigest()
    (root / "requirements.lock").write_text(f"library==1.0 \\\n    --hash=sha256:{digest}\n")
    return root


def made(sources, wheels, folder):
    file = bundle.make(folder, pythons=[PYTHON], root=sources, wheels=wheels)
    with tarfile.open(file) as archive:
        archive.extractall(folder, filter="data")
    return file, folder / "appliance-1.2.3"


@pytest.fixture
def opened(sources, wheels, tmp_path):
    return made(sources, wheels, tmp_path)[1]


def sums(folder):
    return subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, capture_output=True, text=True
    )


def test_every_file_of_it_has_a_sum_that_is_right(opened):
    named = {line.split("  ", 1)[1] for line in (opened / "SHA256SUMS").read_text().splitlines()}

    files = {str(each.relative_to(opened)) for each in opened.rglob("*") if each.is_file()}
    assert named == files - {"SHA256SUMS"}
    assert {"requirements.txt", "sbom.cdx.json", "ansible/site.yml", "systemd/appliance-receive.service"} <= named
    assert sums(opened).returncode == 0


@pytest.mark.parametrize("name", ["ansible/site.yml", "requirements.txt", "sbom.cdx.json"])
def test_a_file_that_was_changed_is_found_by_its_sum(opened, name):
    with (opened / name).open("a") as file:
        file.write("#\n")

    found = sums(opened)
    assert found.returncode != 0
    assert name in found.stdout


def test_pip_takes_the_wheels_of_it_and_no_other_bytes_under_their_names(opened, tmp_path):
    def install():
        return subprocess.run(
            [
                *(*bundle.PIP, "install", "--no-index", "--require-hashes", f"--find-links={opened / 'wheels'}"),
                *("-r", str(opened / "requirements.txt"), "--target", str(tmp_path / "installed")),
            ],
            capture_output=True,
            text=True,
        )

    assert install().returncode == 0
    (own,) = (opened / "wheels").glob("appliance-*.whl")
    own.write_bytes(own.read_bytes() + b" ")
    found = install()
    assert found.returncode != 0
    assert "DO NOT MATCH THE HASHES" in found.stderr


def test_what_is_in_it_is_listed(opened):
    listed = json.loads((opened / "sbom.cdx.json").read_text())

    assert [(each["name"], each["version"]) for each in listed["components"]] == [("library", "1.0")]


def test_the_same_sources_make_the_same_bytes(sources, wheels, tmp_path):
    first, _ = made(sources, wheels, tmp_path / "first")
    time.sleep(2.1)  # what a zip file calls a moment lasts two seconds
    second, _ = made(sources, wheels, tmp_path / "second")

    assert first.read_bytes() == second.read_bytes()
