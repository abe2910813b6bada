"""An original beside its de-identified self, element by element: what a person looks at before opening a source."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from appliance.dicom import part10, text
from appliance.dicom.dictionary import keyword_of
from appliance.dicom.element import Bulk, DataSet, Element, tag_text
from appliance.spool.files import open_regular

LONGEST = 120  # characters of a value that are shown


@dataclass(frozen=True, slots=True)
class Difference:
    """One element that is not the same on both sides; "" where it is not there. ``path`` names its sequences."""

    path: str
    keyword: str
    before: str
    after: str


def differences(before: Path, after: Path) -> list[Difference]:
    """Return what de-identifying changed, in order of tags. Raises NotDicom, Malformed, Unsafe or OSError."""
    old, new = _flat(before), _flat(after)
    found = []
    for path in sorted(old.keys() | new.keys()):
        keyword = (old.get(path) or new[path])[0]
        values = [side.get(path, ("", ""))[1] for side in (old, new)]
        if values[0] != values[1] or (path in old) != (path in new):
            found.append(Difference(path, keyword, *values))
    return found


def _flat(file: Path) -> dict[str, tuple[str, str]]:
    """Path of tags -> keyword and value as text."""
    with open_regular(file) as body:
        data_set = part10.read(body).dataset
        text.inherit_charsets(data_set, ())
        return dict(_elements(data_set, ""))


def _elements(data_set: DataSet, above: str) -> Iterator[tuple[str, tuple[str, str]]]:
    for element in data_set:
        path = above + tag_text(element.tag)
        yield path, (keyword_of(element.tag), _shown(element, data_set))
        for number, item in enumerate(element.items):
            yield from _elements(item, f"{path}[{number}].")


def _shown(element: Element, data_set: DataSet) -> str:
    if isinstance(element.value, Bulk):
        return f"({element.value.length} bytes)"
    if isinstance(element.value, list):
        return f"({len(element.value)} items)"
    # A binary value as its beginning and a digest, so that two that differ are seen to.
    binary = f"{element.value[:8].hex()}… ({len(element.value)} bytes, {sha256(element.value).hexdigest()[:8]})"
    shown = "\\".join(text.values(element, data_set)) or (binary if element.value.strip(b" \0") else "")
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"
