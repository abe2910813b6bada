"""``appliance quarantine``: what waits for a person, why, and what can be done with it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import ask, checked_ids, sure
from appliance.cli.left import as_rows, left_of_mixed, show_left
from appliance.cli.options import Commands, answer, load, moment, say, show_table, with_config
from appliance.cli.trace import visible as visible_state
from appliance.errors import RequestRefused
from appliance.lifecycle import State
from appliance.model import Instance
from appliance.reasons import Reason
from appliance.spool.layout import Inside, Outside
from appliance.spool.overview import Overview

FOR_A_PERSON = (State.QUARANTINED, State.REJECTED, State.HELD)
OWNER = "deidentify"
CODES = click.Choice([reason.value for reason in Reason])


@click.group("quarantine", cls=Commands)
def command() -> None:
    """List, show, release or discard what waits for a person: quarantined, rejected and held instances."""


@command.command("list")
@with_config
@click.option("--reason", "code", type=CODES, metavar="CODE", help="Only these.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="Instances shown.")
def list_(config_file: Path | None, as_json: bool, code: str | None, limit: int) -> None:
    """List what waits for a person, by reason, with what to do; the oldest first."""
    overview = Overview(load(config_file).state)
    try:
        counts = [
            {"state": state.value, "reason": reason, "count": n}
            for (state, reason), n in sorted(overview.tally().by_reason.items())
            if state in FOR_A_PERSON and code in (None, reason)
        ]
        reasons = [Reason(each) for each in dict.fromkeys(str(count["reason"]) for count in counts)]
        found = list(_waiting(overview, reasons, limit))
    finally:
        overview.close()
    total = sum(int(str(count["count"])) for count in counts)
    if as_json:
        words = {reason.value: {"what": reason.words.what, "advice": reason.words.advice} for reason in reasons}
        answer({"total": total, "reasons": counts, "words": words, "instances": [_row(each) for each in found]})
        return
    _show_list(counts, reasons, found, total)


@command.command("show")
@with_config
@click.argument("spool_id", metavar="ID")
def show(config_file: Path | None, as_json: bool, spool_id: str) -> None:
    """Show why one instance waits, where its file lies, and what can be done."""
    settings = load(config_file)
    checked_ids([spool_id])
    overview = Overview(settings.state)
    try:
        found = overview.trace(spool_id)
        left = as_rows(left_of_mixed(overview, found[0][0])) if found else []
    finally:
        overview.close()
    if not found or not found[0][0].instance.reason:
        raise RequestRefused(
            f"{spool_id} does not wait for a person; nothing was changed. See: appliance trace {spool_id}"
        )
    trace, _ = found[0]
    instance, reason = trace.instance, Reason(trace.instance.reason)
    original = Inside(settings.state / "inside").find(spool_id)
    rejected = Outside(settings.state / "outside").rejected(instance.out, reason) if instance.out else None
    content = {
        "id": instance.id,
        "state": visible_state(trace),
        "reason": reason.value,
        "what": reason.words.what,
        "detail": instance.detail,
        "advice": reason.words.advice.replace(" ID", f" {spool_id}"),
        "acceptable": reason.words.acceptable,
        "original": str(original) if original is not None else None,
        "rejected_file": str(rejected) if rejected is not None and rejected.exists() else None,
        "study": trace.study,
        "left": left,
    }
    if as_json:
        answer(content)
        return
    say(f"{content['id']} is {content['state']}: {reason.value}")
    say(" ".join(part for part in (reason.words.what, instance.detail) if part))
    say(str(content["advice"]))
    say(f"Original: {content['original'] or 'no longer here'}")
    if content["rejected_file"]:
        say(f"De-identified: {content['rejected_file']}")
        say(f"What was done to it, and why: appliance report {spool_id}")
    if reason is Reason.TWO_PATIENT_IDS:
        show_left(left)


@command.command("release")
@with_config
@click.option("--reason", "code", type=CODES, metavar="CODE", help="All that wait for this reason.")
@click.option("--study", default="", metavar="UID", help="With --reason: only those of this pseudonymous study.")
@click.option("--accept", type=CODES, metavar="CODE", help="Accept this reason for these bytes; audited.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("ids", nargs=-1, metavar="[ID…]")
def release(
    config_file: Path | None,
    as_json: bool,
    code: str | None,
    study: str,
    accept: str | None,
    yes: bool,
    ids: tuple[str, ...],
) -> int:
    """Process instances again, by today's rules: those named, or all that wait for a reason."""
    settings = load(config_file)
    args = _chosen(ids, code, study)
    if accept is not None:
        if not Reason(accept).words.acceptable:
            raise RequestRefused(f"'{accept}' can't be accepted; nothing was changed. {Reason(accept).words.advice}")
        args["accept"] = accept
    if code is not None and accept is not None:
        sure(f"Accept '{accept}' for every instance that waits for '{code}'{_of(study)}?", yes=yes)
    return ask(settings, OWNER, "release", args, as_json=as_json, done="Processed again by today's rules: {}.")


@command.command("discard")
@with_config
@click.option("--reason", "code", type=CODES, metavar="CODE", help="All that wait for this reason.")
@click.option("--study", default="", metavar="UID", help="With --reason: only those of this pseudonymous study.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("ids", nargs=-1, metavar="[ID…]")
def discard(
    config_file: Path | None, as_json: bool, code: str | None, study: str, yes: bool, ids: tuple[str, ...]
) -> int:
    """Let instances go: those named, or all that wait for a reason. Originals stay for retention.discarded_days."""
    settings = load(config_file)
    args = _chosen(ids, code, study)
    if code is not None:
        sure(f"Discard every instance that waits for '{code}'{_of(study)}?", yes=yes)
    days = settings.retention.discarded_days
    done = f"Discarded: {{}}; their originals stay for {days:g} days."
    return ask(settings, OWNER, "discard", args, as_json=as_json, done=done)


def _chosen(ids: Sequence[str], code: str | None, study: str) -> dict[str, Any]:
    if bool(ids) == (code is not None) or (ids and study):
        raise RequestRefused("Name ids, or a reason with --reason CODE and, if needed, --study; nothing was changed.")
    if ids:
        return {"ids": checked_ids(ids)}
    return {"reason": code} | ({"study": study} if study else {})


def _of(study: str) -> str:
    return f" in the study {study}" if study else ""


def _waiting(overview: Overview, reasons: Sequence[Reason], limit: int) -> Iterator[tuple[Instance, str]]:
    """Yield at most ``limit`` instances for each reason with the state that a person is shown."""
    for reason in reasons:
        for instance in overview.waiting_for(reason, after="", limit=limit):
            if instance.state in FOR_A_PERSON:
                yield instance, instance.state.value
            elif instance.state is State.PASSED:  # it passed, and a destination refused it
                yield instance, State.REJECTED.value


def _row(found: tuple[Instance, str]) -> dict[str, Any]:
    instance, state = found
    return {
        "id": instance.id,
        "state": state,
        "reason": instance.reason,
        "detail": instance.detail,
        "source": instance.provenance.source,
        "received": moment(instance.received.timestamp()),
        "bytes": instance.size,
    }


def _show_list(
    counts: Sequence[dict[str, Any]], reasons: Sequence[Reason], found: Sequence[tuple[Instance, str]], total: int
) -> None:
    if not total:
        say("Nothing waits for a person.")
        return
    show_table(("reason", "state", "instances"), [(each["reason"], each["state"], each["count"]) for each in counts])
    for reason in reasons:
        say(f"{reason.value}: {reason.words.what}\n  {reason.words.advice}\n")
    show_table(
        ("id", "state", "reason", "detail"),
        [(instance.id, state, instance.reason, instance.detail) for instance, state in found],
    )
    if len(found) < total:
        say(f"{len(found)} of {total} are shown; more with --limit, fewer with --reason.")
