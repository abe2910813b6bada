"""``appliance source``: how a site starts. With ``release: manual`` nothing leaves until a person opens the source."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import ask
from appliance.cli.compare import Difference, differences
from appliance.cli.options import Commands, answer, load, say, show_table, with_config
from appliance.config import Config
from appliance.errors import ApplianceError, RequestRefused
from appliance.model import ONLY_PROJECT
from appliance.spool.layout import Inside, Outside
from appliance.spool.overview import Overview

OWNER = "forward"
project_option = click.option(
    "--project", default=ONLY_PROJECT, show_default=True, metavar="NAME", help="Of a site with projects."
)


@click.group("source", cls=Commands)
def command() -> None:
    """Open or close a source whose release is manual, after a look at what would leave."""


@command.command("list")
@with_config
def list_(config_file: Path | None, as_json: bool) -> None:
    """List every source: whether it needs leave, has it, and how many instances wait for it."""
    settings = load(config_file)
    overview = Overview(settings.state)
    try:
        waiting, opened = overview.gates()
    finally:
        overview.close()
    projects = [ONLY_PROJECT, *(name for name in settings.projects if name != ONLY_PROJECT)]
    pairs = [(source, project) for source in sorted(settings.sources) for project in projects]
    rows = [
        {
            "source": source,
            "project": project,
            "release": "manual" if settings.is_manual(project, source) else "automatic",
            "open": (source, project) in opened or not settings.is_manual(project, source),
            "waiting": waiting.get((source, project), 0),
        }
        for source, project in dict.fromkeys([*pairs, *waiting, *opened])
    ]
    if as_json:
        answer({"sources": rows})
        return
    show_table(
        ("source", "project", "release", "open", "waiting"),
        [
            (row["source"], row["project"], row["release"], "yes" if row["open"] else "no", row["waiting"])
            for row in rows
        ],
    )


@command.command("show")
@with_config
@project_option
@click.option("--count", default=3, show_default=True, type=click.IntRange(1, 50), help="Instances shown.")
@click.argument("source")
def show(config_file: Path | None, as_json: bool, project: str, count: int, source: str) -> None:
    """Show instances that wait for leave, before and after. It shows patients' names: look with care."""
    settings = load(config_file)
    _check(settings, source, project)
    overview = Overview(settings.state)
    try:
        found = overview.gated(source, project, count)
    finally:
        overview.close()
    inside, outside = Inside(settings.state / "inside"), Outside(settings.state / "outside")
    shown = []
    for spool_id, out in found:
        original = inside.find(spool_id)
        if original is not None:
            shown.append((spool_id, _differences(original, outside.ready(out))))
    if as_json:
        answer({"source": source, "project": project, "instances": [_row(*each) for each in shown]})
        return
    if not shown:
        say(f"Nothing of '{source}' waits for leave.")
        return
    for spool_id, changes in shown:
        # Keyword above tag: beside each other they leave 80 columns too little for the values.
        rows = [((change.keyword, change.path), change.before, change.after) for change in changes]
        show_table(("element", "before (inside the hospital)", "after (what would leave)"), rows, title=spool_id)
    say(
        f"If this is right: appliance source open {source}"
        + (f" --project {project}" if project != ONLY_PROJECT else "")
    )


@command.command("open")
@with_config
@project_option
@click.argument("source")
def open_(config_file: Path | None, as_json: bool, project: str, source: str) -> int:
    """Let leave what waits of a source, and what will come."""
    settings = load(config_file)
    _check(settings, source, project)
    done = f"'{source}' is open: what waited is delivered, and what comes."
    return ask(settings, OWNER, "open", {"source": source, "project": project}, as_json=as_json, done=done)


@command.command("close")
@with_config
@project_option
@click.argument("source")
def close(config_file: Path | None, as_json: bool, project: str, source: str) -> int:
    """From now on let what comes of a source wait again; what is on its way goes on."""
    settings = load(config_file)
    _check(settings, source, project)
    done = f"'{source}' is closed: what comes now waits for leave."
    return ask(settings, OWNER, "close", {"source": source, "project": project}, as_json=as_json, done=done)


def _check(settings: Config, source: str, project: str) -> None:
    if source not in settings.sources:
        clinic = None if settings.inbox is None else settings.inbox.clinics.get(source)
        meant = "" if clinic is None else f"The clinic folder '{source}' has the source '{clinic.source}'. "
        raise RequestRefused(
            f"'{source}' is no source of this configuration; nothing was changed. {meant}"
            f"Sources: {', '.join(sorted(settings.sources))}."
        )
    if project != ONLY_PROJECT and project not in settings.projects:
        raise RequestRefused(f"'{project}' is no project of this configuration; nothing was changed.")


def _differences(original: Path, result: Path) -> Sequence[Difference]:
    try:
        return differences(original, result)
    except ApplianceError as error:
        return [Difference("", "cannot be shown", str(error), "")]


def _row(spool_id: str, changes: Sequence[Difference]) -> dict[str, Any]:
    return {
        "id": spool_id,
        "changes": [
            {"element": each.path, "keyword": each.keyword, "before": each.before, "after": each.after}
            for each in changes
        ],
    }
