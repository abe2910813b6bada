"""``appliance report``: what was done to an instance and why; the summary of a study, for a data-protection officer."""

import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from appliance.cli.options import answer, load, moment, plain, say, show_table, with_config
from appliance.cli.study_page import page, text
from appliance.cli.study_report import DATES, carried_out, element, summary
from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.model import is_spool_id
from appliance.reasons import Reason
from appliance.spool.files import put_durably
from appliance.spool.layout import Inside
from appliance.spool.overview import Overview
from appliance.spool.reports import Kept, Reports


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


_FORMS: dict[str, Callable[[dict[str, Any]], str]] = {".html": page, ".txt": text, ".json": _json}


@click.command("report")
@with_config
@click.option("--study", metavar="UID", help="Summary of a study, by its pseudonymous Study Instance UID.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="With --study: .html, .txt, .json."
)
@click.argument("id_or_uid", required=False, metavar="[ID]")
def command(
    config_file: Path | None, as_json: bool, study: str | None, output: Path | None, id_or_uid: str | None
) -> None:
    """Show what was done to an instance and why; or, with --study, to all of a study. No value of an original.

    ID: a spool id, an outside name, or a pseudonymous SOP Instance UID. Study UIDs are shown by: appliance trace
    """
    settings = load(config_file)
    if (study is None) == (id_or_uid is None) or (output is not None and study is None):
        raise RequestRefused("Name an instance, or a study with --study (and -o FILE); nothing was shown.")
    if output is not None and output.suffix not in _FORMS:
        raise RequestRefused(
            f"{output} ends in none of {', '.join(_FORMS)}, which say what to write; nothing was written."
        )
    reports, overview = Reports(Inside(settings.state / "inside").reports, read_only=True), Overview(settings.state)
    try:
        if study is not None:
            _study(_summary(settings, study, reports, overview), output, as_json=as_json)
        else:
            _instance(_rounds(id_or_uid or "", reports, overview), as_json=as_json)
    finally:
        overview.close()
        reports.close()


def _study(content: dict[str, Any], output: Path | None, *, as_json: bool) -> None:
    if output is not None:
        put_durably(io.BytesIO(_FORMS[output.suffix](content).encode("utf-8")), output)
    if as_json:
        answer(content)
    elif output is None:
        say(text(content))
    else:
        say(f"Written to {output}.")


def _summary(settings: Config, study: str, reports: Reports, overview: Overview) -> dict[str, Any]:
    kept = reports.of_study(study)
    if not kept:
        raise RequestRefused(
            "No report of this study is kept; nothing was shown. It is the pseudonymous Study Instance UID, as the "
            "destination has it; 'appliance trace ID' shows it. Reports are kept for retention.reports_days."
        )
    accounts = reports.accounts(each.body for each in kept)
    found = summary(study, kept, accounts, overview)
    return {"site": settings.site, "made": moment(time.time()), **found}


def _rounds(name: str, reports: Reports, overview: Overview) -> list[dict[str, Any]]:
    """Every round that a report is kept of, the first one first."""
    kept = reports.of(name) if is_spool_id(name) else reports.of_sop_instance(name)
    if not kept:
        kept = [each for trace, _ in overview.trace(name) for each in reports.of(trace.instance.id)]
    if not kept:
        raise RequestRefused(
            "No report of this is kept; nothing was shown. Ids are shown by 'appliance quarantine list' and the log. "
            "Reports are kept for retention.reports_days; what became of the instance: 'appliance trace ID'."
        )
    accounts = reports.accounts(each.body for each in kept)
    return [_content(each, accounts.get(each.body)) for each in kept]


def _content(kept: Kept, account: dict[str, Any] | None) -> dict[str, Any]:
    entry = kept.entry
    content: dict[str, Any] = {
        "id": entry.id,
        "round": entry.round,
        "at": moment(entry.at),
        "outcome": "withheld" if entry.reason else "deidentified",
        "reason": entry.reason,
        "places": entry.place.split(", ") if entry.place else [],
        "out": entry.out,
        "study": entry.study,
        "sop_instance": entry.sop_instance,
        "accepted": list(entry.accepted),
        "rules_digest": entry.rules_digest,
    }
    if account is not None:
        content |= carried_out(account) | {
            "sop_class": account["sop_class"],
            "elements": [element(*line) for line in account["elements"]],
            "kept": account["kept"],
            "stayed": account["stayed"],
            "pixels": account["pixels"],
            "private": [{"element": tag, "creator": creator} for tag, creator in account["private"]],
        }
    return content


def _instance(rounds: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        answer({"rounds": list(rounds)})
        return
    for each in rounds:
        say(f"{each['id']}, round {each['round']}, {each['at']}: {each['outcome']} {each['reason']}".rstrip())
        if each["reason"]:
            say(Reason(each["reason"]).words.what)
        told = [(name, each[name]) for name in ("out", "study", "sop_instance", "rules_digest") if each[name]]
        told += [("accepted", ", ".join(each["accepted"]))] if each["accepted"] else []
        show_table(("", ""), told)
        if "elements" in each:
            _show_account(each)


def _show_account(content: dict[str, Any]) -> None:
    say(
        "; ".join(f"{code['code']} {code['meaning']}" for code in content["codes"])
        or "No profile of PS3.15 is claimed."
    )
    say(DATES.get(content["dates"], "What became of dates is the rules' to say."))
    columns = ("path", "keyword", "action", "cause")
    show_table(columns, [[line[name] for name in columns] for line in content["elements"]], title="elements")
    say(f"{content['kept']} elements stayed as they were. At the top: {', '.join(content['stayed'])}")
    if content["pixels"]:
        looked = content["pixels"]
        say(f"Pixels: {looked['frames']} frames, {looked['searched']} searched, {len(looked['hidden'])} boxes hidden.")
    if content["private"]:
        kept = ", ".join(f"{each['element']} {plain(each['creator'])}" for each in content["private"])
        say(f"Private elements that stayed: {kept}")
