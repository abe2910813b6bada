"""What the lines of a list mean at this site, and how a list that contradicts itself or the store is told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from appliance.errors import RequestRefused
from appliance.mapping.csv_list import Line, Problem


@dataclass(frozen=True, slots=True)
class Place:
    """What a list's lines mean by default, and what they may name.

    domain, project   of lines that say nothing
    domains, scopes   those that there are; a scope is "" or a project with pseudonyms of its own
    issuers           that count; others are taken as if the list named none, as images are
    site              prefix of the pseudonyms that the key makes
    """

    domain: str
    project: str
    domains: Collection[str]
    scopes: Collection[str]
    issuers: Collection[str]
    site: str

    def scope_of(self, line: Line) -> str:
        """Return whose pseudonyms a line is about."""
        return line.project or self.project

    def domain_of(self, line: Line) -> str:
        """Return the identity domain of a line, as the engine makes it of an image."""
        domain = line.domain or self.domain
        return f"{domain}|issuer:{line.issuer}" if line.issuer in self.issuers and line.issuer else domain

    def wrong(self, line: Line) -> str:
        """Return what a line names that there is not; "" if nothing."""
        if (line.domain or self.domain) not in self.domains:
            return f"there is no such identity domain; there are: {', '.join(sorted(self.domains))}"
        if self.scope_of(line) not in self.scopes:
            return "the project is unknown, or has no pseudonyms of its own (own_pseudonyms)"
        return ""


class Conflicts(RequestRefused):
    """A list that contradicts itself or the store. ``problems`` says where; nothing was changed."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: problem.line)
        super().__init__(f"The list has {len(problems)} conflicts; nothing was changed.")
