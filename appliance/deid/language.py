"""The keys of a rules file, each with its reader. What they mean to a site is said in rules/README.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.deid.blocks import read_block, read_everywhere, read_prefix
from appliance.deid.clues import folded
from appliance.deid.pixels.devices import Device, read_devices
from appliance.deid.pixels.policy import Look, read_looks
from appliance.deid.plan import CARRIED_OUT, OPTION_CODES
from appliance.deid.pseudonyms import DayRange
from appliance.deid.reading import keys_of, list_of, text_of, word_of
from appliance.deid.scopes import ALL, SCOPE_KEYS, Label, Names, Scope
from appliance.deid.transforms import Block
from appliance.deid.uids import is_uid
from appliance.reasons import Reason
from appliance.yamlfile import Node, kind, suggestion

PROFILES = ("Basic", "none")
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
EVERYWHERE = ("Keep", "Clean", "Replace")  # transformations that may stand at the top, for every instance
KEYS = (
    "Profile",
    "Options",
    "DateShiftDays",
    "SopClasses",
    "Vocabularies",
    "Labels",
    "Categories",
    "ScopeToForward",
    "Destinations",
    "Quarantine",
    "Pixels",
    "Devices",
    "Hold",
    *EVERYWHERE,
    "Transformations",
)
HOLD_KEYS = (*SCOPE_KEYS, "Why")
QUARANTINE_KEYS = (*SCOPE_KEYS, "Reason", "Why")
DESTINATION_KEYS = ("Name", *SCOPE_KEYS)
REASONS = {reason.value: reason for reason in (Reason.BURNED_IN_RISK, Reason.DOCUMENT, Reason.RULE)}
_OF_A_PROFILE = ("Options", "DateShiftDays")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Instances that wait for a person, why, and the line that says so."""

    scope: Scope
    reason: Reason
    why: str
    line: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Instances that wait until an id list names their patient."""

    scope: Scope
    why: str
    line: int


@dataclass(frozen=True, slots=True)
class Route:
    """Which instances a destination gets."""

    destination: str
    scope: Scope
    line: int


@dataclass(frozen=True, slots=True)
class Parts:
    """What a file says, part by part; see ``Ruleset``. ``looks``: None where the file does not say."""

    profile: bool
    options: frozenset[str]
    shift: DayRange
    sop_classes: frozenset[str]
    vocabulary: frozenset[str]
    labels: tuple[Label, ...]
    forward: Scope
    routes: tuple[Route, ...]
    hold: tuple[Hold, ...]
    quarantine: tuple[Quarantine, ...]
    looks: tuple[Look, ...] | None
    devices: tuple[Device, ...]
    blocks: tuple[Block, ...]
    uid_prefix: str


def read_parts(root: Node) -> Parts:
    """Return what a whole file says. Raises ConfigError with file and line for whatever is not understood."""
    keys = keys_of(root, KEYS)
    profile = "Profile" not in keys or word_of(keys["Profile"], "Profile", PROFILES) == "Basic"
    for key in () if profile else _OF_A_PROFILE:
        if key in keys:
            raise keys[key].wrong(f"{key} belongs to the profile, and 'Profile: none' says that there is none.")
    names = Names()
    if "Labels" in keys:
        names.read_labels(keys["Labels"])
    if "Categories" in keys:
        names.read_categories(keys["Categories"])
    entries = list_of(keys["Transformations"], "Transformations") if "Transformations" in keys else ()
    parts = Parts(
        profile=profile,
        options=_options(keys.get("Options")) if profile else frozenset(),
        shift=_shift(keys.get("DateShiftDays")),
        sop_classes=_sop_classes(keys.get("SopClasses")),
        vocabulary=_vocabularies(keys.get("Vocabularies")),
        labels=tuple(names.labels.values()),
        forward=names.scope(keys["ScopeToForward"]) if "ScopeToForward" in keys else Scope(frozenset({ALL})),
        routes=_routes(keys.get("Destinations"), names),
        hold=_hold(keys.get("Hold"), names),
        quarantine=_quarantine(keys.get("Quarantine"), names),
        looks=read_looks(keys["Pixels"], names) if "Pixels" in keys else None,
        devices=read_devices(keys["Devices"]) if "Devices" in keys else (),
        blocks=(*_everywhere(keys), *(read_block(entry, names) for entry in entries)),
        uid_prefix=read_prefix(entries),
    )
    names.demand_use(root)
    return parts


def _everywhere(keys: Mapping[str, Node]) -> Sequence[Block]:
    return read_everywhere({kind: keys[kind] for kind in EVERYWHERE if kind in keys})


def _vocabularies(node: Node | None) -> frozenset[str]:
    """Return the words of all lists, folded: what this site's free text may keep besides the packaged vocabulary."""
    words: set[str] = set()
    for name, child in () if node is None else node.items():
        for entry in list_of(child, f"Vocabularies.{name}"):
            word = folded(text_of(entry, "a word"))
            if not word.isalnum():
                raise entry.wrong("a vocabulary lists single words: letters and digits only.")
            words.add(word)
    return frozenset(words)


def _options(node: Node | None) -> frozenset[str]:
    if node is None:
        return DEFAULT_OPTIONS
    options = set()
    for child in list_of(node, "Options"):
        word = text_of(child, "an option")
        if word not in OPTION_CODES:
            raise child.wrong(f"the option '{word}' is not known.{suggestion(word, OPTION_CODES)}")
        if word == "CleanPixelData":
            raise child.wrong(
                "pixels are cleaned as 'Pixels' says, and then claimed so, image by image. Remove it here."
            )
        if word not in CARRIED_OUT:
            raise child.wrong(f"the option '{word}' is not carried out by this version, so it cannot be claimed.")
        options.add(word)
    if {"RetainLongitudinalFullDates", "RetainLongitudinalModifiedDates"} <= options:
        raise node.wrong("dates are either kept (FullDates) or moved (ModifiedDates). Choose one.")
    return frozenset(options)


def _shift(node: Node | None) -> DayRange:
    if node is None:
        return DayRange()
    keys = keys_of(node, ("From", "To"))
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


def _sop_classes(node: Node | None) -> frozenset[str]:
    classes = set()
    for child in () if node is None else list_of(node, "SopClasses"):
        uid = text_of(child, "a SOP Class UID")
        if not is_uid(uid):
            raise child.wrong("SopClasses lists SOP Class UIDs: digits and dots, in quotes.")
        classes.add(uid)
    return frozenset(classes)


def _routes(node: Node | None, names: Names) -> tuple[Route, ...]:
    routes: dict[str, Route] = {}
    for child in () if node is None else list_of(node, "Destinations"):
        keys = keys_of(child, DESTINATION_KEYS, needed=("Name",))
        name = text_of(keys.pop("Name"), "Name")
        if name in routes:
            raise child.wrong(f"the destination '{name}' stands here twice. Keep one.")
        routes[name] = Route(name, names.scope(child, keys), child.line)
    return tuple(routes.values())


def _hold(node: Node | None, names: Names) -> tuple[Hold, ...]:
    entries = []
    for child in () if node is None else list_of(node, "Hold"):
        keys = keys_of(child, HOLD_KEYS, needed=("Why",))
        why = text_of(keys.pop("Why"), "Why")
        entries.append(Hold(names.scope(child, keys), why, child.line))
    return tuple(entries)


def _quarantine(node: Node | None, names: Names) -> tuple[Quarantine, ...]:
    entries = []
    for child in () if node is None else list_of(node, "Quarantine"):
        keys = keys_of(child, QUARANTINE_KEYS)
        if "Why" not in keys:
            raise child.wrong("Why is missing: the sentence that whoever decides will read.")
        why = text_of(keys.pop("Why"), "Why")
        reason = Reason.RULE
        if "Reason" in keys:
            named = keys.pop("Reason")
            word = text_of(named, "Reason")
            if word not in REASONS:
                raise named.wrong(f"the reason '{word}' is not known here.{suggestion(word, REASONS)}")
            reason = REASONS[word]
        entries.append(Quarantine(names.scope(child, keys), reason, why, child.line))
    return tuple(entries)
