"""``appliance replay ID…``: forwarded or discarded instances once more, by today's rules."""

from pathlib import Path

import click

from appliance.cli.ask import ask, checked_ids
from appliance.cli.options import load, with_config
from appliance.errors import RequestRefused


@click.command("replay")
@with_config
@click.argument("ids", nargs=-1, metavar="ID…")
def command(config_file: Path | None, as_json: bool, ids: tuple[str, ...]) -> int:
    """Process and deliver instances again whose original is still here (retention.originals_days)."""
    if not ids:
        raise RequestRefused("Name at least one id; nothing was changed. Ids are shown by: appliance trace UID")
    settings = load(config_file)
    args = {"ids": checked_ids(ids)}
    return ask(settings, "deidentify", "replay", args, as_json=as_json, done="Processed again by today's rules: {}.")
