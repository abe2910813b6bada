"""``appliance reconcile``: whether destinations have what they named as stored, and what to do about what they lost."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import ask, sure
from appliance.cli.options import answer, load, moment, say, show_table, with_config
from appliance.errors import RequestRefused
from appliance.spool.missing import Missing, MissingState
from appliance.spool.overview import Overview

STATES = {
    MissingState.MISSING: "named as stored, and not there",
    MissingState.SENT_AGAIN: "on its way again, or to be looked for there",
}


@click.command("reconcile")
@with_config
@click.argument("destination", required=False)
@click.option("--now", "verb", flag_value="reconcile", help="Ask the destination at once, not only once a day.")
@click.option("--send-again", "verb", flag_value="resend", help="Make what is missing again, and send it there.")
@click.option("--accept", "verb", flag_value="accept", help="What is missing there need not be there.")
@click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")
def command(config_file: Path | None, as_json: bool, destination: str | None, verb: str | None, yes: bool) -> int:
    """Show what destinations named as stored and do not have, and have it sent again or accepted.

    Every destination with a url is asked once a day (QIDO-RS) for what it named as stored, by a timer at night; what it
    lost is sent again by itself, up to reconciliation.send_again of the configuration. What was stored within the last
    hour is not asked for yet. --now without a name asks every destination.
    """
    settings = load(config_file)
    known = [each.name for each in settings.destinations]
    if destination is not None and destination not in known:
        raise RequestRefused(f"There is no destination '{destination}'; nothing was changed. Known: {', '.join(known)}")
    if verb is None:
        overview = Overview(settings.state)
        try:
            found = [each for each in overview.missing() if destination in (None, each.destination)]
            content = {
                "asked": {name: moment(at) for name, at in overview.reconciled().items() if name in known},
                "counts": overview.missing_counts(),
            }
        finally:
            overview.close()
        return _show(content, found, as_json=as_json)
    if destination is None and verb != "reconcile":
        raise RequestRefused("Name the destination. Nothing was changed.")
    if verb == "accept":
        sure(f"Nobody sends to '{destination}' again what is missing there, unless it is replayed. Accept it?", yes=yes)
    whom = "Every destination with a url" if destination is None else f"'{destination}'"
    done = {
        "reconcile": f"{whom} is being asked. What comes of it: appliance reconcile",
        "resend": f"{{}} made again from the original, and sent to {whom}. How far: appliance reconcile",
        "accept": "{} need not be there any more.",
    }[verb]
    return ask(settings, "forward", verb, {"destination": destination or ""}, as_json=as_json, done=done)


def _show(content: dict[str, Any], found: Sequence[Missing], *, as_json: bool) -> int:
    if as_json:
        answer({**content, "missing": [_row(each) for each in found]})
        return 0
    for name, at in content["asked"].items():
        say(f"{name}: asked last {at}.")
    if not found:
        say("Nothing is missing that a destination named as stored.")
        return 0
    groups = Counter((each.destination, each.study, each.state, each.times) for each in found)
    since = {(each.destination, each.study, each.state, each.times): each.found for each in found}
    show_table(
        ("destination", "study", "state", "instances", "sent again", "missing since"),
        [
            (destination, study, (state.value, STATES[state]), n, f"{times} times", moment(since[key]))
            for key, n in groups.items()
            for destination, study, state, times in [key]
        ],
    )
    say(
        "To send it again: appliance reconcile DESTINATION --send-again. Where the original was purged, or the instance"
    )
    say("is REJECTED elsewhere, that leaves it out: have the sender send it again, or release it.")
    return 0


def _row(each: Missing) -> dict[str, Any]:
    return {
        "destination": each.destination,
        "study": each.study,
        "sop_instance": each.sop_instance,
        "out": each.out,
        "state": each.state.value,
        "times": each.times,
        "found": moment(each.found),
        "at": moment(each.at),
    }
