"""``appliance audit``: who did and decided what, and whether the record is whole."""

from pathlib import Path

import click

from appliance.cli.options import Commands, answer, counted, load, say, show_table, with_config
from appliance.errors import RequestRefused
from appliance.watch.audit import broken_at, last_lines

BROKEN = 2  # exit status of a check that found something


@click.group("audit", cls=Commands)
def command() -> None:
    """Who did and decided what, and whether the record is whole."""


@command.command("show")
@with_config
@click.option("--count", default=20, show_default=True, type=click.IntRange(1, 10_000), help="Lines shown.")
def show(config_file: Path | None, as_json: bool, count: int) -> None:
    """Show the latest lines, the oldest of them first."""
    found = last_lines(_file(config_file), count)
    if as_json:
        answer({"lines": found})
        return
    rows = [
        (
            line.get("at", ""),
            tuple(filter(None, (line.get("who", ""), line.get("address", "")))),
            *(line.get(name, "") for name in ("what", "about", "reason")),
        )
        for line in found
    ]
    show_table(("at", "who, from where", "what", "about", "reason"), rows)


@command.command("check")
@with_config
def check(config_file: Path | None, as_json: bool) -> int:
    """Follow the chain from the first line to the last; exit status 2 where it is broken."""
    file = _file(config_file)
    broken = broken_at(file)
    with file.open("rb") as body:
        lines = sum(1 for _ in body)
    if as_json:
        answer({"lines": lines, "whole": broken is None, "broken_at": broken})
    elif broken is None:
        say(f"The audit is whole: {counted(lines, 'line')}, each bound to the one before.")
    else:
        say(
            f"The audit is broken at line {broken} of {lines}: this line was altered, or others before it were removed "
            f"or put in. Keep {file} as it is, compare it with its backups, and tell the data-protection officer."
        )
    return 0 if broken is None else BROKEN


def _file(config_file: Path | None) -> Path:
    file = load(config_file).state / "audit" / "audit.jsonl"
    if not file.exists():
        raise RequestRefused(f"There is no audit at {file} yet: nothing was decided, or the state folder is another.")
    return file
