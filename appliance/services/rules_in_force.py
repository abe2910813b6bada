"""The rules that are carried out, and the files they came from: a changed file counts as soon as it is valid.

What is not valid is refused and told once; the rules in force stay in force, also for a worker that follows another.
"""

import logging
from collections.abc import Mapping

from appliance.config import Config
from appliance.deid.ruleset import RulesFile, read_rules
from appliance.errors import ConfigError
from appliance.model import ONLY_PROJECT

log = logging.getLogger(__name__)

LOOK_S = 5.0  # between two looks at the files


class RulesInForce:
    """The rules of every project. Making it raises ConfigError for rules that cannot be used.

    files  by project, as they are carried out
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.files: Mapping[str, RulesFile] = self._read()
        self._demand(self.files)
        self._newer: Mapping[str, RulesFile] | None = None
        self._refused: Mapping[str, RulesFile] | str | None = None
        self._looked = float("-inf")

    def is_newer(self, now: float) -> bool:
        """Whether other rules are waiting to be carried out; looks at the files now and then."""
        if self._newer is None and not 0 <= now - self._looked < LOOK_S:
            self._looked = now
            self._look()
        return self._newer is not None

    def look_at_once(self) -> None:
        """Let the next question look at the files, whenever the last look was: a person relies on today's rules."""
        self._looked = float("-inf")

    def take_newer(self) -> None:
        """Carry out the newer rules from now on."""
        if self._newer is not None:
            self.files, self._newer = self._newer, None
            for project, file in self.files.items():
                log.info("rules changed", extra={"project": project, "rules_digest": file.ruleset().digest[:16]})

    def _look(self) -> None:
        found: Mapping[str, RulesFile] | None = None
        try:
            found = self._read()
            if found not in (self.files, self._refused):
                self._demand(found)
                self._newer = found
            if found == self.files:
                self._refused = None  # mended by taking the change back: the same slip is told again
        except ConfigError as error:
            told = str(error) if found is None else found
            if told != self._refused:
                self._refused = told
                log.warning(
                    "rules refused, the last good ones stay in force",
                    extra={"file": str(error.file), "line": error.line or 0, "problem": error.problem},
                )

    def _read(self) -> Mapping[str, RulesFile]:
        paths = {ONLY_PROJECT: self._config.rules}
        paths |= {name: project.rules or self._config.rules for name, project in self._config.projects.items()}
        return {project: read_rules(path) for project, path in paths.items()}

    def _demand(self, files: Mapping[str, RulesFile]) -> None:
        """Raise ConfigError unless all can be used with this configuration."""
        names = tuple(destination.name for destination in self._config.destinations)
        for file in set(files.values()):
            file.ruleset().demand_destinations(names)
