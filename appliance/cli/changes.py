"""What other rules would change for instances that came: outcomes and attributes, counted, without a value."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from appliance.cli.trial import Tried
from appliance.dicom.dictionary import keyword_of
from appliance.dicom.element import DataSet, Element, is_private, tag_text

_OURS = frozenset({0x00120063})  # De-identification Method: it names the rules, so it always differs


@dataclass(slots=True)
class Changes:
    """The sums so far.

    outcomes  (under the old rules, under the new) -> instances; "delivered", or outcome and reason
    elements  (path without item numbers, keyword, what) -> instances
    """

    instances: int = 0
    same: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    elements: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, old: Tried, new: Tried) -> None:
        """Count one instance."""
        self.instances += 1
        before, after = _outcome(old), _outcome(new)
        differing = set()
        if old.result is not None and new.result is not None:
            differing = set(_differing(old.result.dataset, new.result.dataset, ""))
        self.elements.update(differing)
        if before != after:
            self.outcomes[before, after] += 1
        elif not differing:
            self.same += 1

    def as_json(self) -> dict[str, Any]:
        """Return the sums as JSON can hold them."""
        return {
            "instances": self.instances,
            "same": self.same,
            "outcomes": [
                {"before": before, "after": after, "instances": count}
                for (before, after), count in sorted(self.outcomes.items())
            ],
            "elements": [
                {"path": path, "name": name, "change": what, "instances": count}
                for (path, name, what), count in sorted(self.elements.items())
            ],
        }


def _outcome(tried: Tried) -> str:
    return f"{tried.outcome}: {tried.reason}" if tried.reason else tried.outcome


def _differing(old: DataSet, new: DataSet, path: str) -> Iterator[tuple[str, str, str]]:
    for tag in sorted(old.elements.keys() | new.elements.keys()):
        before, after = old.get(tag), new.get(tag)
        at = path + tag_text(tag)
        name = (old.creator_of(tag) or new.creator_of(tag) or "") if is_private(tag) else keyword_of(tag)
        if before is None or after is None:
            yield at, name, "would be there" if before is None else "would be gone"
        elif isinstance(before.value, list) and isinstance(after.value, list):
            if len(before.value) != len(after.value):
                yield at, name, "would have other items"
            for one, two in zip(before.value, after.value, strict=False):
                yield from _differing(one, two, f"{at}.")
        elif tag not in _OURS and before.value != after.value:
            yield at, name, _what(before, after)


def _what(before: Element, after: Element) -> str:
    if not after.value:
        return "would be empty"
    return "would be filled" if not before.value else "would differ"
