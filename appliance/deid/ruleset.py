"""A site's rules: read, checked and closed. A word that is not known is an error with file and line, never ignored.

This issue's keys: Profile, Options, DateShiftDays, SopClasses, Labels, ScopeToForward, Quarantine.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from appliance.deid.clues import folded, vocabulary
from appliance.deid.descriptors import load_vocabulary
from appliance.deid.plan import CARRIED_OUT, OPTION_CODES, Place
from appliance.deid.pseudonyms import DayRange
from appliance.deid.standard import Standard, load_standard
from appliance.deid.uids import is_uid
from appliance.dicom.dictionary import vr_of
from appliance.dicom.element import DataSet, Element, is_private
from appliance.dicom.query import BadQuery, Query, parse_query
from appliance.errors import ConfigError
from appliance.reasons import Reason
from appliance.yamlfile import Node, kind, parse, suggestion

ALL = "ALL"  # the label that every instance has
DEFAULT_OPTIONS = frozenset(
    {
        "RetainLongitudinalModifiedDates",
        "RetainPatientCharacteristics",
        "RetainSafePrivate",
        "CleanDescriptors",
        "CleanGraphics",
        "CleanStructuredContent",
    }
)
_REASONS = {reason.value: reason for reason in (Reason.BURNED_IN_RISK, Reason.DOCUMENT, Reason.RULE)}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which labels are meant: an exclusion wins, and nothing named means nobody."""

    labels: frozenset[str]
    excepted: frozenset[str] = frozenset()

    def covers(self, labels: frozenset[str]) -> bool:
        """Whether an instance with these labels is meant."""
        return not labels & self.excepted and (ALL in self.labels or bool(labels & self.labels))


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Instances that wait for a person, why, and the line that says so."""

    scope: Scope
    reason: Reason
    why: str
    line: int


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything the engine is told by a site.

    digest       SHA-256 (hex) of what the rules mean: comments and order of keys do not change it
    options      names of Annex E options in force, each one carried out
    shift        between which days a patient's offset is drawn
    sop_classes  private or unknown SOP Classes that are let pass
    common_words words of DICOM itself, which as a name's part prove nothing
    vocabulary   words that free text may keep, folded
    """

    file: Path
    digest: str
    options: frozenset[str]
    shift: DayRange
    sop_classes: frozenset[str]
    labels: tuple[tuple[str, Query], ...]
    forward: Scope
    quarantine: tuple[Quarantine, ...]
    standard: Standard = field(repr=False, compare=False)
    common_words: frozenset[str] = field(repr=False, compare=False)
    vocabulary: frozenset[str] = field(repr=False, compare=False)
    _places: dict[str, Place] = field(default_factory=dict, repr=False, compare=False)

    def place(self, sop_class: str) -> Place:
        """Return the top of a SOP Class's plan; worked out once."""
        place = self._places.get(sop_class)
        if place is None:
            place = Place(self.standard, self.options, self.standard.top_nodes(sop_class))
            self._places[sop_class] = place
        return place

    def labels_of(self, data_set: DataSet) -> frozenset[str]:
        """Return the labels of an original, ALL among them."""
        readable = _readable(data_set)
        return frozenset({ALL, *(name for name, test in self.labels if test.matches(readable))})

    def destinations_for(self, labels: frozenset[str], names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of the destinations an instance with these labels goes to: all of them, until rules say less."""
        del labels
        return names


def load_rules(path: Path | None) -> Ruleset:
    """Return the rules in ``path``, or the packaged ``rules/default.yaml``; raises ConfigError with file and line."""
    if path is not None:
        return _read(path, path)
    # In a checkout this is a link to rules/default.yaml; a wheel holds the file itself.
    with as_file(files("appliance.deid").joinpath("data", "default.yaml")) as packaged:
        return _read(packaged, Path("rules/default.yaml"))


def _read(file: Path, name: Path) -> Ruleset:
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the rules cannot be read: {error.strerror}.", file=name) from None
    except UnicodeDecodeError:
        raise ConfigError("the rules are not UTF-8 text. Save the file as UTF-8.", file=name) from None
    root = parse(text, name)
    keys = _keys(root, _READERS)
    known = {"labels": _labels(keys.get("Labels"))}
    names = frozenset(label for label, _ in known["labels"])
    values = {key: _READERS[key](node, names) for key, node in keys.items() if key not in ("Labels", "Profile")}
    if "Profile" in keys:
        _profile(keys["Profile"])
    return Ruleset(
        file=name,
        digest=sha256(json.dumps(_meaning(root), sort_keys=True).encode("utf-8")).hexdigest(),
        options=values.get("Options", DEFAULT_OPTIONS),
        shift=values.get("DateShiftDays", DayRange()),
        sop_classes=values.get("SopClasses", frozenset()),
        labels=known["labels"],
        forward=values.get("ScopeToForward", Scope(frozenset({ALL}))),
        quarantine=values.get("Quarantine", ()),
        standard=load_standard(),
        common_words=vocabulary(),
        vocabulary=load_vocabulary() | values.get("Vocabularies", frozenset()),
    )


def _keys(node: Node, known: Mapping[str, Any]) -> dict[str, Node]:
    found = {}
    for key, child in node.items():
        if key not in known:
            line = node.key_lines.get(key, child.line)
            raise ConfigError(f"'{key}' is not known here.{suggestion(key, known)}", file=node.file, line=line)
        found[key] = child
    return found


def _profile(node: Node) -> None:
    if node.value != "Basic":
        raise node.wrong("Profile must be 'Basic': the Basic Application Confidentiality Profile of PS3.15 Annex E.")


def _options(node: Node, _: frozenset[str]) -> frozenset[str]:
    options = set()
    for child in _list(node, "Options"):
        word = _text(child, "an option")
        if word not in OPTION_CODES:
            raise child.wrong(f"the option '{word}' is not known.{suggestion(word, OPTION_CODES)}")
        if word not in CARRIED_OUT:
            raise child.wrong(f"the option '{word}' is not carried out by this version, so it cannot be claimed.")
        options.add(word)
    if {"RetainLongitudinalFullDates", "RetainLongitudinalModifiedDates"} <= options:
        raise node.wrong("dates are either kept (FullDates) or moved (ModifiedDates). Choose one.")
    return frozenset(options)


def _shift(node: Node, _: frozenset[str]) -> DayRange:
    keys = _keys(node, {"From": 1, "To": 1})
    if len(keys) != 2:
        raise node.wrong("DateShiftDays needs From and To, in whole days.")
    days = {}
    for key, child in keys.items():
        if not isinstance(child.value, int) or isinstance(child.value, bool):
            raise child.wrong(f"DateShiftDays.{key} must be a whole number of days, not {kind(child)}.")
        days[key] = child.value
    try:
        return DayRange(days["From"], days["To"])
    except ValueError as error:
        raise node.wrong(f"DateShiftDays: {error}") from None


def _sop_classes(node: Node, _: frozenset[str]) -> frozenset[str]:
    classes = set()
    for child in _list(node, "SopClasses"):
        uid = _text(child, "a SOP Class UID")
        if not is_uid(uid):
            raise child.wrong("SopClasses lists SOP Class UIDs: digits and dots, in quotes.")
        classes.add(uid)
    return frozenset(classes)


def _labels(node: Node | None) -> tuple[tuple[str, Query], ...]:
    labels: dict[str, Query] = {}
    for child in () if node is None else _list(node, "Labels"):
        keys = _keys(child, {"Name": 1, "DICOMQueryFilter": 1})
        if set(keys) != {"Name", "DICOMQueryFilter"}:
            raise child.wrong("a label needs Name and DICOMQueryFilter.")
        name = _text(keys["Name"], "Name")
        if name == ALL or name in labels:
            raise keys["Name"].wrong(f"the label '{name}' exists already.")
        labels[name] = _query(keys["DICOMQueryFilter"])
    return tuple(labels.items())


def _query(node: Node) -> Query:
    try:
        return parse_query(_text(node, "DICOMQueryFilter"))
    except BadQuery as error:
        raise node.wrong(f"DICOMQueryFilter: {error}") from None


def _forward(node: Node, labels: frozenset[str]) -> Scope:
    return _scope(node, labels, _keys(node, {"Labels": 1, "ExceptLabels": 1}))


def _scope(node: Node, labels: frozenset[str], keys: Mapping[str, Node]) -> Scope:
    if "Labels" not in keys:
        raise node.wrong("Labels is missing; for every instance write 'Labels: ALL'.")
    return Scope(_named(keys["Labels"], labels), _named(keys.get("ExceptLabels"), labels))


def _named(node: Node | None, labels: frozenset[str]) -> frozenset[str]:
    if node is None:
        return frozenset()
    names = set()
    for child in (node,) if isinstance(node.value, str) else _list(node, "Labels"):
        name = _text(child, "a label")
        if name != ALL and name not in labels:
            raise child.wrong(f"the label '{name}' is not defined under Labels.{suggestion(name, {ALL, *labels})}")
        names.add(name)
    return frozenset(names)


def _quarantine(node: Node, labels: frozenset[str]) -> tuple[Quarantine, ...]:
    entries = []
    for child in _list(node, "Quarantine"):
        keys = _keys(child, {"Labels": 1, "ExceptLabels": 1, "Reason": 1, "Why": 1})
        if "Why" not in keys:
            raise child.wrong("Why is missing: the sentence that whoever decides will read.")
        reason = Reason.RULE
        if "Reason" in keys:
            word = _text(keys["Reason"], "Reason")
            if word not in _REASONS:
                raise keys["Reason"].wrong(f"the reason '{word}' is not known here.{suggestion(word, _REASONS)}")
            reason = _REASONS[word]
        entries.append(Quarantine(_scope(child, labels, keys), reason, _text(keys["Why"], "Why"), child.line))
    return tuple(entries)


def _vocabularies(node: Node, _: frozenset[str]) -> frozenset[str]:
    """Return the words of all lists, folded: what this site's free text may keep besides the packaged vocabulary."""
    words: set[str] = set()
    for name, child in node.items():
        for entry in _list(child, f"Vocabularies.{name}"):
            word = folded(_text(entry, "a word"))
            if not word.isalnum():
                raise entry.wrong("a vocabulary lists single words: letters and digits only.")
            words.add(word)
    return frozenset(words)


def _list(node: Node, name: str) -> tuple[Node, ...]:
    if not isinstance(node.value, tuple):
        raise node.wrong(f"{name} must be a list, not {kind(node)}.")
    return node.value


def _text(node: Node, name: str) -> str:
    if not isinstance(node.value, str) or not node.value.strip():
        raise node.wrong(f"{name} must be a text, not {kind(node)}; write it in quotes.")
    return node.value.strip()


def _meaning(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _meaning(child) for key, child in node.value.items()}
    return [_meaning(child) for child in node.value] if isinstance(node.value, tuple) else node.value


def _readable(data_set: DataSet) -> DataSet:
    """Return the Data Set with public attributes written as UN read by their tag: a label must not miss them."""
    unknown = [element for element in data_set if element.vr == "UN" and not is_private(element.tag)]
    if not unknown:
        return data_set
    readable = DataSet(dict(data_set.elements), data_set.little_endian, data_set.charsets)
    for element in unknown:
        readable.put(Element(element.tag, vr_of(element.tag), element.value))
    return readable


_READERS: Mapping[str, Callable[[Node, frozenset[str]], Any]] = {
    "Profile": lambda node, _: _profile(node),
    "Options": _options,
    "DateShiftDays": _shift,
    "SopClasses": _sop_classes,
    "Labels": lambda node, _: _labels(node),
    "ScopeToForward": _forward,
    "Quarantine": _quarantine,
    "Vocabularies": _vocabularies,
}
