"""What a site's transformations hand to the engine: elements that the profile must not touch, and must not lose."""

from dataclasses import dataclass, field
from enum import Enum

from appliance.deid.plan import Act, Place, Step
from appliance.dicom.element import DataSet, Element, is_private

_LONGEST_UID = 64  # PS3.5 Section 9.1


class Origin(Enum):
    """Where an element that a rule gives comes from."""

    PLACED = "made by a rule"
    KEPT = "as it was"
    CLEANED = "as it was, but for what the vocabulary does not know"


@dataclass(frozen=True, slots=True)
class Given:
    """An element that a rule placed, kept or cleaned."""

    element: Element
    origin: Origin = Origin.PLACED


@dataclass(slots=True)
class ByRules:
    """What the rules did to one instance. The Data Sets and sequences are those of the tree that is cleaned next.

    given        by the identity of a Data Set: what is to stand in what becomes of it
    opened       by the identity of a sequence: it stays, its items are cleaned; and the rule that says so
    uid_prefix   what new UIDs begin with; "" for 2.25
    dates_moved  a rule moved dates, whatever the options say
    dates_kept   a rule kept dates that the profile would not
    excepted     how many elements rules kept against the profile
    """

    given: dict[int, tuple[DataSet, list[Given]]] = field(default_factory=dict)
    opened: dict[int, tuple[Element, str]] = field(default_factory=dict)
    uid_prefix: str = ""
    dates_moved: bool = False
    dates_kept: bool = False
    excepted: int = 0

    def give(self, holder: DataSet, given: Given) -> None:
        """Have an element stand in what becomes of ``holder``."""
        self.given.setdefault(id(holder), (holder, []))[1].append(given)

    def open(self, sequence: Element, cause: str) -> None:
        """Have a sequence stay, whatever the profile says."""
        self.opened.setdefault(id(sequence), (sequence, cause))

    def put(
        self, source: DataSet, result: DataSet, place: Place | None, placed: list[Element], dated: list[Element]
    ) -> None:
        """Put into ``result`` what was given for ``source``; ``place`` is None without a profile.

        placed  receives what the second look must not search, dated what it searches for all but moved dates
        """
        for given in self.given.get(id(source), (source, []))[1]:
            element, tag = given.element, given.element.tag
            result.put(element)
            (dated if given.origin is Origin.CLEANED else placed).append(element)
            if is_private(tag):
                creator = source.get((tag & 0xFFFF0000) | ((tag & 0xFFFF) >> 8))
                if creator is not None and creator.tag not in result:
                    result.put(creator)
            if given.origin is not Origin.PLACED and place is not None and not _agrees(place, given):
                self.excepted += 1
                self.dates_kept = self.dates_kept or element.vr in ("DA", "DT")

    def opens(self, element: Element) -> bool:
        """Whether a rule keeps this private sequence."""
        if id(element) not in self.opened:
            return False
        self.excepted += 1
        return True

    def step(self, element: Element, step: Step) -> Step:
        """Return what to do with an element: that of a sequence that a rule keeps is changed."""
        opened = self.opened.get(id(element))
        if opened is None or step.act is Act.INTO:
            return step
        self.excepted += 1
        return Step(Act.INTO, Act.REMOVE, ("SQ",), opened[1])

    def rooted(self, uid: str) -> str:
        """Return a UID of root 2.25 under the site's prefix: as much of its number as there is room for."""
        if not self.uid_prefix:
            return uid
        return self.uid_prefix + str(int(uid.rpartition(".")[2]) % 10 ** (_LONGEST_UID - len(self.uid_prefix)))


def untouched(source: DataSet, by_rules: ByRules, placed: list[Element], dated: list[Element]) -> DataSet:
    """Return a Data Set without a profile: everything stays but what belongs in no forwarded Data Set.

    placed, dated  see ``ByRules.put``
    """
    result = DataSet({}, source.little_endian, source.charsets)
    for tag, element in source.elements.items():
        if _is_structure(tag):
            continue
        if isinstance(element.value, list):
            items = [untouched(item, by_rules, placed, dated) for item in element.value]
            element = Element(tag, element.vr, items)
        result.elements[tag] = element
    by_rules.put(source, result, None, placed, dated)
    return result


def _agrees(place: Place, given: Given) -> bool:
    """Whether the profile would have done the same."""
    if is_private(given.element.tag):
        return False
    act = place.step(given.element.tag).act
    return act is Act.KEEP or (act is Act.DESCRIPTOR and given.origin is Origin.CLEANED)


def _is_structure(tag: int) -> bool:
    """Group lengths, commands, File Meta, DICOMDIR; signatures and padding, which no longer hold."""
    return not tag & 0xFFFF or tag >> 16 < 0x0008 or tag >> 16 >= 0xFFF0
