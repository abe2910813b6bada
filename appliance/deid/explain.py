"""What became of each element and why: the original and the result side by side, with the rule or column that decided.

For whoever writes rules, inside the hospital: it shows values of the original.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.deid.outcome import Deidentified
from appliance.deid.plan import Place
from appliance.deid.ruleset import Ruleset
from appliance.dicom.dictionary import keyword_of
from appliance.dicom.element import Bulk, DataSet, Element, is_private, is_private_creator, tag_text
from appliance.dicom.part10 import Part10
from appliance.dicom.query import numbers_of
from appliance.dicom.text import TEXT_VRS, decode

LONGEST = 200  # characters of a value that are shown
_MARKS = tuple(tag_text(tag) for tag in (0x00120062, 0x00120063, 0x00120064, 0x00280303))


@dataclass(frozen=True, slots=True)
class Line:
    """One element. ``path`` as in reports: (0040,0275)[0].(0040,0009).

    name    keyword; of a private element its creator
    action  keep, or what was done
    cause   rule and line, or column of the profile
    before, after  values as text; "" where there is none, or an empty one
    """

    path: str
    name: str
    vr: str
    action: str
    cause: str
    before: str
    after: str


def explained(original: Part10, done: Deidentified, rules: Ruleset) -> list[Line]:
    """Return a line for each element of either, in the order of the tags, the items of a sequence behind it."""
    told = {path: (action, cause) for path, action, cause in done.report.lines}
    place = rules.place(done.sop_class) if rules.profile else None
    return list(_lines(original.dataset, done.dataset, place, "", told))


def shown(element: Element | None, holder: DataSet) -> str:
    """Return a value as people read it: text, numbers, or how much of what."""
    if element is None:
        return ""
    value = element.value
    if isinstance(value, list):
        return f"{len(value)} item{'s' if len(value) != 1 else ''}"
    if isinstance(value, Bulk):
        return f"{value.length} bytes"
    if element.vr in TEXT_VRS:
        text = decode(value, element.vr, holder.charsets).text.strip(" \0")
    elif (numbers := numbers_of(element, holder)) or not value:
        text = "\\".join(f"{number:f}" for number in numbers[:LONGEST])
    else:
        return f"{len(value)} bytes"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _lines(
    before: DataSet, after: DataSet, place: Place | None, path: str, told: dict[str, tuple[str, str]]
) -> Iterator[Line]:
    for tag in sorted(before.elements.keys() | after.elements.keys()):
        old, new = before.get(tag), after.get(tag)
        at = path + tag_text(tag)
        action, cause = told.get(at) or _untold(at, old, new, place)
        vr = new.vr if new is not None else old.vr if old is not None else ""
        name = (before.creator_of(tag) or after.creator_of(tag) or "") if is_private(tag) else keyword_of(tag)
        yield Line(at, name, vr, action, cause, shown(old, before), shown(new, after))
        olds, news = (element.items if element is not None else [] for element in (old, new))
        inside = None if place is None else place.inside(tag)
        for number in range(max(len(olds), len(news)) if new is not None else 0):
            first, second = (items[number] if number < len(items) else DataSet() for items in (olds, news))
            yield from _lines(first, second, inside, f"{at}[{number}].", told)


def _untold(at: str, old: Element | None, new: Element | None, place: Place | None) -> tuple[str, str]:
    """Return action and cause of an element that the report does not name: most stay, and private ones are counted."""
    marked = at.startswith(_MARKS)
    if old is None or new is None:
        action = "add" if old is None else "removed"
        return action, "mark" if marked else "Basic Profile X" if place is not None else "no part of a Data Set"
    if marked:
        return "replace", "mark"
    if place is None:
        return "keep", "Profile: none"
    if is_private(new.tag):
        return "keep", "creator of what stays" if is_private_creator(new.tag) else "RetainSafePrivate"
    return "keep", place.step(new.tag).cause
