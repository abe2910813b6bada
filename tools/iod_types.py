"""Make appliance/deid/data/iod_types.txt: the Type of the attributes on whose Type the profile's codes depend.

    python -m venv v && v/bin/pip install highdicom && v/bin/python tools/iod_types.py appliance/deid/data

Source: the IOD tables that highdicom (MIT) carries, themselves made from PS3.3. Not needed at run time.

Lines ``node``: a place in an IOD (the top, or the items of a sequence): number, then tag:type[:node inside] for what
must not go (Type 1 or 2, conditional ones included) and for every sequence; what is not listed is Type 3.
Lines ``module``: name, number of its top node. Lines ``sop``: SOP Class UID, names of its modules.
Equal nodes are one node.
"""

import json
import sys
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

# VRs that the engine also acts upon without a row in the profile.
FALLBACK = {"DA", "DT", "TM", "PN", "UT", "LT", "ST", "UC", "UR", "LO", "SH"}


def rows_that_depend_on_type(profile: Path) -> set[int]:
    """Return the tags whose code is X, Z or a combination."""
    tags = set()
    for line in profile.read_text(encoding="utf-8").splitlines()[1:]:
        tag, code, *_ = line.split("\t")
        if "x" not in tag and tag != "private" and code not in {"D", "U"}:
            tags.add(int(tag, 16))
    return tags


def tree_of(attributes: list[dict[str, Any]], wanted: set[int]) -> dict[int, Any]:
    """Return {tag: [type, inside]} of a module, nested by its paths."""
    top: dict[int, Any] = {}
    for attribute in attributes:
        tag = tag_for_keyword(attribute["keyword"])
        if tag is None:
            continue
        place = top
        for keyword in attribute["path"]:
            place = place.setdefault(tag_for_keyword(keyword), ["3", {}])[1]
        vr = dictionary_VR(tag)
        kind = attribute["type"][0]
        known = place.get(tag)
        if known is not None:
            known[0] = min(known[0], kind)
        elif vr == "SQ" or (kind != "3" and (tag in wanted or vr in FALLBACK)):
            place[tag] = [kind, {}]
    return top


class Nodes:
    """Numbers places so that equal ones share a number; 0 is the empty place."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {"": 0}

    def number(self, tree: dict[int, Any]) -> int:
        """Return the number of a tree, its parts first."""
        parts = []
        for tag in sorted(tree):
            kind, inside = tree[tag]
            is_sequence = dictionary_VR(tag) == "SQ"
            parts.append(f"{tag:08X}:{kind}" + (f":{self.number(inside)}" if is_sequence else ""))
        return self.numbers.setdefault(" ".join(parts), len(self.numbers))


def main(folder: str) -> None:
    """Write the file."""
    import highdicom

    data = Path(highdicom.__file__).parent / "_standard"
    classes = json.loads((data / "sop_class_iod_map.json").read_text())
    iods = json.loads((data / "iod_module_map.json").read_text())
    modules = json.loads((data / "module_attribute_map.json").read_text())
    wanted = rows_that_depend_on_type(Path(folder) / "profile.txt")
    nodes, tops = Nodes(), {}
    used = sorted({module["key"] for iod in set(classes.values()) for module in iods[iod]})
    for name in used:
        tops[name] = nodes.number(tree_of(modules.get(name, []), wanted))
    lines = [f"# Types of PS3.3 attributes, from highdicom {highdicom.__version__}: see tools/iod_types.py"]
    lines += [f"node\t{number}\t{body}" for body, number in nodes.numbers.items()]
    lines += [f"module\t{name}\t{number}" for name, number in tops.items()]
    for uid in sorted(classes):
        lines.append("\t".join(("sop", uid, " ".join(module["key"] for module in iods[classes[uid]]))))
    (Path(folder) / "iod_types.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
