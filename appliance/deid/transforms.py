"""What the blocks of ``Transformations`` ask for: ``blocks`` reads it, ``rewrite`` carries it out.

The order of the types is fixed, whatever the order in the file, and a later one wins over an earlier one:
Keep, Clean, ShiftDateTime, RandomizeText, RandomizeUID, Replace, AddTags, RemoveBurnedInAnnotations, DeleteTags,
Transcode.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.deid.placed import Value
from appliance.deid.scopes import Scope
from appliance.dicom.dictionary import keyword_of
from appliance.dicom.element import Tag
from appliance.dicom.tagpath import Level, PartPattern, TagPath, TagPattern

MOVED = ("DA", "TM", "DT")
CLEANED = ("LO", "LT", "SH", "ST", "UC", "UT")


class Reuse(StrEnum):
    """Within what the same original value gets the same new one."""

    NEVER = "Never"  # the file says nothing
    ALWAYS = "Always"
    PATIENT = "SamePatient"
    STUDY = "SameStudy"
    SERIES = "SameSeries"
    INSTANCE = "SameInstance"


REUSES = tuple(reuse for reuse in Reuse if reuse is not Reuse.NEVER)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which elements are meant: those of a pattern, unless another excepts them."""

    patterns: tuple[TagPattern, ...]
    excepted: tuple[TagPattern, ...] = ()

    def chosen(self, way: Sequence[Level]) -> TagPattern | None:
        """Return the pattern by which the last element of ``way`` is meant; None if it is not."""
        for pattern in self.patterns:
            if pattern.matches(way):
                return None if self.excepts(way) else pattern
        return None

    def excepts(self, way: Sequence[Level]) -> bool:
        """Whether it is excepted."""
        return any(pattern.matches(way) for pattern in self.excepted)


@dataclass(frozen=True, slots=True)
class Keep:
    """Elements that stay as they are, whatever the profile says; a sequence stays, and its items are cleaned."""

    selector: Selector
    line: int
    name: str = "Keep"


@dataclass(frozen=True, slots=True)
class Clean:
    """Free texts that keep what the vocabulary knows, whatever the profile says."""

    selector: Selector
    line: int
    name: str = "Clean"


@dataclass(frozen=True, slots=True)
class Shift:
    """Dates and times that move: DA by days, TM and DT by seconds, at most ``by`` and never 0."""

    selector: Selector
    by: int
    reuse: Reuse
    line: int
    name: str = "ShiftDateTime"


@dataclass(frozen=True, slots=True)
class RandomText:
    """Values that become letters and digits without a meaning. ``split``: parts that are replaced one by one."""

    selector: Selector
    split: str
    ignore_case: bool
    reuse: Reuse
    line: int
    name: str = "RandomizeText"


@dataclass(frozen=True, slots=True)
class RandomUid:
    """UIDs that get a new one, the same wherever the old one stands."""

    selector: Selector
    line: int
    name: str = "RandomizeUID"


@dataclass(frozen=True, slots=True)
class Replace:
    """Elements that get a value of the site's, where they are."""

    selector: Selector
    value: Value
    line: int
    name: str = "Replace"


@dataclass(frozen=True, slots=True)
class Add:
    """An element that is added, where its sequences are."""

    path: TagPath
    vr: str
    value: Value
    overwrite: bool
    line: int
    name: str = "AddTags"


@dataclass(frozen=True, slots=True)
class BurnedIn:
    """Text in the pixels that must be removed. ``boxes``: left, top, right, bottom; none: to be found by OCR."""

    boxes: tuple[tuple[int, int, int, int], ...]
    line: int
    name: str = "RemoveBurnedInAnnotations"


@dataclass(frozen=True, slots=True)
class Delete:
    """Elements that go, or become empty; sequences too."""

    selector: Selector
    empty: bool
    line: int
    name: str = "DeleteTags"


@dataclass(frozen=True, slots=True)
class Transcode:
    """The transfer syntax of the result."""

    syntax: str
    line: int
    name: str = "Transcode"


ValueRule = Keep | Clean | Shift | RandomText | RandomUid | Replace
Candidates = tuple[ValueRule, ...]
_MOST_REMEMBERED = 20_000  # kinds of elements; a file can invent as many as it likes


@dataclass(frozen=True, slots=True)
class Orders:
    """Everything that the blocks of one instance ask for.

    values  rules about values that are there; the last that fits wins
    """

    values: tuple[ValueRule, ...] = ()
    adds: tuple[Add, ...] = ()
    burned_in: tuple[BurnedIn, ...] = ()
    deletes: tuple[Delete, ...] = ()
    transcode: Transcode | None = None
    _candidates: dict[tuple[Tag, str], Candidates] = field(default_factory=dict, compare=False, repr=False)

    def candidates(self, tag: Tag, vr: str) -> Candidates:
        """Return the rules that may mean such an element, the strongest first: remembered, because most mean none."""
        known = self._candidates.get((tag, vr))
        if known is None:
            known = tuple(rule for rule in reversed(self.values) if _may_mean(rule, tag, vr))
            if len(self._candidates) < _MOST_REMEMBERED:
                self._candidates[tag, vr] = known
        return known


@dataclass(frozen=True, slots=True)
class Block:
    """One entry of ``Transformations``: for whom, and what."""

    scope: Scope
    values: tuple[ValueRule, ...] = ()
    adds: tuple[Add, ...] = ()
    burned_in: tuple[BurnedIn, ...] = ()
    deletes: tuple[Delete, ...] = ()
    transcode: Transcode | None = None


def merged(blocks: Sequence[Block]) -> Orders | None:
    """Return what these blocks ask for together, in the order of the types; None if they ask for nothing."""
    if not blocks:
        return None
    values = tuple(
        rule
        for kind in (Keep, Clean, Shift, RandomText, RandomUid, Replace)
        for block in blocks
        for rule in block.values
        if isinstance(rule, kind)
    )
    return Orders(
        values,
        tuple(add for block in blocks for add in block.adds),
        tuple(rule for block in blocks for rule in block.burned_in),
        tuple(rule for block in blocks for rule in block.deletes),
        next((block.transcode for block in reversed(blocks) if block.transcode is not None), None),
    )


def _may_mean(rule: ValueRule, tag: Tag, vr: str) -> bool:
    if isinstance(rule, Shift) and vr not in MOVED:
        return False
    if isinstance(rule, RandomUid) and vr != "UI":
        return False
    if isinstance(rule, Clean) and vr not in CLEANED:
        return False
    return any(_may_be(pattern.parts[-1], tag, vr) for pattern in rule.selector.patterns)


def _may_be(part: PartPattern, tag: Tag, vr: str) -> bool:
    """Whether such an element may be meant by the last part of a pattern, whoever its creator is."""
    if part.vr:
        return part.vr == vr
    if part.digits is not None and part.digits.fullmatch(f"{tag:08X}") is not None:
        return True
    return part.name is not None and part.name.fullmatch(keyword_of(tag)) is not None
