"""A site's rules: read, checked and closed. A word that is not known is an error with file and line, never ignored."""

import json
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from importlib.resources import as_file, files
from pathlib import Path

from appliance.deid.clues import vocabulary
from appliance.deid.descriptors import load_vocabulary
from appliance.deid.language import DEFAULT_OPTIONS, Hold, Parts, Quarantine, Route, read_parts
from appliance.deid.pixels.devices import Device, packaged_devices, packaged_meaning
from appliance.deid.pixels.policy import Policy, Task
from appliance.deid.plan import Place
from appliance.deid.pseudonyms import DayRange
from appliance.deid.scopes import ALL, Label, Labelling, Scope
from appliance.deid.standard import Standard, load_standard
from appliance.deid.transforms import Block, Orders, merged
from appliance.dicom.element import DataSet
from appliance.errors import ConfigError
from appliance.yamlfile import meaning, parse, suggestion

__all__ = ["ALL", "DEFAULT_OPTIONS", "RulesFile", "Ruleset", "load_rules", "read_rules"]


@dataclass(frozen=True, slots=True)
class Ruleset:
    """Everything the engine is told by a site.

    digest       SHA-256 (hex) of what the rules and the packaged devices mean: comments and order of keys do not
                 change it
    profile      whether the Basic Profile covers what no rule touched
    options      names of Annex E options in force, each one carried out
    shift        between which days a patient's offset is drawn
    sop_classes  private or unknown SOP Classes that are let pass
    hold         which instances wait until an id list names their patient
    pixels       whose pixels are looked at, and how
    devices      what writes where: the site's own and the packaged
    routes       which instances a destination gets; one that is not named gets all
    blocks       transformations, each with its scope
    uid_prefix   what new UIDs begin with; "" for 2.25
    common_words words of DICOM itself, which as a name's part prove nothing
    vocabulary   words that free text may keep, folded
    """

    file: Path
    digest: str
    profile: bool
    options: frozenset[str]
    shift: DayRange
    sop_classes: frozenset[str]
    labels: tuple[Label, ...]
    forward: Scope
    routes: tuple[Route, ...]
    hold: tuple[Hold, ...]
    quarantine: tuple[Quarantine, ...]
    pixels: Policy
    devices: tuple[Device, ...]
    blocks: tuple[Block, ...]
    uid_prefix: str
    standard: Standard = field(repr=False, compare=False)
    common_words: frozenset[str] = field(repr=False, compare=False)
    vocabulary: frozenset[str] = field(repr=False, compare=False)
    _labelling: Labelling = field(repr=False, compare=False)
    _places: dict[str, Place] = field(default_factory=dict, repr=False, compare=False)
    _orders: dict[tuple[bool, ...], Orders | None] = field(default_factory=dict, repr=False, compare=False)

    def place(self, sop_class: str) -> Place:
        """Return the top of a SOP Class's plan; worked out once."""
        place = self._places.get(sop_class)
        if place is None:
            place = Place(self.standard, self.options, self.standard.top_nodes(sop_class))
            self._places[sop_class] = place
        return place

    def labels_of(self, data_set: DataSet, meta: DataSet | None = None) -> frozenset[str]:
        """Return the labels of an original, ALL among them; ``meta`` is its group 2."""
        return self._labelling.of(data_set, meta)

    def orders(self, labels: frozenset[str]) -> Orders | None:
        """Return what the transformations ask for on an instance with these labels; None if nothing."""
        if not self.blocks:
            return None
        matching = tuple(block.scope.covers(labels) for block in self.blocks)
        if matching not in self._orders:
            self._orders[matching] = merged([b for b, covered in zip(self.blocks, matching, strict=True) if covered])
        return self._orders[matching]

    def task_for(self, labels: frozenset[str], data_set: DataSet, meta: DataSet | None) -> Task | None:
        """Return what is to be done with the pixels of an original with these labels; None if nobody need look."""
        orders = self.orders(labels)
        burned_in = () if orders is None else orders.burned_in
        if not self.pixels.looks and not burned_in:
            return None
        return self.pixels.task(labels, data_set, meta, burned_in)

    def destinations_for(self, labels: frozenset[str], names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of the destinations an instance with these labels goes to."""
        barred = {route.destination for route in self.routes if not route.scope.covers(labels)}
        return tuple(name for name in names if name not in barred)

    def demand_destinations(self, names: tuple[str, ...]) -> None:
        """Raise ConfigError for a destination that only the rules name: a slip would let everything through."""
        for route in self.routes:
            if route.destination not in names:
                known = suggestion(route.destination, names) if names else ""
                raise ConfigError(
                    f"the destination '{route.destination}' is not in the configuration.{known}",
                    file=self.file,
                    line=route.line,
                )


@dataclass(frozen=True, slots=True)
class RulesFile:
    """A rules file as it was read: what is in force stays so, whatever becomes of the file."""

    name: Path
    text: str

    def ruleset(self) -> Ruleset:
        """Return the rules; raises ConfigError with file and line."""
        root = parse(self.text, self.name)
        parts = read_parts(root)
        return Ruleset(
            file=self.name,
            digest=_digest(meaning(root), packaged_meaning()),
            profile=parts.profile,
            options=parts.options,
            shift=parts.shift,
            sop_classes=parts.sop_classes,
            labels=parts.labels,
            forward=parts.forward,
            routes=parts.routes,
            hold=parts.hold,
            quarantine=parts.quarantine,
            pixels=_policy(parts),
            devices=(*parts.devices, *packaged_devices()),
            blocks=parts.blocks,
            uid_prefix=parts.uid_prefix,
            standard=load_standard(),
            common_words=vocabulary(),
            vocabulary=load_vocabulary() | parts.vocabulary,
            _labelling=Labelling(parts.labels),
        )


def load_rules(path: Path | None) -> Ruleset:
    """Return the rules in ``path``, or the packaged ``rules/default.yaml``; raises ConfigError with file and line."""
    return read_rules(path).ruleset()


def read_rules(path: Path | None) -> RulesFile:
    """Return the file ``path``, or the packaged ``rules/default.yaml``, as it is now; raises ConfigError."""
    if path is not None:
        return RulesFile(path, _text_of(path, path))
    # In a checkout this is a link to rules/default.yaml; a wheel holds the file itself.
    with as_file(files("appliance.deid").joinpath("data", "default.yaml")) as packaged:
        name = Path("rules/default.yaml")
        return RulesFile(name, _text_of(packaged, name))


def _policy(parts: Parts) -> Policy:
    """Return the file's policy for pixels; where it has none, the packaged one, unless it does without a profile."""
    if parts.looks is not None:
        return Policy(parts.looks)
    return _packaged_policy() if parts.profile else Policy()


@lru_cache(maxsize=1)
def _packaged_policy() -> Policy:
    file = read_rules(None)
    parts = read_parts(parse(file.text, file.name))
    looks = parts.looks or ()
    used = frozenset[str]().union(*(look.scope.labels | look.scope.excepted for look in looks))
    return Policy(looks, Labelling(tuple(label for label in parts.labels if label.name in used)))


def _text_of(file: Path, name: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"the rules cannot be read: {error.strerror}.", file=name) from None
    except UnicodeDecodeError:
        raise ConfigError("the rules are not UTF-8 text. Save the file as UTF-8.", file=name) from None


def _digest(*meanings: object) -> str:
    return sha256(json.dumps(meanings, sort_keys=True).encode("utf-8")).hexdigest()
