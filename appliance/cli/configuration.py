"""``appliance config check|example``."""

from importlib.resources import files
from pathlib import Path

import click

from appliance.cli.options import Commands, answer, config_option, json_option, load, say
from appliance.config import Config
from appliance.deid.ruleset import load_rules
from appliance.errors import ConfigError


@click.group("config", cls=Commands)
def command() -> None:
    """Check a configuration, or print an example."""


@command.command("example")
def example() -> None:
    """Print a configuration with every setting explained. It runs as it is, delivering into a folder."""
    click.echo(files("appliance.cli").joinpath("example.yaml").read_text(encoding="utf-8"), nl=False)


@command.command("check")
@config_option
@json_option
@click.argument("file", required=False, type=click.Path(path_type=Path))
def check(config_file: Path | None, as_json: bool, file: Path | None) -> int:
    """Check a configuration and the rules it names, and change nothing.

    Exit status: 0 they can be used, 1 they cannot; then file, line and remedy are told.
    """
    try:
        settings = load(file or config_file)
        rules = {str(path or "packaged"): _rules(path, settings) for path in _rules_files(settings)}
    except ConfigError as error:
        if not as_json:
            raise
        answer(
            {
                "ok": False,
                "error": str(error),
                "file": str(error.file or ""),
                "line": error.line,
                "problem": error.problem,
            },
        )
        return 1
    if as_json:
        answer({"ok": True, "file": str(settings.file), "site": settings.site, "rules": rules})
    else:
        say(f"{settings.file} can be used: {_summary(settings)}")
    return 0


def _rules(path: Path | None, settings: Config) -> str:
    """Return the digest of rules that can be used."""
    rules = load_rules(path)
    rules.demand_destinations(tuple(destination.name for destination in settings.destinations))
    return rules.digest


def _rules_files(settings: Config) -> set[Path | None]:
    return {settings.rules, *(project.rules for project in settings.projects.values() if project.rules is not None)}


def _summary(settings: Config) -> str:
    peers = "any peer" if settings.scp.peers == "any" else f"{len(settings.scp.peers)} peers"
    inbox = "" if settings.inbox is None else f", clinics drop into {settings.inbox.path}"
    names = ", ".join(destination.name for destination in settings.destinations)
    return (
        f"site {settings.site} receives as {settings.scp.ae_title} on port {settings.scp.port} from {peers}{inbox}, "
        f"and delivers to {names}."
    )
