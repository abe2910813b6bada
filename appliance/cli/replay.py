"""``appliance replay ID…``: forwarded or discarded instances once more, by today's rules."""

from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import ask, checked_ids, sure
from appliance.cli.options import counted, load, with_config
from appliance.errors import RequestRefused
from appliance.spool.overview import Overview


@click.command("replay")
@with_config
@click.option("--study", default="", metavar="UID", help="All that was delivered of this pseudonymous study.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("ids", nargs=-1, metavar="[ID…]")
def command(config_file: Path | None, as_json: bool, study: str, yes: bool, ids: tuple[str, ...]) -> int:
    """Process and deliver instances again whose original is still here (retention.originals_days)."""
    if bool(ids) == bool(study):
        raise RequestRefused("Name ids, or --study; nothing was changed. Ids are shown by: appliance trace UID")
    settings = load(config_file)
    if study:
        overview = Overview(settings.state)
        try:
            ids = tuple(overview.delivered_ids(study))
        finally:
            overview.close()
        if not ids:
            raise RequestRefused(
                f"Nothing of the study {study[:64]} was delivered whose original is still here; nothing was changed."
            )
        sure(f"Process and deliver {counted(len(ids))} again?", yes=yes)
    args: dict[str, Any] = {"ids": checked_ids(ids)}
    return ask(settings, "deidentify", "replay", args, as_json=as_json, done="Processed again by today's rules: {}.")
