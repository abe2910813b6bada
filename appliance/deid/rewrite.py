"""Carrying out a site's transformations: on the original's values, before the profile covers the rest.

The original stays as it is. What comes back is a tree for the profile, and beside it the elements that a rule placed or
kept: the profile does not see them, so it cannot change them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from appliance.deid.dates import shifted_date
from appliance.deid.deletion import Deleter
from appliance.deid.drawn import Drawn
from appliance.deid.dummies import padded
from appliance.deid.engine import Engine
from appliance.deid.given import Given, Origin
from appliance.deid.outcome import Minted
from appliance.deid.placed import Value, number_bytes, problem
from appliance.deid.times import moved_moment, moved_time
from appliance.deid.transforms import (
    Add,
    Clean,
    Keep,
    Orders,
    RandomText,
    RandomUid,
    Replace,
    Reuse,
    Shift,
    ValueRule,
)
from appliance.deid.uids import CLASS_ROLES, is_well_known
from appliance.dicom.dictionary import is_known, vr_of
from appliance.dicom.element import (
    SPECIFIC_CHARACTER_SET,
    DataSet,
    Element,
    Tag,
    is_private,
    is_private_creator,
    tag_text,
)
from appliance.dicom.tagpath import Level, TagPattern
from appliance.dicom.text import ONE_VALUED, TEXT_VRS, decode, encode
from appliance.dicom.unknown import sequence_in_unknown
from appliance.errors import Malformed
from appliance.model import Provenance

_DEEPEST = 80
_PATIENT_ID: Tag = 0x00100020
Way = tuple[Level, ...]
Change = Callable[[str], str | None]


class CannotFollow(Exception):
    """A rule cannot be carried out on this instance; says its line and why, with tags and no value."""

    def __init__(self, rule: Add | Replace, why: str) -> None:
        super().__init__(f"By rule, line {rule.line}: {rule.name}: {why}.")


@dataclass(frozen=True, slots=True)
class Touched:
    """What a rule placed or kept, and the Data Set of the new tree that holds it."""

    holder: DataSet
    given: Given


@dataclass(slots=True)
class Rewriter:
    """One instance on its way through the transformations.

    engine   what follows: UIDs, report and dates are its; it receives what is ``given`` and ``opened``
    drawn    derived chance
    """

    orders: Orders
    engine: Engine
    drawn: Drawn
    provenance: Provenance
    _touched: list[Touched] = field(default_factory=list)

    def rewrite(self, original: DataSet) -> DataSet:
        """Return the tree for the profile; raises CannotFollow, or Malformed for endless nesting."""
        tree = self._values(original, (), "")
        for add in self.orders.adds:
            self._add(add, tree)
        if self.orders.deletes:
            Deleter(self.orders.deletes, self._place, self.engine.report).delete(tree)
        for touched in self._touched:
            tag = touched.given.element.tag
            if touched.holder.elements.get(tag) is touched.given.element:  # else a stronger rule came later
                del touched.holder.elements[tag]
                self.engine.by_rules.give(touched.holder, touched.given)
        return tree

    # --- values that are there ------------------------------------------------------------------------------------

    def _values(self, source: DataSet, above: Way, path: str) -> DataSet:
        if len(above) > _DEEPEST:
            raise Malformed(f"Sequences are nested deeper than {_DEEPEST}.")
        result = DataSet(dict(source.elements), source.little_endian, source.charsets)
        for tag, element in source.elements.items():
            element = self._readable(element, source)
            candidates = self.orders.candidates(tag, element.vr)
            if isinstance(element.value, list):
                self._sequence(element, result, above, path, candidates)
                continue
            result.elements[tag] = element
            if candidates and tag != SPECIFIC_CHARACTER_SET and not is_private_creator(tag):
                way = (*above, Level(result, element))
                chosen = self._strongest(candidates, way)
                if chosen is not None:
                    self._change(*chosen, way, path)
        return result

    def _sequence(
        self, element: Element, result: DataSet, above: Way, path: str, candidates: tuple[ValueRule, ...]
    ) -> None:
        new = Element(element.tag, element.vr if element.vr != "UN" else "SQ", [])
        result.elements[element.tag] = new
        way = (*above, Level(result, new))
        at = f"{path}{tag_text(element.tag)}"
        new.value = [self._values(item, way, f"{at}[{number}].") for number, item in enumerate(element.items)]
        for rule in candidates:
            pattern = rule.selector.chosen(way) if isinstance(rule, Keep) else None
            if pattern is not None:
                cause = f"{rule.name}, line {rule.line}"
                self._open(pattern, way, cause)
                self.engine.by_rules.open(new, cause)

    def _readable(self, element: Element, source: DataSet) -> Element:
        """Return an element of VR UN as what it is: a public one by its tag, and a sequence in either."""
        if element.vr != "UN" or isinstance(element.value, list):
            return element
        vr = vr_of(element.tag) if is_known(element.tag) and not is_private(element.tag) else "UN"
        if vr in ("SQ", "UN"):
            items = sequence_in_unknown(element, self.engine.file, charsets=source.charsets)
            return element if items is None else Element(element.tag, "SQ", items)
        fits = isinstance(element.value, bytes) and vr in TEXT_VRS
        return Element(element.tag, vr, element.value) if fits else element

    def _strongest(self, candidates: tuple[ValueRule, ...], way: Way) -> tuple[ValueRule, TagPattern] | None:
        """Return the last rule that means the element and has something to do with its value."""
        element = way[-1].element
        for rule in candidates:
            if not element.value and not isinstance(rule, Keep | Replace):
                continue  # what is empty stays empty
            if isinstance(rule, RandomUid) and element.tag in CLASS_ROLES:
                continue  # it says what kind of thing the instance is
            pattern = rule.selector.chosen(way)
            if pattern is not None:
                return rule, pattern
        return None

    def _change(self, rule: ValueRule, pattern: TagPattern, way: Way, path: str) -> None:
        holder, element = way[-1].holder, way[-1].element
        cause = f"{rule.name}, line {rule.line}"
        self._open(pattern, way, cause)
        at = path + tag_text(element.tag)
        new, done = self._changed(rule, element, holder, at)
        if not new.value and not isinstance(rule, Keep | Replace):
            done = "empty"
        origin = Origin.KEPT if isinstance(rule, Keep) else Origin.CLEANED if isinstance(rule, Clean) else Origin.PLACED
        self._place(holder, new, at, done, cause, origin)

    def _changed(self, rule: ValueRule, element: Element, holder: DataSet, at: str) -> tuple[Element, str]:
        """Return the element after the rule, and what was done in words."""
        match rule:
            case Keep():
                return element, "keep"
            case Clean():
                return self.engine.descriptor(element, holder), "clean"
            case Shift():
                return self._shifted(rule, element), "shift"
            case RandomText():
                return self._randomized(rule, element, holder, at), "random text"
            case RandomUid():
                return self._values_of(element, self._new_uid), "new uid"
            case Replace():
                return self._written(rule, rule.value, element.tag, element.vr, holder), "replace"

    def _place(
        self, holder: DataSet, element: Element, at: str, done: str, cause: str, origin: Origin = Origin.PLACED
    ) -> None:
        holder.elements[element.tag] = element
        self._touched.append(Touched(holder, Given(element, origin)))
        self.engine.report.lines.append((at, done, cause))

    def _open(self, pattern: TagPattern, way: Way, cause: str) -> None:
        """Keep the sequences that the pattern names on its way, their items cleaned by the profile."""
        for level in way[-len(pattern.parts) : -1]:
            self.engine.by_rules.open(level.element, cause)

    def _shifted(self, rule: Shift, element: Element) -> Element:
        days = element.vr == "DA"
        by = self.drawn.days(rule.by, rule.reuse) if days else self.drawn.seconds(rule.by, rule.reuse)
        move = {"DA": shifted_date, "TM": moved_time, "DT": moved_moment}[element.vr]
        self.engine.by_rules.dates_moved = True

        def moved(value: str) -> str | None:
            if days and value[:8].isdigit():
                self.engine.dates.add(value[:8])
            return move(value, by)

        return self._values_of(element, moved)

    def _new_uid(self, uid: str) -> str:
        return uid if is_well_known(uid) else self.engine.uid(uid)

    def _values_of(self, element: Element, new: Change) -> Element:
        """Return the element with each value changed; emptied if one cannot be."""
        assert isinstance(element.value, bytes)  # noqa: S101 - VRs of short texts never stay in the file
        values = [value.strip(" \0") for value in element.value.decode("latin-1").split("\\")]
        changed = [new(value) if value else "" for value in values]
        texts = [value for value in changed if value is not None]
        text = "\\".join(texts) if len(texts) == len(changed) else ""
        return Element(element.tag, element.vr, padded(text.encode("latin-1"), element.vr))

    def _randomized(self, rule: RandomText, element: Element, holder: DataSet, at: str) -> Element:
        """Return the element with each value, or each part of one, replaced; emptied where no text can stand."""
        if element.vr == "UI":
            return self._values_of(element, self._new_uid if element.tag not in CLASS_ROLES else str)
        if element.vr not in TEXT_VRS or not isinstance(element.value, bytes):
            return Element(element.tag, element.vr, b"")
        text = decode(element.value, element.vr, holder.charsets).text.rstrip(" \0")
        values = [text] if element.vr in ONE_VALUED else text.split("\\")
        new = [self._random_value(rule, value.strip(), element, f"{at} {n}") for n, value in enumerate(values)]
        if element.tag == _PATIENT_ID and "." not in at and new:
            self._mint(rule, values[0].strip(), new[0])
        return Element(element.tag, element.vr, padded("\\".join(new).encode("ascii"), element.vr))

    def _random_value(self, rule: RandomText, value: str, element: Element, at: str) -> str:
        """Return what stands for one value: for a name, its three ways of writing are kept apart, too."""
        reuse = self._reuse(rule, element)
        groups = value.split("=") if element.vr == "PN" else [value]
        new_groups = []
        for number, group in enumerate(groups):
            parts = group.split(rule.split) if rule.split else [group]
            new = [
                part.strip() and self.drawn.text(self._key(rule, part), element.vr, reuse, f"{at} {number} {n}")
                for n, part in enumerate(parts)
            ]
            new_groups.append(rule.split.join(text or "" for text in new))
        joined = "=".join(new_groups)
        if not problem(joined, element.vr):
            return joined
        # More parts than the VR has room for: the value as a whole, then.
        return self.drawn.text(self._key(rule, value), element.vr, reuse, at) or ""

    def _key(self, rule: RandomText, part: str) -> str:
        part = part.strip()
        return part.lower() if rule.ignore_case else part

    def _reuse(self, rule: RandomText, element: Element) -> Reuse:
        """Return within what it is the same. A patient's number is the patient's within its domain only."""
        if element.tag == _PATIENT_ID and rule.reuse is Reuse.ALWAYS:
            return Reuse.PATIENT
        return rule.reuse

    def _mint(self, rule: RandomText, original: str, new: str) -> None:
        """Note what stands for the patient's number, so that it can be found again."""
        if original and not rule.split and rule.reuse in (Reuse.ALWAYS, Reuse.PATIENT):
            original = original.lower() if rule.ignore_case else original
            minted = Minted("text", self.engine.own[0], original, new, self.engine.pseudonyms.scope)
            self.engine.minted["text", original] = minted

    # --- what is added --------------------------------------------------------------------------------------------

    def _add(self, rule: Add, tree: DataSet) -> None:
        tag = rule.path.steps[-1].tag
        for holder, path, sequences in self._holders(rule, tree, 0, "", ()):
            if tag in holder and not rule.overwrite:
                continue
            new = self._written(rule, rule.value, tag, rule.vr, holder)
            cause = f"{rule.name}, line {rule.line}"
            for sequence in sequences:
                self.engine.by_rules.open(sequence, cause)
            self._place(holder, new, path + tag_text(tag), "add", cause)

    def _holders(
        self, rule: Add, holder: DataSet, depth: int, path: str, sequences: tuple[Element, ...]
    ) -> Iterator[tuple[DataSet, str, tuple[Element, ...]]]:
        """Yield the Data Sets that the rule's path leads to, each with its path and the sequences on the way."""
        if depth == len(rule.path.steps) - 1:
            yield holder, path, sequences
            return
        step = rule.path.steps[depth]
        element = holder.get(step.tag)
        if element is None or not isinstance(element.value, list):
            raise CannotFollow(rule, f"{path}{tag_text(step.tag)} is not there, and sequences are not made")
        if step.item is not None and step.item >= len(element.value):
            raise CannotFollow(rule, f"{path}{tag_text(step.tag)} has no item {step.item}")
        for number, item in enumerate(element.value):
            if step.item in (None, number):
                at = f"{path}{tag_text(step.tag)}[{number}]."
                yield from self._holders(rule, item, depth + 1, at, (*sequences, element))

    def _written(self, rule: Add | Replace, value: Value, tag: Tag, vr: str, holder: DataSet) -> Element:
        """Return an element with a value of the site's; raises CannotFollow if it does not fit."""
        text = value.filled(self.provenance)
        wrong = problem(text, vr)
        if wrong:
            raise CannotFollow(rule, f"{tag_text(tag)}: {wrong}")
        number = number_bytes(text, vr, little_endian=holder.little_endian)
        if number is not None:
            return Element(tag, vr, number)
        encoded = encode(text, vr, holder.charsets)
        if not encoded.exact:
            raise CannotFollow(
                rule, f"{tag_text(tag)}: the value has letters that the instance's character set has not"
            )
        return Element(tag, vr, padded(encoded.value, vr))
