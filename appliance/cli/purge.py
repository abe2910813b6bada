"""``appliance purge``: let go at once of what is over its time, and not only in the coming night."""

from pathlib import Path

import click

from appliance.cli.ask import asked, status, tell
from appliance.cli.options import answer, load, with_config
from appliance.services.purge import PurgeInside, PurgeOutside

DONE = {
    PurgeInside.name: "Originals, discarded images, reports and rows that are over their days are being removed.",
    PurgeOutside.name: "Rows of deliveries that are over their days are being forgotten.",
}


@click.command("purge")
@with_config
def command(config_file: Path | None, as_json: bool) -> int:
    """Let go at once of what is over its days, as a timer does every night.

    What every destination named as stored, and what was discarded, goes after the days in 'retention'; what is
    undelivered, held or quarantined never does. To be used after the days were made fewer, or the disk fills.
    """
    settings = load(config_file)
    found = {owner: asked(settings, owner, "purge", {})[1] for owner in DONE}
    if as_json:
        answer({owner: {"answered": said is not None, **(said or {})} for owner, said in found.items()})
        return max(status(said) for said in found.values())
    return max(tell(owner, said, DONE[owner]) for owner, said in found.items())
