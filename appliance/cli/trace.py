"""``appliance trace ID``: one instance's way, from the door to each destination, without a word of the patient."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.left import as_rows, left_of_mixed, show_left
from appliance.cli.options import answer, load, moment, plain, say, show_table, with_config
from appliance.errors import RequestRefused
from appliance.lifecycle import State
from appliance.model import ONLY_PROJECT
from appliance.reasons import Reason
from appliance.spool.journal_view import Trace
from appliance.spool.outbox_view import Delivery
from appliance.spool.overview import GATED, Overview
from appliance.spool.recalls import Recalled


@click.command("trace")
@with_config
@click.argument("id_or_uid", metavar="ID")
def command(config_file: Path | None, as_json: bool, id_or_uid: str) -> int:
    """Show one instance's way. ID: a spool id, an outside name, or a SOP Instance UID (original or new).

    Original UIDs and patients are not shown: the id says where the original lies.
    """
    settings = load(config_file)
    overview = Overview(settings.state)
    try:
        found = overview.trace(id_or_uid)
        content = [
            _content(trace, deliveries, _recalls(overview, trace)) | {"left": as_rows(left_of_mixed(overview, trace))}
            for trace, deliveries in found
        ]
    finally:
        overview.close()
    if not found:
        raise RequestRefused(
            "Nothing here has this id or UID; nothing was changed. Ids are shown by: appliance quarantine list, and by "
            "the log. Rows are kept for retention.rows_days; of a file that a clinic dropped see its receipt."
        )
    if as_json:
        answer({"instances": content})
    else:
        for each in content:
            _show(each)
    return 0


def visible(trace: Trace) -> str:
    """Return the state that a person is shown: the outside's word holds for what passed."""
    if trace.instance.state is not State.PASSED:
        return trace.instance.state.value
    return trace.outside or State.READY.value


def _recalls(overview: Overview, trace: Trace) -> list[Recalled]:
    return overview.recalls_of(trace.sop_instance) if trace.sop_instance else []


def _content(trace: Trace, deliveries: Sequence[Delivery], recalls: Sequence[Recalled]) -> dict[str, Any]:
    instance = trace.instance
    came = instance.provenance
    return {
        "id": instance.id,
        "state": visible(trace),
        "round": instance.round,
        "received": moment(instance.received.timestamp()),
        "bytes": instance.size,
        "source": came.source,
        "project": came.project,
        "calling_ae": plain(came.calling_ae),
        "called_ae": plain(came.called_ae),
        "peer": plain(came.peer),
        "item": came.item,
        "attempts": instance.attempts,
        "deferred_until": moment(trace.not_before) if trace.not_before else None,
        "reason": instance.reason,
        "detail": instance.detail,
        "accepted": sorted(instance.accepted),
        "out": instance.out,
        "sop_instance": trace.sop_instance,
        "study": trace.study,
        "rules_digest": instance.rules_digest,
        "original_purged": trace.purged,
        "deliveries": [_delivery(each) for each in deliveries],
        "recalls": [_recall(each) for each in recalls],
        "history": [
            {
                "round": move.round,
                "at": moment(move.at),
                "event": move.event,
                "state": move.state,
                "reason": move.reason,
                "detail": move.detail,
                "by": plain(move.by),
            }
            for move in trace.history
        ],
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    return {
        "destination": delivery.destination,
        "state": delivery.state,
        "attempts": delivery.attempts,
        "at": moment(delivery.at) if delivery.at else None,
        "not_before": moment(delivery.not_before) if delivery.not_before else None,
        "reason": delivery.reason,
        "detail": delivery.detail,
    }


def _recall(recall: Recalled) -> dict[str, Any]:
    return {
        "destination": recall.destination,
        "state": recall.state.value,
        "asked": moment(recall.asked),
        "at": moment(recall.at),
        "detail": recall.detail,
    }


def _show(content: dict[str, Any]) -> None:
    say(f"{content['id']} is {content['state']} (round {content['round']})")
    if content["reason"]:
        words = Reason(content["reason"]).words
        say(f"{content['reason']}. {words.what} {content['detail']}")
        say(words.advice.replace(" ID", f" {content['id']}"))
    told: tuple[str, ...] = ("received", "bytes", "source", "project", "calling_ae", "called_ae", "peer")
    told += ("out", "sop_instance", "study", "rules_digest")
    show_table(("", ""), [(name, content[name]) for name in told if content[name]])
    if content["reason"] == Reason.TWO_PATIENT_IDS.value:
        show_left(content["left"])
    if content["history"]:
        show_table(
            ("at", "round", "event", "state and reason", "by"),
            [
                (
                    move["at"],
                    move["round"],
                    move["event"],
                    tuple(filter(None, (move["state"], move["reason"]))),
                    move["by"],
                )
                for move in content["history"]
            ],
            title="history",
        )
    if content["deliveries"]:
        show_table(
            ("destination", "state", "attempts", "at", "detail"),
            [
                [each[name] or "" for name in ("destination", "state", "attempts", "at", "detail")]
                for each in content["deliveries"]
            ],
            title="deliveries",
        )
    if content["recalls"]:
        show_table(
            ("destination", "state", "asked", "since", "detail"),
            [[each[name] for name in ("destination", "state", "asked", "at", "detail")] for each in content["recalls"]],
            title="recalls",
        )
    if any(each["state"] == GATED for each in content["deliveries"]):
        of = content["source"] + (f" --project {content['project']}" if content["project"] != ONLY_PROJECT else "")
        say(f"It waits for leave. Look: appliance source show {of}")
        say(f"Let it go: appliance source open {of}")
    if content["out"]:
        say(f"What was done to it, and why: appliance report {content['id']}")
