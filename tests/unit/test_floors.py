"""The floors of the house as a test: who may import whom, and where each third-party library lives."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).resolve().parents[2] / "appliance"

# A file imports lower floors and its own package, nothing else: so packages on one floor never import one another.
FLOORS = {
    "dicom": 1,
    "deid": 2,
    "spool": 3,
    "mapping": 3,
    "intake": 4,
    "outlet": 4,
    "watch": 4,
    "services": 5,
    "cli": 6,
}

# Within floor 0: config > model > lifecycle, reasons, yamlfile > errors.
WORDS = {
    "": -1,
    "errors": 0,
    "lifecycle": 1,
    "reasons": 1,
    "yamlfile": 1,
    "model": 2,
    "auditing": 2,
    "bounds": 2,
    "commitment": 2,
    "delivery": 2,
    "keeping": 2,
    "notification": 2,
    "operators": 2,
    "config": 3,
}

HOMES = {
    "click": {"cli"},
    "cryptography": {"mapping", "watch"},
    "cv2": {"deid"},
    "imagecodecs": {"dicom"},
    "numpy": {"dicom", "deid"},
    "onnxruntime": {"deid"},
    "prometheus_client": {"watch"},
    "pydicom": {"dicom", "deid"},
    "pynetdicom": {"intake"},
    "pyrage": {"mapping"},
    "requests": {"outlet"},
    "urllib3": {"outlet"},  # what requests is made of: an answer read as it drips raises its exceptions
    "rich": {"cli"},
    "sqlite3": {"spool", "mapping"},
    "sqlite_utils": {"spool", "mapping"},
    "watchdog": {"intake"},
    "yaml": {"yamlfile"},
}

# What is allowed beyond that, each with its reason.
ALSO = {
    ("intake", "pydicom.uid"): "UIDs wherever DICOM is spoken",
    ("outlet", "pydicom.uid"): "UIDs wherever DICOM is spoken",
    ("services", "pydicom.uid"): "UIDs wherever DICOM is spoken",
    ("watch", "cryptography.x509"): "when certificates end",
    ("cli", "pydicom"): "the demo shows a file before and after, and reads it as its reader will",
}

# Pure: neither file, socket, clock, chance nor database.
NOT_IN_DEID = {
    *("asyncio", "multiprocessing", "os", "random", "secrets", "shutil", "socket", "sqlite3", "ssl", "subprocess"),
    *("tempfile", "threading", "time", "urllib", "http"),
}


def files() -> list[Path]:
    return sorted(HOUSE.rglob("*.py"))


def room(file: Path) -> str:
    """The package below ``appliance``, or the module's name on the ground floor."""
    parts = file.relative_to(HOUSE).parts
    return parts[0] if len(parts) > 1 else parts[0].removesuffix(".py").replace("__init__", "")


def imports(file: Path) -> Iterator[tuple[int, str]]:
    """Every import of a file, wherever it stands: line and full name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = file.relative_to(HOUSE.parent).parent.parts
            base = ".".join(package[: len(package) - node.level + 1]) + "." if node.level else ""
            yield from ((node.lineno, f"{base}{node.module or ''}.{alias.name}") for alias in node.names)


def may_import(importer: str, imported: str) -> bool:
    if importer in FLOORS:
        return imported == importer or imported not in FLOORS or FLOORS[imported] < FLOORS[importer]
    return imported in WORDS and (WORDS[imported] < WORDS[importer] or imported == importer)


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(HOUSE)))
def test_a_file_imports_lower_floors_and_its_own_package_only(file):
    here = room(file)
    ours = [(line, name.split(".")) for line, name in imports(file) if name.split(".")[0] == "appliance"]

    wrong = [f"line {line}: {'.'.join(name)}" for line, name in ours if not may_import(here, target(name))]

    assert wrong == []


def target(name: list[str]) -> str:
    """The room that an imported name of ours lies in; "" for what stands in ``appliance`` itself."""
    return name[1] if len(name) > 1 and (name[1] in FLOORS or (HOUSE / f"{name[1]}.py").exists()) else ""


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(HOUSE)))
def test_each_third_party_library_is_used_in_its_home_only(file):
    here = room(file)

    wrong = []
    for line, name in imports(file):
        library = name.split(".")[0]
        if library in ("appliance", "__future__") or (library in sys.stdlib_module_names and library not in HOMES):
            continue
        assert library in HOMES, f"line {line}: {library} has no home: name one here, and say why in DECISIONS.md"
        if here not in HOMES[library] and not any(
            place == here and f"{name}.".startswith(f"{allowed}.") for place, allowed in ALSO
        ):
            wrong.append(f"line {line}: {name}")

    assert wrong == []


@pytest.mark.parametrize("file", sorted((HOUSE / "deid").rglob("*.py")), ids=lambda file: str(file.relative_to(HOUSE)))
def test_deid_is_pure(file):
    assert [f"line {line}: {name}" for line, name in imports(file) if name.split(".")[0] in NOT_IN_DEID] == []


def test_every_package_has_its_floor():
    assert {path.parent.name for path in HOUSE.glob("*/__init__.py")} == set(FLOORS)


def test_every_module_of_the_ground_floor_has_its_place():
    assert {path.stem.replace("__init__", "") for path in HOUSE.glob("*.py")} == set(WORDS)


def test_the_floors_test_sees_a_wrong_import(tmp_path):
    """The test must be able to fail."""
    assert not may_import("dicom", "spool")
    assert not may_import("spool", "mapping")
    assert not may_import("intake", "outlet")
    assert not may_import("errors", "config")
    assert may_import("cli", "services")
    assert may_import("intake", "errors")
