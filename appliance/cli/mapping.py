"""``appliance mapping``: who is who. For those who may (group appliance-trust); answers about a person are audited."""

import csv
import sys
from contextlib import nullcontext
from pathlib import Path

import click

from appliance.cli.audited import audited
from appliance.cli.left import as_rows, show_left
from appliance.cli.mapping_care import backup, restore, rotate, settle
from appliance.cli.mapping_refuse import forget, opt_out
from appliance.cli.options import answer, load, say, show_table, with_config
from appliance.cli.trusted import (
    SHOWN,
    left_of,
    list_file,
    made_by_key,
    place_of,
    reason_option,
    trusted,
)
from appliance.errors import RequestRefused
from appliance.mapping.csv_list import read_list
from appliance.mapping.id_list import Imported, import_list
from appliance.mapping.patients import patients
from appliance.mapping.place import Conflicts


@click.group("mapping")
def command() -> None:
    """Import id lists and opt-outs, find the person behind a pseudonym, erase, back up and restore."""


@command.command("import")
@with_config
@click.argument("file", metavar="LIST.csv")
@click.option("--domain", default="site", show_default=True, help="Identity domain of the numbers.")
@click.option("--project", default="", help="Project with pseudonyms of its own; left out: the site's pseudonyms.")
@click.option("--preview", is_flag=True, help="Say what would happen; nothing is changed.")
@click.option("--change", is_flag=True, help="Patients with another pseudonym get the list's id from now on.")
def import_(
    config_file: Path | None, as_json: bool, file: str, domain: str, project: str, preview: bool, change: bool
) -> int:
    """Take an id list: columns MRN and trial id, and if needed issuer, domain, project. The whole list, or nothing.

    Who has a pseudonym already keeps it, unless --change is said; what left under the former one is then listed.
    """
    settings = load(config_file)
    lines, problems = read_list(list_file(file), with_ids=True)
    if problems:
        return _conflicts(Conflicts(problems), as_json=as_json)
    place = place_of(settings, domain, project)
    with trusted(settings, may_make=not preview) as store:
        if not preview:
            audited(settings, "mapping import", about=f"{len(lines)} lines{', with changes' if change else ''}")
        try:
            done = import_list(store, lines, place, made_by_key(settings), change=change, preview=preview)
        except Conflicts as conflicts:
            return _conflicts(conflicts, as_json=as_json)
        left = as_rows(left_of(settings, store, [pseudonym for _, pseudonym in done.changed]))
    if as_json:
        answer(
            {
                "preview": preview,
                "new": done.new,
                "same": done.same,
                "kept": [{"line": line, "pseudonym": pseudonym} for line, pseudonym in done.kept],
                "changed": [{"line": line, "former": pseudonym} for line, pseudonym in done.changed],
                "erased": done.forgotten,
                "resumed": done.resumed,
                "issuer_not_counted": done.no_issuer,
                "left": left,
            }
        )
    else:
        _tell(done, left, preview=preview)
    return 0


def _conflicts(conflicts: Conflicts, *, as_json: bool) -> int:
    if as_json:
        problems = [{"line": problem.line, "what": problem.what} for problem in conflicts.problems]
        answer({"conflicts": problems})
        return 1
    say(f"{conflicts} Correct the list, then import it again.")
    show_table(("line", "what"), [(problem.line, problem.what) for problem in conflicts.problems[:SHOWN]])
    if len(conflicts.problems) > SHOWN:
        say(f"… and {len(conflicts.problems) - SHOWN} more; --json shows them all.")
    return 1


def _tell(done: Imported, left: list[dict[str, object]], *, preview: bool) -> None:
    say(f"{'Preview, nothing was changed: ' if preview else ''}{done.new} patients new, {done.same} known so already.")
    if done.resumed:
        say(f"{done.resumed} held instances go on by themselves.")
    if done.no_issuer:
        say(f"{done.no_issuer} lines name an issuer that is not under identity.issuers: it was not counted.")
    if done.forgotten:
        say(f"Not taken, erased by command: lines {_numbers(done.forgotten)}.")
    if done.kept:
        say(
            f"{len(done.kept)} patients have another pseudonym and keep it, because images may carry it: lines "
            f"{_numbers([line for line, _ in done.kept])}. To give them the list's ids from now on: --change"
        )
    if done.changed:
        say(f"{len(done.changed)} patients have the list's id from now on; the former pseudonym still leads to them.")
        show_left(left)


def _numbers(lines: list[int]) -> str:
    shown = ", ".join(str(line) for line in lines[:SHOWN])
    return shown if len(lines) <= SHOWN else f"{shown} and {len(lines) - SHOWN} more"


@command.command("export")
@with_config
@reason_option
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE.csv", help="Mode 0600.")
def export(config_file: Path | None, as_json: bool, reason: str, target: Path | None) -> int:
    """Write every patient and pseudonym as CSV, as 'mapping import' reads it. Audited: it is the whole secret."""
    settings = load(config_file)
    if as_json:
        raise RequestRefused("An export is CSV, as 'mapping import' reads it; nothing was written. Leave out --json.")
    with trusted(settings) as store:
        if target is not None and target.exists():
            raise RequestRefused(f"{target} is there already; nothing was written. Name another file.")
        audited(settings, "mapping export", about=str(target or "standard output"), reason=reason)
        if target is not None:
            target.touch(mode=0o600, exist_ok=False)
        with nullcontext(sys.stdout) if target is None else target.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("domain", "issuer", "MRN", "trial id", "project"))
            count = 0
            for patient in patients(store):
                writer.writerow((patient.domain, patient.issuer, patient.number, patient.pseudonym, patient.scope))
                count += 1
    click.echo(f"{count} patients exported.", err=True)
    return 0


@command.command("reidentify")
@with_config
@click.argument("pseudonym", metavar="PSEUDONYM|UID")
@reason_option
def reidentify(config_file: Path | None, as_json: bool, pseudonym: str, reason: str) -> int:
    """Say whom a pseudonym, or which original a UID, stands for. Audited, found or not."""
    settings = load(config_file)
    with trusted(settings) as store:
        audited(settings, "mapping reidentify", about=pseudonym, reason=reason)
        found = store.original_of(pseudonym)
    if found is None:
        raise RequestRefused(f"The mapping does not know {pseudonym}. Nothing was changed; the question was audited.")
    domain, _, issuer = found.domain.partition("|issuer:")
    content = {
        "kind": found.kind,
        "domain": domain,
        "issuer": issuer,
        "original": found.original,
        "project": found.scope,
    }
    if as_json:
        answer(content)
    else:
        show_table(("", ""), [(name, value) for name, value in content.items() if value])
    return 0


for each in (opt_out, forget, backup, restore, rotate, settle):
    command.add_command(each)
