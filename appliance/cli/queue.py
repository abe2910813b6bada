"""``appliance queue``: how many instances are where, and how far each destination is."""

import time
from pathlib import Path
from typing import Any

import click

from appliance.cli.options import age, answer, load, say, show_table, with_config
from appliance.config import Config
from appliance.lifecycle import VISIBLE, State
from appliance.spool.overview import Overview
from appliance.watch.published import read

WHOSE_TURN = {
    State.RECEIVED: "waits for de-identification",
    State.HELD: "waits for an identity: appliance quarantine list",
    State.QUARANTINED: "waits for a person: appliance quarantine list",
    State.DISCARDED: "done: not forwarded",
    State.READY: "waits for a destination",
    State.FORWARDED: "done: every destination named it as stored",
    State.REJECTED: "waits for a person: appliance quarantine list",
}


@click.command("queue")
@with_config
def command(config_file: Path | None, as_json: bool) -> None:
    """Show how many instances are in which state; the cost does not depend on how many wait."""
    settings = load(config_file)
    overview = Overview(settings.state)
    try:
        content = _content(settings, overview, time.time())
    finally:
        overview.close()
    if as_json:
        answer(content)
    else:
        _show(content)


def _content(settings: Config, overview: Overview, now: float) -> dict[str, Any]:
    tally = overview.tally()
    oldest = overview.oldest_waiting(now)
    rows = overview.destinations()
    paused = _paused(settings)
    names = [*(destination.name for destination in settings.destinations), *rows]
    return {
        "received": tally.received,
        "states": {state.value: tally.states.get(state, 0) for state in VISIBLE},
        "oldest_waiting_s": round(max(oldest.values(), default=0.0), 1),
        "oldest_waiting_by_state_s": {state.value: round(seconds, 1) for state, seconds in oldest.items()},
        "reasons": [
            {"state": state.value, "reason": reason, "count": n}
            for (state, reason), n in sorted(tally.by_reason.items())
        ],
        "destinations": {name: {**rows.get(name, {}), "paused": name in paused} for name in dict.fromkeys(names)},
    }


def _paused(settings: Config) -> set[str]:
    """Return the destinations whose breaker was open when the forward service last said so."""
    families = read(settings.state / "outside" / "metrics" / "forward.prom")
    return {
        sample.labels.get("destination", "")
        for family in families
        if family.name == "appliance_breaker_open"
        for sample in family.samples
        if sample.value
    }


def _show(content: dict[str, Any]) -> None:
    show_table(
        ("state", "instances", ""),
        [(state, n, WHOSE_TURN[State(state)]) for state, n in content["states"].items()],
        title=f"{content['received']} received",
    )
    if content["oldest_waiting_s"]:
        say(f"The oldest waiting one has waited for {age(content['oldest_waiting_s'])}.")
    show_table(
        ("destination", "deliveries", "sending"),
        [
            (
                name,
                ", ".join(f"{n} {state.lower()}" for state, n in found.items() if state != "paused") or "none yet",
                sends,
            )
            for name, found in content["destinations"].items()
            for sends in ("paused: see appliance doctor" if found["paused"] else "yes",)
        ],
    )
