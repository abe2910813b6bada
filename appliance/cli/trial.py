"""Trying rules on files: what would become of an original, element by element, with nothing written anywhere."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import BinaryIO

from appliance.cli.deidentify import recipe_for
from appliance.cli.offline import DELIVERED, EXCLUDED, WITHHELD
from appliance.config import Config
from appliance.deid.explain import Line, explained
from appliance.deid.instance import deidentify
from appliance.deid.outcome import Deidentified, Excluded, Outcome
from appliance.deid.pseudonyms import Pseudonyms
from appliance.deid.ruleset import Ruleset, load_rules
from appliance.dicom import part10
from appliance.dicom.meta import FileMeta, provenance_from_meta
from appliance.errors import Malformed, NotDicom
from appliance.model import ONLY_PROJECT, Provenance
from appliance.reasons import Reason
from appliance.services.looker import Looker
from appliance.services.worker import equip

_ACCEPTABLE = frozenset(reason.value for reason in Reason if reason.words.acceptable)
_LOOKED_AT = _ACCEPTABLE - {Reason.BURNED_IN_RISK.value, Reason.PIXELS_TOO_LARGE.value}  # with pixels cleaned


@dataclass(frozen=True, slots=True)
class Tried:
    """What would become of one original.

    outcome   delivered, excluded or withheld; ``reason`` and ``detail`` say why
    original  None if it cannot be read
    result    what would leave, if somebody accepted what holds it back; None if that cannot be accepted
    """

    outcome: str
    reason: str
    detail: str
    original: part10.Part10 | None
    result: Deidentified | None


@dataclass(frozen=True, slots=True)
class Trial:
    """Rules and pseudonyms to try with, and who looks at pixels. ``settings``: None without a configuration."""

    rules: Ruleset
    pseudonyms: Pseudonyms
    settings: Config | None
    max_header: int
    looker: Looker
    _kept: ExitStack = field(default_factory=ExitStack)

    def of(self, file: BinaryIO) -> Tried:
        """Try a file, which must stay open as long as the result is looked at: until the next one is tried."""
        self._kept.close()
        try:
            original = part10.read(file, max_header=self.max_header)
        except NotDicom as error:
            return Tried(WITHHELD, Reason.NOT_DICOM.value, str(error), None, None)
        except Malformed as error:
            large = isinstance(error, part10.TooLargeToRead)
            reason = Reason.TOO_LARGE_TO_READ if large else Reason.MALFORMED
            return Tried(WITHHELD, reason.value, str(error), None, None)
        outcome = self._outcome(original, frozenset())
        if isinstance(outcome, Deidentified):
            return Tried(DELIVERED, "", "", original, outcome)
        if isinstance(outcome, Excluded):
            return Tried(EXCLUDED, Reason.EXCLUDED_BY_RULE.value, outcome.rule, original, None)
        accepted = self._outcome(original, _LOOKED_AT)
        if not isinstance(accepted, Deidentified):
            accepted = self._outcome(original, _ACCEPTABLE)
        result = accepted if isinstance(accepted, Deidentified) else None
        return Tried(WITHHELD, outcome.reason.value, outcome.detail, original, result)

    def lines(self, tried: Tried) -> list[Line]:
        """Return a line for each element; none if nothing would leave."""
        if tried.original is None or tried.result is None:
            return []
        return explained(tried.original, tried.result, self.rules)

    def _outcome(self, original: part10.Part10, accepted: frozenset[str]) -> Outcome:
        came = self._provenance(original)
        domain = "site" if self.settings is None else self.settings.domain_of(came.source, came.clinic)
        look = self._kept.enter_context(self.looker.beside(Path(gettempdir())))
        return deidentify(
            original,
            rules=self.rules,
            pseudonyms=self.pseudonyms,
            provenance=came,
            accepted=accepted,
            domain=domain,
            pixels=look,
            scratch=look.scratch,
        )

    def _provenance(self, original: part10.Part10) -> Provenance:
        """Return how the original came: of one from the spool that stands in its File Meta."""
        return provenance_from_meta(FileMeta.of(original.meta.elements))


def trial(settings: Config | None, rules: Path | None) -> Trial:
    """Return the site's way of de-identifying, with other ``rules`` if they are named."""
    recipe = recipe_for(settings, rules, None)
    equipment = equip(recipe)
    rules_in_force, pseudonyms = equipment.rules[ONLY_PROJECT], equipment.pseudonyms[ONLY_PROJECT]
    return Trial(rules_in_force, pseudonyms, settings, recipe.max_header, equipment.looker)


def with_rules(of: Trial, rules: Path) -> Trial:
    """Return the same with other rules: key, mapping and domains as before."""
    return Trial(load_rules(rules), of.pseudonyms, of.settings, of.max_header, of.looker)
