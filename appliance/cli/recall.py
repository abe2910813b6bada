"""``appliance recall``: what left, to where and when, and taking it back. Who asks says why, and is audited."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.ask import AT_ONCE, PENDING, WAIT_S
from appliance.cli.audited import audited
from appliance.cli.left import as_rows, show_left
from appliance.cli.options import answer, counted, load, moment, operator, say, show_table, with_config
from appliance.cli.trusted import trusted
from appliance.config import Config
from appliance.deid.ruleset import load_rules
from appliance.errors import RequestRefused
from appliance.lifecycle import RecallState, State
from appliance.mapping.refused import studies_of
from appliance.spool.outbox_view import Left
from appliance.spool.overview import Overview
from appliance.spool.recalls import Recalled, Wanted
from appliance.spool.requests import Requests

STATES = {
    RecallState.REQUESTED: "to be deleted there; it goes on by itself",
    RecallState.DELETED: "deleted there; its absence is to be confirmed",
    RecallState.ABSENT: "done: searched there, and not found",
    RecallState.IMPOSSIBLE: "not possible there: a person has to",
    RecallState.REPLACED: "done: a later version took its place there",
}
HOW = {
    "none": "a person has to delete there; whether it is gone is looked for once a day",
    "dicomweb": "deleted by DICOMweb, then searched for",
    "orthanc": "deleted by Orthanc's REST interface, then searched for",
}

_DIGEST = re.compile(r"[0-9a-f]{16,64}")


@click.command("recall")
@with_config
@click.argument("target", required=False, metavar="PSEUDONYM|STUDY|RULES-DIGEST")
@click.option("--do", "carry_out", is_flag=True, help="Take it back; left out: only say what would be.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it stands in the audit. Needed with --do.")
@click.option("--resend", is_flag=True, help="With --do: process it again by today's rules, and send that.")
@click.option("--list", "listing", is_flag=True, help="Show how far recalls are: of the target, or all that are open.")
def command(
    config_file: Path | None,
    as_json: bool,
    target: str | None,
    carry_out: bool,
    reason: str,
    resend: bool,
    listing: bool,
) -> int:
    """Take back what left: of a patient, of a study, or all that was made by rules which turned out to be wrong.

    STUDY is the pseudonymous Study Instance UID; RULES-DIGEST stands in 'appliance trace', its first 16 characters in
    every file (De-identification Method). Without --do it says what left, to where and when, and changes nothing.
    """
    settings = load(config_file)
    if listing:
        return _list(settings, target, as_json=as_json)
    if target is None:
        raise RequestRefused("Name a pseudonym, a study or the digest of rules, or say --list. Nothing was changed.")
    if not carry_out and (resend or reason):
        raise RequestRefused("--reason and --resend mean something with --do only. Nothing was changed.")
    if carry_out and not reason.strip():
        raise RequestRefused("Say why: --reason TEXT. Nothing was changed.")
    wanted, kind = named(settings, target)
    if resend and wanted.rules_digest in _digests_of_today(settings):
        raise RequestRefused(
            "These are the rules of today, so the same would be sent again; nothing was changed. Correct the rules, "
            "check them with 'appliance rules check', then recall."
        )
    before = left_by(settings, wanted)
    content = {"target": target, "kind": kind, "left": as_rows(before), "waiting": _waiting(before)}
    if not carry_out:
        return _preview(settings, content, target, as_json=as_json)
    audited(settings, f"recall{' --resend' if resend else ''}", about=target, reason=reason.strip())
    done = ask_recall(settings, wanted)
    again = _send_again(settings, wanted, {each.out for each in before}) if resend and done is not None else None
    return _told(content, done, again, resend=resend, as_json=as_json)


def named(settings: Config, target: str) -> tuple[Wanted, str]:
    """Return what a person means: a study or rules that the outbox knows, else a pseudonym. Raises RequestRefused."""
    overview = Overview(settings.state)
    try:
        study = Wanted(studies=(target,))
        if overview.left_by(study):
            return study, "study"
        digests = overview.rules_digests(target) if _DIGEST.fullmatch(target) else []
    finally:
        overview.close()
    if len(digests) > 1:
        raise RequestRefused(
            f"{len(digests)} rules have a digest that begins so; nothing was changed. Give more of it."
        )
    if digests:
        return Wanted(rules_digest=digests[0]), "rules"
    with trusted(settings) as store:
        studies = studies_of(store, target)
    if not studies:
        raise RequestRefused(
            "Nothing was made under this pseudonym, study or digest of rules, so nothing was changed. The study and "
            "the rules of an instance are shown by: appliance trace UID. A person's pseudonym changes with an id list: "
            "what left before carries the former."
        )
    return Wanted(studies=tuple(studies)), "pseudonym"


def left_by(settings: Config, wanted: Wanted) -> list[Left]:
    """Return every delivery of what is wanted, as it is now."""
    overview = Overview(settings.state)
    try:
        return overview.left_by(wanted)
    finally:
        overview.close()


def ask_recall(settings: Config, wanted: Wanted) -> dict[str, int] | None:
    """Ask the forward service; return what it did, None if it has not answered: the request is kept."""
    done: Counter[str] = Counter()
    if wanted.rules_digest:
        parts: list[dict[str, Any]] = [{"rules_digest": wanted.rules_digest}]
    else:
        pages = range(0, len(wanted.studies), AT_ONCE)
        parts = [{"studies": wanted.studies[start : start + AT_ONCE]} for start in pages]
    requests = Requests(settings.state / "requests")
    asked = [requests.ask("forward", "recall", {**part, "by": operator()}) for part in parts]
    for request_id in asked:
        found = requests.wait("forward", request_id, WAIT_S)
        if found is None:
            return None
        if found.get("error"):
            raise RequestRefused(str(found["error"]))
        done.update({name: int(found.get(name, 0)) for name in ("done", "withdrawn")})
    return {"recalls": done["done"], "withdrawn": done["withdrawn"]}


def _send_again(settings: Config, wanted: Wanted, outs: set[str]) -> dict[str, Any] | None:
    """Have what left, and what was withdrawn, processed by today's rules; None without an answer.

    Its delivery waits in the outbox until the version before is confirmed absent.
    """
    overview = Overview(settings.state)
    try:
        now = [each for each in overview.left_by(wanted) if each.out in outs]
        verbs = {each.out: _verb(each) for each in now if each.state in (State.FORWARDED, State.REJECTED)}
        ids: dict[str, list[str]] = {"replay": [], "release": []}
        for out, verb in verbs.items():
            ids[verb] += [trace.instance.id for trace, _ in overview.trace(out)]
    finally:
        overview.close()
    requests = Requests(settings.state / "requests")
    done = 0
    refused: dict[str, str] = {}
    for verb, named_ids in ids.items():
        for start in range(0, len(named_ids), AT_ONCE):
            args = {"ids": named_ids[start : start + AT_ONCE], "by": operator()}
            found = requests.wait("deidentify", requests.ask("deidentify", verb, args), WAIT_S)
            if found is None:
                return None
            done += int(found.get("done", 0))
            refused |= found.get("refused", {})
    return {"done": done, "refused": refused}


def _verb(left: Left) -> str:
    return "replay" if left.state == State.FORWARDED else "release"


def _waiting(deliveries: Sequence[Left]) -> int:
    return len({each.out for each in deliveries if each.state == State.READY})


def _digests_of_today(settings: Config) -> set[str]:
    files = {settings.rules, *(project.rules for project in settings.projects.values() if project.rules is not None)}
    return {load_rules(file).digest for file in files}


# --- telling ----------------------------------------------------------------------------------------------------------


def _preview(settings: Config, content: dict[str, Any], target: str, *, as_json: bool) -> int:
    how = {each.name: "folder" if each.folder else each.recall.kind for each in settings.destinations}
    if as_json:
        answer({"preview": True, **content, "how": how})
        return 0
    say("Preview, nothing was changed.")
    show_left(content["left"])
    if content["waiting"]:
        say(f"{counted(content['waiting'])} would be withdrawn before they leave.")
    for destination in dict.fromkeys(row["destination"] for row in content["left"]):
        words = HOW.get(how.get(destination, ""), "its files are removed")
        say(f"{destination}: {words if destination in how else 'no longer configured: a person has to delete there'}.")
    say(f"To take it back: appliance recall {target} --do --reason TEXT (--resend: and send what today's rules make)")
    say("What arrives from now on is not stopped by that; a patient who objects: appliance mapping opt-out")
    return 0


def _told(
    content: dict[str, Any],
    done: dict[str, int] | None,
    again: dict[str, Any] | None,
    *,
    resend: bool,
    as_json: bool,
) -> int:
    pending = done is None or (resend and again is None)
    if as_json:
        answer({"preview": False, **content, "answered": not pending, **(done or {}), "resent": again})
        return PENDING if pending else 0
    show_left(content["left"])
    if done is None:
        say(NOT_STARTED + (" Then repeat this command, to send what today's rules make." if resend else ""))
        return PENDING
    say(recalled_words(done))
    if again is not None:
        say(f"Processed again by today's rules: {counted(again['done'])}; sent when the old version is gone.")
        for spool_id, why in again["refused"].items():
            say(f"Not {spool_id}: {why}")
    elif resend:
        say("Not processed again yet: the deidentify service has not answered. Its requests are kept.")
    return PENDING if pending else 0


NOT_STARTED = (
    "Nothing is taken back yet: the forward service has not answered. The request is kept and carried out when it "
    "runs. Start it: systemctl start appliance-forward, or: appliance run forward"
)


def recalled_words(done: dict[str, int]) -> str:
    """Say what the forward service began."""
    withdrawn = f" {counted(done['withdrawn'])} withdrawn before they left." if done["withdrawn"] else ""
    return (
        f"{counted(done['recalls'], 'delivery') if done['recalls'] == 1 else str(done['recalls']) + ' deliveries'} "
        f"being taken back.{withdrawn} How far it is: appliance recall --list"
    )


def _list(settings: Config, target: str | None, *, as_json: bool) -> int:
    wanted = None if target is None else named(settings, target)[0]
    overview = Overview(settings.state)
    try:
        found = overview.recalls(wanted)
        counts = overview.recall_counts()
    finally:
        overview.close()
    if as_json:
        answer({"counts": counts, "recalls": [as_json_row(each) for each in found]})
    elif not found:
        say("Nothing is being taken back." if target is None else "Nothing of it was recalled.")
    else:
        _show(found)
    return 0


def as_json_row(recalled: Recalled) -> dict[str, Any]:
    """Return a recall as JSON can hold it."""
    return {
        "destination": recalled.destination,
        "state": recalled.state.value,
        "study": recalled.study,
        "series": recalled.series,
        "sop_instance": recalled.sop_instance,
        "out": recalled.out,
        "attempts": recalled.attempts,
        "asked": moment(recalled.asked),
        "at": moment(recalled.at),
        "detail": recalled.detail,
    }


def _show(found: Sequence[Recalled]) -> None:
    groups = Counter((each.study, each.destination, each.state, each.detail) for each in found)
    last = {(each.study, each.destination, each.state, each.detail): each.at for each in found}
    show_table(
        ("study", "destination", "state", "instances", "since"),
        [
            (study, destination, (state.value, STATES[state], *filter(None, [detail])), n, moment(last[key]))
            for key, n in groups.items()
            for study, destination, state, detail in [key]
        ],
    )
    if any(each.state is RecallState.IMPOSSIBLE for each in found):
        say("What a person has to delete, by SOP Instance UID: --json. It is looked for once a day, and then settled.")
