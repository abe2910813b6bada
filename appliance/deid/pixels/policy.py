"""Whose pixels are looked at before they leave, and how: the ``Pixels`` section of the rules.

Who is meant by no entry passes untouched and is never decoded. Who is meant must be looked at: what then cannot be
decoded, looked at or proven is refused, never passed on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.deid.pixels.box import Box
from appliance.deid.reading import keys_of, list_of, text_of, word_of, yes_or_no
from appliance.deid.scopes import SCOPE_KEYS, Labelling, Names, Scope
from appliance.deid.transforms import BurnedIn
from appliance.dicom.element import DataSet
from appliance.yamlfile import Node

LOOK_KEYS = (*SCOPE_KEYS, "Regions", "Text", "Why")


class Text(StrEnum):
    """What becomes of text that is found in a picture."""

    ALL = "mask-all-text"
    IDENTIFYING = "mask-identifying-text"  # measurements, sides and words of the vocabulary stay
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Look:
    """An entry: instances that must be looked at.

    regions  known regions are hidden: those of the device, and all outside of the ultrasound regions
    """

    scope: Scope
    regions: bool
    text: Text
    why: str
    line: int


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done with the pixels of one instance.

    boxes  (who says so, what): hidden in every frame
    rule   who says that it must be looked at: words for a refusal and for the report
    """

    regions: bool
    text: Text
    rule: str
    boxes: tuple[tuple[str, Box], ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """The entries in force. ``labelling``: of the packaged policy, whose labels a site's file does not know."""

    looks: tuple[Look, ...] = ()
    labelling: Labelling | None = field(default=None, compare=False)

    def task(
        self, labels: frozenset[str], data: DataSet, meta: DataSet | None, orders: Sequence[BurnedIn]
    ) -> Task | None:
        """Return what is to be done with an instance; None if nobody need look.

        labels  of the original, ``data``, by the site's rules
        orders  transformations that mean it; where the site's file has no policy of its own they decide alone
        """
        if orders and self.labelling is not None:
            return _ordered(orders, None)
        if self.labelling is not None:
            labels = self.labelling.of(data, meta)
        look = next((each for each in self.looks if each.scope.covers(labels)), None)
        return (
            _ordered(orders, look)
            if orders
            else None
            if look is None
            else _asked(look, packaged=self.labelling is not None)
        )


def read_looks(node: Node, names: Names) -> tuple[Look, ...]:
    """Return the entries of ``Pixels``. An entry that hides nothing is an error: it could only do nothing."""
    looks = []
    for child in list_of(node, "Pixels"):
        keys = keys_of(child, LOOK_KEYS)
        if "Why" not in keys:
            raise child.wrong("Why is missing: the sentence that whoever decides will read.")
        why = text_of(keys.pop("Why"), "Why")
        regions = keys.pop("Regions", None)
        text = keys.pop("Text", None)
        look = Look(
            names.scope(child, keys),
            regions is None or yes_or_no(regions, "Regions"),
            Text.ALL if text is None else Text(word_of(text, "Text", tuple(Text))),
            why,
            child.line,
        )
        if not look.regions and look.text is Text.NONE:
            raise child.wrong("with 'Regions: false' and 'Text: none' nothing would be hidden. Remove the entry.")
        looks.append(look)
    return tuple(looks)


def _asked(look: Look, *, packaged: bool) -> Task:
    where = f"line {look.line}" if not packaged else f"line {look.line} of the packaged rules"
    return Task(look.regions, look.text, f"By rule, {where}: {look.why}.")


def _ordered(orders: Sequence[BurnedIn], look: Look | None) -> Task:
    """Return the task of transformations and, where one means the instance too, of an entry: all that either hides."""
    first = orders[0]
    boxes = [(f"{rule.name}, line {rule.line}", Box(*box)) for rule in orders for box in rule.boxes]
    finds = any(not rule.boxes for rule in orders)
    text = Text.NONE if look is None else look.text
    return Task(
        regions=look is not None and look.regions,
        text=Text.ALL if finds else text,
        rule=f"By rule, line {first.line}: {first.name}.",
        boxes=tuple(boxes),
    )
