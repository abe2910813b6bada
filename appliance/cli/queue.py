"""``appliance queue``: how many instances are where, and how far each destination is."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from appliance.cli.options import age, answer, counted, load, say, show_table, with_config
from appliance.config import Config
from appliance.lifecycle import VISIBLE, RecallState, State
from appliance.spool.overview import GATED, Overview
from appliance.watch.health import STALE_S
from appliance.watch.published import HEARTBEAT, read

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
    failing, works = forwarding(settings, now)
    paused = failing | overview.pauses().keys()
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
        "recalls": overview.recall_counts(),
        "forwarding": works,
    }


def forwarding(settings: Config, now: float) -> tuple[set[str], bool]:
    """Return the destinations whose breaker was open when the forward service last spoke, and whether it is at work."""
    samples = [
        (family.name, sample)
        for family in read(settings.state / "outside" / "metrics" / "forward.prom")
        for sample in family.samples
    ]
    paused = {s.labels.get("destination", "") for name, s in samples if name == "appliance_breaker_open" and s.value}
    return paused, any(name == HEARTBEAT and abs(now - s.value) < STALE_S for name, s in samples)


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
                _sends(found, works=content["forwarding"]),
            )
            for name, found in content["destinations"].items()
        ],
    )
    open_, stuck = _recalls(content["recalls"])
    if open_ or stuck:
        say(f"Recalls: {open_} under way, {stuck} that a person has to see to: appliance recall --list")


def _recalls(counts: Mapping[str, Mapping[str, int]]) -> tuple[int, int]:
    """Return how many recalls go on by themselves, and how many need a person."""
    by_state = [(state, n) for states in counts.values() for state, n in states.items()]
    going_on = (RecallState.REQUESTED, RecallState.DELETED)
    return (
        sum(n for state, n in by_state if state in going_on),
        sum(n for state, n in by_state if state == RecallState.IMPOSSIBLE),
    )


def _sends(found: Mapping[str, Any], *, works: bool) -> str:
    if not works:
        return "no: the forward service does not run"
    if found["paused"]:
        return "paused: see appliance destination list"
    gated = found.get(GATED, 0)
    return f"yes; {counted(gated)} for leave: appliance source list" if gated else "yes"
