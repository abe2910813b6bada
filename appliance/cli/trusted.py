"""What the commands on identities have in common: the store opened by who may, and what left."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from appliance.config import Config
from appliance.deid.pseudonyms import DayRange, KeyedPseudonyms, project_key
from appliance.errors import RequestRefused
from appliance.mapping.keys import load_key
from appliance.mapping.place import Place
from appliance.mapping.refused import studies_of
from appliance.mapping.store import MappingStore
from appliance.spool.outbox_view import Left
from appliance.spool.overview import Overview

SHOWN = 20  # lines of a list that are shown


def _given(_context: click.Context, _option: click.Parameter, reason: str) -> str:
    if not reason.strip():
        raise RequestRefused("Say why: --reason TEXT. Nothing was shown or changed.")
    return reason.strip()


reason_option = click.option(
    "--reason", required=True, metavar="TEXT", callback=_given, help="Why; it stands in the audit."
)


@contextmanager
def trusted(settings: Config, *, may_make: bool = False) -> Iterator[MappingStore]:
    """Open the mapping for somebody who may. Raises RequestRefused for others, and if there is none."""
    path = settings.mapping_store
    try:
        if not path.exists() and not may_make:
            raise RequestRefused(f"There is no mapping at {path} yet; nothing was changed. Check state in the -c file.")
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError
        store = MappingStore(path, load_key(settings.mapping, make=False))
    except PermissionError:
        raise RequestRefused(
            "You may not open the mapping, so nothing was changed. Be a member of the group appliance-trust, or use "
            "sudo."
        ) from None
    with store:
        yield store


def place_of(settings: Config, domain: str, project: str) -> Place:
    """Return what the lines of a list mean at this site."""
    clinics = () if settings.inbox is None else tuple(settings.inbox.clinics.values())
    return Place(
        domain=domain,
        project=project,
        domains=frozenset({"site", *settings.identity.domains, *(f"clinic:{clinic.source}" for clinic in clinics)}),
        scopes=scopes_of(settings),
        issuers=settings.identity.issuers,
        site=settings.site,
    )


def scopes_of(settings: Config) -> tuple[str, ...]:
    """Return where pseudonyms are made: "" for the site's own, and each project that has its own."""
    return ("", *sorted(name for name, project in settings.projects.items() if project.own_pseudonyms))


def made_by_key(settings: Config) -> "Made":
    """Return a function from (scope, domain, number) to the pseudonym that the key makes."""
    return Made(load_key(settings.mapping, make=False), settings.site)


class Made:
    """The pseudonyms that the key makes by itself."""

    def __init__(self, key: bytes, site: str) -> None:
        self._key = key
        self._site = site

    def __call__(self, scope: str, domain: str, number: str) -> str:
        key = project_key(self._key, scope) if scope else self._key
        return KeyedPseudonyms(key, self._site, scope).patient(domain, number, DayRange()).id


def left_of(settings: Config, store: MappingStore, pseudonyms: list[str]) -> list[Left]:
    """Return every delivery of what was made under these pseudonyms."""
    studies = [study for pseudonym in pseudonyms for study in studies_of(store, pseudonym)]
    overview = Overview(settings.state)
    try:
        return overview.left(studies) if studies else []
    finally:
        overview.close()


def list_file(text: str) -> Path:
    """Return the path of a list; RequestRefused if there is no such file."""
    path = Path(text)
    if not path.is_file():
        raise RequestRefused(f"{path} is no file; nothing was changed. Name the list.")
    return path
