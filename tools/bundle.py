"""Make the one file that a hospital installs from, without any network: ``make bundle``.

    python -m tools.bundle [-o DIR] [--python 3.11 …] [--version V]

    appliance-<version>/wheels/              the program and everything that it needs, for each Python asked for
                        requirements.txt     each with its hashes; pip takes nothing else
                        sbom.cdx.json        what is in it, as CycloneDX
                        ansible/ systemd/    role, playbooks and units of this version
                        SHA256SUMS           of all of it

The same sources and wheels make the same bytes.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = ("3.11", "3.12", "3.13")  # Debian 12 and RHEL 9; Ubuntu 24.04; Debian 13
# What the C libraries of the distributions served can load; RHEL 9 has glibc 2.34.
PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 35)))
SOURCES = ("appliance", "pyproject.toml", "README.md", "LICENSE")  # what the wheel is made of
CARRIED = ("ansible", "systemd", "docs", "monitoring", "inbox/README.md", "README.md", "CHANGELOG.md", "LICENSE")
EPOCH = "315532800"  # the moment of every file in our wheel: 1980, the first that a zip file can say
LITTER = shutil.ignore_patterns("__pycache__", "*.pyc", ".ansible", "*.retry")
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def make(
    out: Path,
    *,
    pythons: Sequence[str] = PYTHONS,
    version: str = "",
    root: Path = ROOT,
    wheels: Path | None = None,
) -> Path:
    """Return the bundle made in ``out``.

    version  another than the sources say, for trying upgrades
    root     where the sources are
    wheels   a folder of wheels to take from; None: pip fetches them
    Raises CalledProcessError when pip cannot have a wheel.
    """
    version = version or _version(root)
    with tempfile.TemporaryDirectory() as folder:
        stage = Path(folder) / f"appliance-{version}"
        carried = stage / "wheels"
        carried.mkdir(parents=True)
        for name in CARRIED:
            if (root / name).exists():
                _copy(root / name, stage / name)
        own = _own_wheel(root, carried, version)
        for python in pythons:
            download(root / "requirements.lock", carried, python, source=wheels)
        pinned = f"appliance=={version} \\\n    --hash=sha256:{_digest(own)}\n"
        (stage / "requirements.txt").write_text((root / "requirements.lock").read_text() + pinned)
        _sbom(root, stage / "sbom.cdx.json")
        sums = [f"{_digest(file)}  {file.relative_to(stage)}\n" for file in _files(stage)]
        (stage / "SHA256SUMS").write_text("".join(sums))
        out.mkdir(parents=True, exist_ok=True)
        return _packed(stage, out / f"appliance-{version}.tar.gz")


def _version(root: Path) -> str:
    found = re.search(r'^__version__ = "([^"]+)"', (root / "appliance/__init__.py").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit("appliance/__init__.py says no __version__; no bundle was made.")
    return found[1]


def _own_wheel(root: Path, wheels: Path, version: str) -> Path:
    """Build from a copy: the build leaves nothing in the sources."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in SOURCES:
            _copy(root / name, copy / name)
        init = copy / "appliance/__init__.py"
        init.write_text(init.read_text().replace(f'"{_version(root)}"', f'"{version}"'))
        subprocess.run(  # noqa: S603 - this very Python
            [*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels), str(copy)],
            check=True,
            stdout=sys.stderr,
            env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
        )
    return next(wheels.glob("appliance-*.whl"))


def download(lock: Path, wheels: Path, python: str, *, source: Path | None = None) -> None:
    """Put what ``lock`` names into ``wheels``, for one Python; from the folder ``source``, or as pip is set up."""
    where = [] if source is None else ["--no-index", f"--find-links={source}"]
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run(  # noqa: S603 - this very Python
        [
            *(*PIP, "download", "--only-binary=:all:", "--no-deps", "--require-hashes", "-r", str(lock)),
            *("-d", str(wheels), "--implementation", "cp", "--python-version", python, *platforms, *where),
        ],
        check=True,
        stdout=sys.stderr,
    )


def _sbom(root: Path, target: Path) -> None:
    subprocess.run(  # noqa: S603 - this very Python
        [
            *(sys.executable, "-m", "cyclonedx_py", "requirements", str(root / "requirements.lock")),
            *("--pyproject", str(root / "pyproject.toml"), "--output-reproducible", "--of", "JSON", "-o", str(target)),
        ],
        check=True,
        stdout=sys.stderr,
    )


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=LITTER)
    else:
        shutil.copyfile(source, target)


def _files(stage: Path) -> list[Path]:
    return sorted(file for file in stage.rglob("*") if file.is_file())


def _digest(file: Path) -> str:
    return sha256(file.read_bytes()).hexdigest()


def _packed(stage: Path, target: Path) -> Path:
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 1, raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for file in _files(stage):
            archive.add(file, str(file.relative_to(stage.parent)), filter=_plain)
    return target


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member


def main() -> None:
    """Make it and say where it is."""
    words = argparse.ArgumentParser(description="Make the bundle that a hospital installs from.")
    words.add_argument("-o", "--out", type=Path, default=ROOT / "dist")
    words.add_argument("--python", action="append", default=[], help=f"CPython to bring wheels for: {PYTHONS}")
    words.add_argument("--version", default="")
    given = words.parse_args()
    print(make(given.out, pythons=given.python or PYTHONS, version=given.version))


if __name__ == "__main__":
    main()
