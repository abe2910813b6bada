"""Deleting elements as a site's rules say: sequences with all that is in them, private blocks with their creators."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.deid.outcome import Report
from appliance.deid.transforms import Delete
from appliance.dicom.element import SPECIFIC_CHARACTER_SET, DataSet, Element, is_private_creator, tag_text
from appliance.dicom.tagpath import Level

Way = tuple[Level, ...]


@dataclass(frozen=True, slots=True)
class Deleter:
    """DeleteTags at work on the tree of one instance, which it changes.

    place  puts an emptied element: holder, element, path, what was done, by which rule
    """

    deletes: tuple[Delete, ...]
    place: Callable[[DataSet, Element, str, str, str], None]
    report: Report

    def delete(self, tree: DataSet) -> None:
        """Delete what the rules mean, at any depth."""
        self._within(tree, (), "", ())

    def _within(self, holder: DataSet, above: Way, path: str, under: tuple[Delete, ...]) -> None:
        """Delete what the rules mean; ``under``: rules that delete a sequence around, so everything but exceptions."""
        creators = []
        for tag, element in list(holder.elements.items()):
            if tag == SPECIFIC_CHARACTER_SET:
                continue  # without it the texts that stay could not be read
            way = (*above, Level(holder, element))
            rules = self._deleting(way, under)
            if is_private_creator(tag):
                creators += [tag] if rules else []
                continue
            if isinstance(element.value, list):
                self._delete_sequence(element, way, path, rules, under)
            elif rules:
                self._gone(element, holder, path, rules, under)
        for tag in creators:
            block = (tag & 0xFFFF0000) | (tag & 0xFF) << 8
            if not any(block <= other <= block | 0xFF for other in holder.elements):
                holder.remove(tag)  # one with elements left stays: without it they would mean nothing

    def _deleting(self, way: Way, under: tuple[Delete, ...]) -> tuple[Delete, ...]:
        return tuple(
            rule
            for rule in self.deletes
            if (rule in under and not rule.selector.excepts(way)) or rule.selector.chosen(way) is not None
        )

    def _delete_sequence(
        self, element: Element, way: Way, path: str, rules: tuple[Delete, ...], under: tuple[Delete, ...]
    ) -> None:
        at = f"{path}{tag_text(element.tag)}"
        for number, item in enumerate(element.items):
            self._within(item, way, f"{at}[{number}].", rules)
        if not rules:
            return
        element.value = [item for item in element.items if item.elements.keys() - {SPECIFIC_CHARACTER_SET}]
        if not element.value:  # else something inside is excepted
            self._gone(element, way[-1].holder, path, rules, under)

    def _gone(
        self, element: Element, holder: DataSet, path: str, rules: tuple[Delete, ...], under: tuple[Delete, ...]
    ) -> None:
        remove = [rule for rule in rules if not rule.empty or rule in under]  # what is in an emptied sequence goes
        rule = (remove or list(rules))[-1]
        cause = f"{rule.name}, line {rule.line}"
        at = path + tag_text(element.tag)
        if remove:
            holder.remove(element.tag)
            self.report.lines.append((at, "removed", cause))
        elif isinstance(element.value, list):
            self.place(holder, Element(element.tag, element.vr, []), at, "empty", cause)
        else:
            self.place(holder, Element(element.tag, element.vr, b""), at, "empty", cause)
