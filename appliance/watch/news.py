"""What is new and needs a person, worked out of the services' own counts: reasons, sources, numbers, nothing else."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Metric

from appliance.errors import Unsafe
from appliance.reasons import Reason
from appliance.spool.files import open_regular

LARGEST = 1024 * 1024  # bytes of what was told that are read

# Nobody has to do anything about these.
SILENT = frozenset({Reason.DUPLICATE, Reason.EXCLUDED_BY_RULE, Reason.BY_OPERATOR, Reason.OPTED_OUT, Reason.FORGOTTEN})
_UNTAKEN = {"partial": "not wholly taken", "failed": "not taken", "error": "not taken"}

Counts = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class News:
    """One kind of thing that needs a person.

    count  how many are new
    what   what they are, and where they come from or were to go
    do     what to do
    """

    count: int
    what: str
    do: str


def counts_of(families: Iterable[Metric]) -> dict[str, int]:
    """Return how many there ever were of each thing that needs a person: kind, source or destination, reason."""
    found: dict[str, int] = {}
    for family in families:
        for sample in family.samples:
            key = _key(sample.name, sample.labels)
            if key:
                found[key] = found.get(key, 0) + int(sample.value)
    return found


def news(before: Counts, now: Counts) -> list[News]:
    """Return what came since ``before``, the most first. A count that fell began anew, after a power cut for one."""
    grown = {key: count - before.get(key, 0) if count >= before.get(key, 0) else count for key, count in now.items()}
    return [_worded(key, count) for key, count in sorted(grown.items(), key=lambda kv: (-kv[1], kv[0])) if count > 0]


def read_counts(file: Path) -> dict[str, int] | None:
    """Return the counts in ``file``; None if there are none, or they cannot be understood."""
    try:
        with open_regular(file) as body:
            found = json.loads(body.read(LARGEST))
        return {str(key): int(count) for key, count in found.items()}
    except (OSError, Unsafe, ValueError, TypeError, AttributeError):
        return None


def _key(name: str, labels: Mapping[str, str]) -> str:
    if name == "appliance_withheld_total" and labels["reason"] not in {reason.value for reason in SILENT}:
        return f"withheld {labels['source']} {labels['reason']}"
    if name == "appliance_rejected_total":
        return f"rejected {labels['destination']} {labels['reason']}"
    if name == "dicom_imports_total" and labels["status"] in _UNTAKEN:
        return f"import {labels['clinic_id']} {labels['status']}"
    return ""


def _worded(key: str, count: int) -> News:
    kind, place, word = key.split(" ")
    if kind == "import":
        return News(
            count,
            f"{_items(count)} of {place} {_UNTAKEN[word]}",
            "The receipt in the clinic's folder names each file, and _failed says beside it what to do.",
        )
    try:
        words = Reason(word).words
    except ValueError:
        return News(count, f"{_instances(count)}, {place}: {word}", "See 'appliance quarantine list'.")
    where = f"from {place}" if kind == "withheld" else f"refused by {place}"
    return News(count, f"{_instances(count)} {where}: {word}. {words.what}", words.advice)


def _instances(count: int) -> str:
    return "instance" if count == 1 else "instances"


def _items(count: int) -> str:
    return "inbox item" if count == 1 else "inbox items"
