"""``appliance destination``: how sending to each destination stands, and pausing it by hand."""

import time
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import ask
from appliance.cli.options import Commands, answer, load, moment, show_table, with_config
from appliance.cli.queue import forwarding
from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.spool.overview import Overview

OWNER = "forward"


@click.group("destination", cls=Commands)
def command() -> None:
    """List destinations; let nothing go to one for now, let it go on, or have it tried at once."""


@command.command("list")
@with_config
def list_(config_file: Path | None, as_json: bool) -> None:
    """List every destination: whether images go there, who paused it, and what waits for it."""
    settings = load(config_file)
    overview = Overview(settings.state)
    try:
        rows, pauses = overview.destinations(), overview.pauses()
    finally:
        overview.close()
    failing, works = forwarding(settings, time.time())
    names = dict.fromkeys([*(each.name for each in settings.destinations), *rows])
    found: list[dict[str, Any]] = [
        {
            "destination": name,
            "paused_by": pauses[name].by if name in pauses else None,
            "paused_at": moment(pauses[name].at) if name in pauses else None,
            "fails": name in failing,
            "waiting": rows.get(name, {}).get("WAITING", 0),
        }
        for name in names
    ]
    if as_json:
        answer({"destinations": found, "forwarding": works})
        return
    show_table(
        ("destination", "sending", "waiting"),
        [(each["destination"], _sends(each, works=works), each["waiting"]) for each in found],
    )


@command.command("pause")
@with_config
@click.argument("destination")
def pause(config_file: Path | None, as_json: bool, destination: str) -> int:
    """Begin nothing more to a destination until it is resumed. What waits is kept; recalls still go there."""
    settings = load(config_file)
    _check(settings, destination)
    done = f"'{destination}' is paused: images for it wait until 'appliance destination resume {destination}'."
    return ask(settings, OWNER, "pause", {"destination": destination}, as_json=as_json, done=done)


@command.command("resume")
@with_config
@click.argument("destination")
def resume(config_file: Path | None, as_json: bool, destination: str) -> int:
    """Let images go to a paused destination again."""
    done = f"'{destination}' goes on: what waited is delivered."
    return ask(load(config_file), OWNER, "resume", {"destination": destination}, as_json=as_json, done=done)


@command.command("retry")
@with_config
@click.argument("destination")
def retry(config_file: Path | None, as_json: bool, destination: str) -> int:
    """Try a destination that failed at once, not only when its time comes."""
    settings = load(config_file)
    _check(settings, destination)
    done = f"'{destination}' is tried now. What comes of it: appliance destination list"
    return ask(settings, OWNER, "retry", {"destination": destination}, as_json=as_json, done=done)


def _check(settings: Config, destination: str) -> None:
    known = [each.name for each in settings.destinations]
    if destination not in known:
        raise RequestRefused(f"There is no destination '{destination}'; nothing was changed. Known: {', '.join(known)}")


def _sends(found: dict[str, Any], *, works: bool) -> str:
    if found["paused_by"] is not None:
        return f"paused by {found['paused_by'] or 'somebody'} since {found['paused_at']}"
    if not works:
        return "no: the forward service does not run"
    return "no: it fails, and is tried again; see appliance doctor" if found["fails"] else "yes"
