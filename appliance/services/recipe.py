"""What the configuration means for de-identifying: the workers' recipe, and where a project's instances go."""

from collections.abc import Mapping

from appliance.config import Config, MiB
from appliance.deid.ruleset import RulesFile
from appliance.model import ONLY_PROJECT
from appliance.services.worker import Recipe


def recipe_of(config: Config, key: bytes, rules: Mapping[str, RulesFile]) -> Recipe:
    """Return what the workers of this configuration need; ``rules`` by project."""
    projects = config.projects
    return Recipe(
        site=config.site,
        key=key,
        rules=rules,
        own_pseudonyms=frozenset(name for name, project in projects.items() if project.own_pseudonyms),
        issuers=config.identity.issuers,
        max_header=config.deidentify.max_header_mb * MiB,
        mapping=config.mapping_store,
        missing={name: config.missing_in(name) for name in (ONLY_PROJECT, *projects)},
        pixels=config.pixels,
    )


def destinations_of(config: Config, project: str) -> tuple[str, ...] | None:
    """Return the names of a project's destinations; None for a project that is no longer configured."""
    everywhere = tuple(destination.name for destination in config.destinations)
    named = config.projects.get(project)
    if named is not None:
        return named.destinations or everywhere
    return everywhere if project == ONLY_PROJECT else None
