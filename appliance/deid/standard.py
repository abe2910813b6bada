"""What the Standard says, as data: Table E.1-1 with its options, safe private elements, Types by IOD.

Read once from the package's own files; they are made by tools/profile_table.py and tools/iod_types.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files

from appliance.dicom.element import Tag
from appliance.dicom.registry import registered

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"  # Media Storage Directory Storage

# Storage classes whose instances belong to no patient. Source: PS3.4 Table GG.3-1.
NO_PATIENT_CLASSES = frozenset(
    {
        "1.2.840.10008.5.1.4.38.1",  # Hanging Protocol
        "1.2.840.10008.5.1.4.39.1",  # Color Palette
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.840.10008.5.1.4.44.1",  # Implant Assembly Template
        "1.2.840.10008.5.1.4.45.1",  # Implant Template Group
        "1.2.840.10008.5.1.4.1.1.200.1",  # CT Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.200.3",  # Protocol Approval
        "1.2.840.10008.5.1.4.1.1.200.7",  # XA Defined Procedure Protocol
        "1.2.840.10008.5.1.4.1.1.201.1",  # Inventory
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1.

    basic    action code of the Basic Profile
    options  (option, code) for each option that changes it
    """

    basic: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Standard:
    """All tables.

    rows     by tag; the rows for private, 50xx and 60xx elements are rules of the plan, not entries here
    safe     (group, low byte, creator) -> VR where known, "" otherwise
    nodes    text of a place in an IOD, by number; see tools/iod_types.py
    tops     number of a module's top node, by the module's name
    modules  names of the modules of a SOP Class's IOD
    """

    rows: dict[Tag, Row]
    safe: dict[tuple[int, int, str], str]
    nodes: tuple[str, ...]
    tops: dict[str, int]
    modules: dict[str, tuple[str, ...]]

    def top_nodes(self, sop_class: str) -> tuple[int, ...] | None:
        """Return the top nodes of a SOP Class's IOD; None when the IOD is not known."""
        names = self.modules.get(sop_class)
        return None if names is None else tuple(self.tops[name] for name in names)

    def attributes(self, nodes: Iterable[int]) -> dict[Tag, tuple[str, tuple[int, ...]]]:
        """Return {tag: (Type, nodes inside)} of a place; where modules differ, the strictest Type."""
        merged: dict[Tag, tuple[str, tuple[int, ...]]] = {}
        for number in nodes:
            for part in self.nodes[number].split():
                tag, kind, *inside = part.split(":")
                below = tuple(int(node) for node in inside)
                known_kind, known_below = merged.get(int(tag, 16), ("3", ()))
                merged[int(tag, 16)] = (min(kind, known_kind), known_below + below)
        return merged


def load_standard() -> Standard:
    """Return the tables of the package."""
    return Standard(_rows(), _safe(), *_types())


def is_storage_class(uid: str) -> bool:
    """Whether the UID is a storage SOP Class of the Standard, retired ones included. Source: PS3.6 Table A-1."""
    entry = registered(uid)
    return uid == DICOMDIR_CLASS or (
        entry is not None and entry.kind == "SOP Class" and "Storage" in entry.name and "Commitment" not in entry.name
    )


def is_other_class(uid: str) -> bool:
    """Whether the UID is a SOP Class of the Standard whose instances are no composite objects of a patient."""
    entry = registered(uid)
    return uid in NO_PATIENT_CLASSES or uid == DICOMDIR_CLASS or (entry is not None and not is_storage_class(uid))


def _lines(name: str) -> list[list[str]]:
    text = files("appliance.deid").joinpath("data", name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def _rows() -> dict[Tag, Row]:
    rows = {}
    for tag, basic, options, _ in _lines("profile.txt"):
        if tag == "private" or "x" in tag:
            continue
        pairs = [] if options == "-" else [option.split("=") for option in options.split(",")]
        rows[int(tag, 16)] = Row(basic, tuple((option, code) for option, code in pairs))
    return rows


def _safe() -> dict[tuple[int, int, str], str]:
    return {
        (int(group, 16), int(low, 16), creator.strip()): "" if vr == "-" else vr
        for group, low, vr, creator, _ in _lines("safe_private.txt")
    }


def _types() -> tuple[tuple[str, ...], dict[str, int], dict[str, tuple[str, ...]]]:
    nodes: list[str] = []
    tops: dict[str, int] = {}
    modules: dict[str, tuple[str, ...]] = {}
    for kind, name, rest in _lines("iod_types.txt"):
        if kind == "node":
            nodes.append(rest)
        elif kind == "module":
            tops[name] = int(rest)
        else:
            modules[name] = tuple(rest.split())
    return tuple(nodes), tops, modules
