"""``appliance config check|compare|example``."""

from importlib.resources import files
from pathlib import Path

import click

from appliance import config
from appliance.cli.options import Commands, answer, config_option, json_option, load, say
from appliance.config import Config
from appliance.deid.ruleset import load_rules
from appliance.errors import ConfigError
from appliance.services.effects import Effect, changed_between, effects

STARTS_ANEW = 2  # exit status of compare
_MEANING = {
    Effect.RELOAD: "Taken over while it works, no association ends",
    Effect.RESTART: "Starts anew, callers wait in the sockets meanwhile",
}


@click.group("config", cls=Commands)
def command() -> None:
    """Check a configuration, say what a change asks for, or print an example."""


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
        return _refused(error)
    if as_json:
        answer({"ok": True, "file": str(settings.file), "site": settings.site, "rules": rules})
    else:
        say(f"{settings.file} can be used: {_summary(settings)}")
    return 0


@command.command("compare")
@json_option
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def compare(old: Path, new: Path, as_json: bool) -> int:
    """Say which services take over a changed configuration while they work, and which must start anew.

    OLD is what is in force, NEW what shall be; relative paths in them are of the folder that each lies in. Nothing is
    changed, and no service is asked.

    Exit status: 0 nothing starts anew, 2 something must, 1 one of them cannot be used.
    """
    try:
        before, after = config.load(old), config.load(new)
    except ConfigError as error:
        if not as_json:
            raise
        return _refused(error)
    changed, asked = changed_between(before, after), effects(before, after)
    if as_json:
        answer({"ok": True, "changed": changed, "services": asked})
    else:
        say(_asked_in_words(changed, asked))
    return STARTS_ANEW if Effect.RESTART in asked.values() else 0


def _asked_in_words(changed: list[str], asked: dict[str, Effect]) -> str:
    if not changed:
        return "Nothing that counts is different: no service needs to be told."
    told = [f"Different: {', '.join(changed)}."]
    for effect in (Effect.RELOAD, Effect.RESTART):
        units = " ".join(f"appliance-{role}" for role, each in asked.items() if each is effect)
        if units:
            told.append(f"{_MEANING[effect]}: systemctl {effect} {units}")
    return "\n".join(told)


def _refused(error: ConfigError) -> int:
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
