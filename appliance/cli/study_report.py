"""The de-identification summary of a study: what was done to how many of its images, by attribute, and why.

Made of reports, and of what both sides' rows say: no value of an original, no original UID.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from appliance.cli.options import moment
from appliance.deid.plan import BASIC_CODE, OPTION_CODES
from appliance.dicom.dictionary import keyword_of
from appliance.reasons import Reason
from appliance.spool.outbox_view import Left
from appliance.spool.overview import Overview
from appliance.spool.recalls import Recalled, Wanted
from appliance.spool.reports import Kept

MEANINGS = dict([BASIC_CODE, *OPTION_CODES.values()])
_ITEM = re.compile(r"\[\d+\]")
_LAST_TAG = re.compile(r"\(([0-9A-F]{4}),([0-9A-F]{4})\)$")
_COUNTED = re.compile(r"removed (\d+)")

# What a person is told an action came to; any other changed the value.
KINDS = ("removed", "emptied", "replaced", "cleaned", "kept")
_KINDS = {
    "removed": "removed",
    "remove": "removed",
    "empty": "emptied",
    "clean text": "cleaned",
    "clean code meaning": "cleaned",
    "clean label": "cleaned",
    "clean graphic": "cleaned",
    "clean": "cleaned",
    "into sequence": "cleaned",
    "keep": "kept",
    "keep class uid": "kept",
    "keep time": "kept",
    "keep time zone": "kept",
}
DATES = {
    "MODIFIED": "Every date of the patient was moved by one secret number of days; intervals are kept.",
    "UNMODIFIED": "Dates stand as they were.",
    "REMOVED": "Dates were removed.",
}


def summary(
    study: str, kept: Sequence[Kept], accounts: dict[int, dict[str, Any]], overview: Overview
) -> dict[str, Any]:
    """Return the summary as JSON can hold it.

    kept      every report of the study; of several rounds of an instance the last one counts
    accounts  by number, of those reports
    """
    last = {each.entry.id: each for each in sorted(kept, key=lambda each: each.entry.round)}
    done = [each for each in last.values() if not each.entry.reason]
    numbers = Counter(each.body for each in done if each.body in accounts)
    told = [(accounts[number], count) for number, count in numbers.items()]
    deliveries = overview.left([study])
    reported = {each.entry.out for each in kept}
    return {
        "study": study,
        "instances": {
            "reported": len(last),
            "deidentified": len(done),
            "withheld": len(last) - len(done),
            "without_report": len({each.out for each in deliveries} - reported),
        },
        "carried_out": _carried_out(told),
        "attributes": _attributes(told),
        "stayed": _stayed(told),
        "private": _private(told),
        "pixels": _pixels(told),
        "withheld": _withheld(each for each in last.values() if each.entry.reason),
        "accepted": _accepted(last.values(), overview),
        "deliveries": _deliveries(deliveries),
        "recalls": _recalls(overview.recalls(Wanted((study,)))),
    }


def carried_out(account: dict[str, Any]) -> dict[str, Any]:
    """Return profile, options, rules and what became of dates, of one account."""
    codes = account["codes"]
    return {
        "rules_digest": account["rules_digest"],
        "profile": account["profile"],
        "exceptions": bool(account["profile"]) and BASIC_CODE[0] not in codes,
        "codes": [{"code": code, "meaning": MEANINGS.get(code, "")} for code in codes],
        "dates": account["dates"],
    }


def element(path: str, action: str, cause: str) -> dict[str, str]:
    """Return one line of an account with the keyword of its attribute."""
    return {"path": path, "keyword": keyword(path), "kind": kind(action), "action": action, "cause": cause}


def keyword(path: str) -> str:
    """Return the keyword of the attribute at the end of a path; "" for private ones."""
    found = _LAST_TAG.search(path)
    return keyword_of(int(found[1] + found[2], 16)) if found else ""


def kind(action: str) -> str:
    """Return one of KINDS."""
    return "removed" if _COUNTED.fullmatch(action) else _KINDS.get(action, "replaced")


def _carried_out(told: Sequence[tuple[dict[str, Any], int]]) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for account, count in told:
        facts = carried_out(account)
        row = rows.setdefault(repr(sorted(facts.items(), key=str)), {**facts, "instances": 0})
        row["instances"] += count
    return list(rows.values())


def _attributes(told: Sequence[tuple[dict[str, Any], int]]) -> list[dict[str, Any]]:
    """A row an attribute, action and cause; items of a sequence are one attribute."""
    elements: Counter[tuple[str, str, str]] = Counter()
    instances: Counter[tuple[str, str, str]] = Counter()
    for account, count in told:
        here: Counter[tuple[str, str, str]] = Counter()
        for path, action, cause in account["elements"]:
            several = _COUNTED.fullmatch(action)
            here[_ITEM.sub("", path), "removed" if several else action, cause] += int(several[1]) if several else 1
        for key, number in here.items():
            elements[key] += number * count
            instances[key] += count
    order = {name: place for place, name in enumerate(KINDS)}
    return [
        {**element(*key), "instances": instances[key], "elements": elements[key]}
        for key in sorted(elements, key=lambda key: (order[kind(key[1])], key))
    ]


def _stayed(told: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    tags: Counter[str] = Counter()
    for account, count in told:
        for tag in account["stayed"]:
            tags[tag] += count
    return {
        "elements": sum(account["kept"] * count for account, count in told),
        "attributes": [{"path": tag, "keyword": keyword(tag), "instances": tags[tag]} for tag in sorted(tags)],
    }


def _private(told: Sequence[tuple[dict[str, Any], int]]) -> list[dict[str, Any]]:
    found: Counter[tuple[str, str]] = Counter()
    for account, count in told:
        for tag, creator in account["private"]:
            found[creator, tag] += count
    return [{"creator": creator, "element": tag, "instances": found[creator, tag]} for creator, tag in sorted(found)]


def _pixels(told: Sequence[tuple[dict[str, Any], int]]) -> list[dict[str, Any]]:
    """A row a search engine: on how many images it looked, at how many frames, and how many boxes were hidden."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for account, count in told:
        looked = account["pixels"]
        if looked is not None:
            row = found[looked["engine"]]
            row["instances"] += count
            row["frames"] += looked["frames"] * count
            row["searched"] += looked["searched"] * count
            row["hidden"] += len(looked["hidden"]) * count
    return [{"engine": engine or "none: by rule", **found[engine]} for engine in sorted(found)]


def _withheld(kept: Iterable[Kept]) -> list[dict[str, Any]]:
    found: Counter[str] = Counter()
    places: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for each in kept:
        found[each.entry.reason] += 1
        if each.entry.place:
            places[each.entry.reason][each.entry.place] = None
    return [
        {"reason": code, "what": Reason(code).words.what, "instances": found[code], "places": list(places[code])}
        for code in sorted(found)
    ]


def _accepted(kept: Iterable[Kept], overview: Overview) -> list[dict[str, Any]]:
    """Who accepted which reason, and for how many: the journal knows as long as it keeps its rows."""
    found: Counter[tuple[str, str]] = Counter()
    at: dict[tuple[str, str], float] = {}
    for each in kept:
        if not each.entry.accepted:
            continue
        moves = [move for trace, _ in overview.trace(each.entry.id) for move in trace.history]
        for code in each.entry.accepted:
            move = next((move for move in moves if move.by and move.reason == code), None)
            key = (code, "" if move is None else move.by)
            found[key] += 1
            at[key] = max(at.get(key, 0.0), 0.0 if move is None else move.at)
    return [
        {"reason": code, "by": by, "last": moment(at[code, by]) if at[code, by] else "", "instances": found[code, by]}
        for code, by in sorted(found)
    ]


def _recalls(recalls: Iterable[Recalled]) -> list[dict[str, Any]]:
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for each in recalls:
        found[each.destination, each.state.value].append(each.at)
    return [
        {"destination": destination, "state": state, "instances": len(moments), "last": moment(max(moments))}
        for (destination, state), moments in sorted(found.items())
    ]


def _deliveries(deliveries: Iterable[Left]) -> list[dict[str, Any]]:
    found: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for each in deliveries:
        found[each.destination, each.delivery or each.state].append(each.at)
    return [
        {
            "destination": destination,
            "state": state,
            "instances": len(moments),
            "first": moment(min(moments)) if min(moments) else "",
            "last": moment(max(moments)) if max(moments) else "",
        }
        for (destination, state), moments in sorted(found.items())
    ]
