"""What is told of one de-identified instance, to keep: which elements went, changed and stayed, and why. No value.

Tag paths, the words of actions and causes, options, codes and counts; private creators only where the table of safe
private elements has them. The slices of a series mostly have the same account, so it is kept once for all of them.
"""

import json
import re
from typing import Any, Final

from appliance.deid.given import ByRules
from appliance.deid.outcome import Deidentified, Looked
from appliance.deid.plain import latin
from appliance.deid.pseudonyms import Pseudonyms
from appliance.deid.ruleset import Ruleset
from appliance.deid.stamp import DATES_MODIFIED
from appliance.dicom.element import DataSet, is_private, is_private_creator, tag_text

FORMAT: Final = 1
OTHER_CREATOR: Final = "another creator"  # its name comes from the file, and may be anybody's
_PLACES = re.compile(r"\([0-9A-F]{4},[0-9A-F]{4}\)|\bline \d+")
_DATES = frozenset({"UNMODIFIED", "MODIFIED", "REMOVED"})


def account_of(original: DataSet, done: Deidentified, rules: Ruleset) -> str:
    """Return the account as JSON, in one form for the same facts.

    elements  [tag path, action, cause] of what was not simply kept, in the order of the Data Set
    kept      how many elements stayed, at any depth
    stayed    tags at the top that stayed as they were
    pixels    what was looked at and hidden; null if nobody needed to look
    private   [element, creator] of private elements at the top that stayed or were cleaned; (gggg,xxee)
    """
    report, elements = done.report, original.elements
    stayed, private = [], []
    for tag, element in done.dataset.elements.items():
        if is_private(tag):
            if not is_private_creator(tag):
                private.append(_private(done.dataset, tag, rules))
        elif elements.get(tag) is element:
            stayed.append(tag_text(tag))
    dates = latin(getattr(done.dataset.get(DATES_MODIFIED), "value", b"")) if rules.profile else ""
    content = {
        "format": FORMAT,
        "sop_class": done.sop_class,
        "rules_digest": rules.digest,
        "profile": rules.profile,
        "codes": report.codes,
        "dates": dates if dates in _DATES else "",
        "elements": report.lines,
        "kept": report.kept,
        "stayed": sorted(stayed),
        "private": sorted(private),
        "pixels": None if report.pixels is None else _pixels(report.pixels),
    }
    return json.dumps(content, separators=(",", ":"))


def study_name(study: str, rules: Ruleset, pseudonyms: Pseudonyms) -> str:
    """Return the UID under which the study of an instance that does not leave is known outside."""
    if "RetainUIDs" in rules.options:
        return study
    return ByRules(uid_prefix=rules.uid_prefix).rooted(pseudonyms.uid(study))


def places_in(detail: str) -> str:
    """Return the tags and the lines of rules in a detail, and nothing else: other words may be an operator's own."""
    return ", ".join(dict.fromkeys(_PLACES.findall(detail)))


def _pixels(looked: Looked) -> dict[str, Any]:
    return {
        "place": places_in(looked.rule),
        "frames": looked.frames,
        "searched": looked.searched,
        "engine": looked.engine,
        "hidden": [[each.frame, each.box, each.cause] for each in looked.hidden],
    }


def _private(result: DataSet, tag: int, rules: Ruleset) -> tuple[str, str]:
    group, low = tag >> 16, tag & 0xFF
    creator = result.creator_of(tag) or ""
    known = (group, low, creator) in rules.standard.safe
    return f"({group:04X},xx{low:02X})", creator if known else OTHER_CREATOR
