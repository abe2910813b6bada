"""``appliance rules``: check a rules file, see what it does to an instance, and what a change of it would do."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import click

from appliance.cli.changes import Changes
from appliance.cli.offline import DELIVERED, files_in, open_file
from appliance.cli.options import answer, config_option, json_option, load, say, show_table, site_option
from appliance.cli.preview import page
from appliance.cli.trial import trial, with_rules
from appliance.config import Config
from appliance.deid.ruleset import Ruleset, load_rules
from appliance.dicom.codec.families import can_encode, encodes_exactly
from appliance.errors import CannotStart, Unsafe
from appliance.model import is_spool_id
from appliance.reasons import Reason
from appliance.spool.files import open_regular

SOME_WITHHELD = 2

path_argument = click.Path(path_type=Path)
rules_option = click.option(
    "--rules",
    "rules_file",
    type=path_argument,
    metavar="FILE",
    help="Rules; else the configuration's, or the packaged.",
)


@click.group("rules")
def command() -> None:
    """Check rules, see what they do, and what a change of them would do. Nothing is sent and nothing is kept."""


@command.command("check")
@config_option
@json_option
@click.argument("file", type=path_argument)
def check(config_file: Path | None, as_json: bool, file: Path) -> int:
    """Check a rules file; exit 0 if it can be used, 1 with file, line and remedy if not.

    With -c, that the destinations it names are the configuration's, too.
    """
    rules = load_rules(file)
    if config_file is not None:
        settings = load(config_file)
        rules.demand_destinations(tuple(destination.name for destination in settings.destinations))
    notes = _notes(rules)
    if as_json:
        answer({"ok": True, "file": str(file), "digest": rules.digest, "notes": notes})
        return 0
    say(f"{file} can be used: {_summary(rules)}")
    for note in notes:
        say(f"Note: {note}")
    return 0


@command.command("explain")
@site_option
@json_option
@rules_option
@click.argument("file", type=path_argument)
def explain(config_file: Path | None, as_json: bool, rules_file: Path | None, file: Path) -> int:
    """Show each element of FILE: what is done with it, by which rule and line, before and after.

    It shows the original's values. Exit status: 0 it would leave or is excluded by rule, 2 it would be withheld.
    """
    tries = trial(None if config_file is None else load(config_file), rules_file)
    with _opened(file) as source:
        tried = tries.of(source)
        lines = tries.lines(tried)
    if as_json:
        answer(
            {
                "file": str(file),
                "rules": {"file": str(tries.rules.file), "digest": tries.rules.digest},
                "outcome": tried.outcome,
                "reason": tried.reason,
                "detail": tried.detail,
                "elements": [asdict(line) for line in lines],
            }
        )
    else:
        headings = ("Tag", "Name", "VR", "Action", "Because of", "Before", "After")
        rows = [(line.path, line.name, line.vr, line.action, line.cause, line.before, line.after) for line in lines]
        if rows:
            show_table(headings, rows)
        say(f"{tried.outcome}{f': {tried.reason}' if tried.reason else ''} under {tries.rules.file}")
        if tried.reason:
            say(f"{Reason(tried.reason).words.what} {tried.detail}".strip())
        if tried.outcome != DELIVERED and rows:
            say("The table shows what would leave if that were accepted.")
    return SOME_WITHHELD if tried.outcome == "withheld" else 0


@command.command("preview")
@site_option
@json_option
@rules_option
@click.option("-o", "--output", "target", required=True, type=path_argument, metavar="FILE.html", help="The page.")
@click.option("--most", type=click.IntRange(1, 10_000), default=200, show_default=True, help="Instances at most.")
@click.argument("folder", type=path_argument)
def preview(
    config_file: Path | None, as_json: bool, rules_file: Path | None, target: Path, most: int, folder: Path
) -> int:
    """Write a page that shows the files of FOLDER before and after, side by side, to be opened in a browser.

    It shows original patient data and works offline: only its owner may read it.
    """
    if not folder.is_dir():
        raise CannotStart(f"{folder} is no folder. Nothing was read or written. Name one that holds DICOM files.")
    tries = trial(None if config_file is None else load(config_file), rules_file)
    found = list(files_in([folder], target.absolute()))
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with part.open("w", encoding="utf-8") as out:
        for piece in page(f"Preview of {folder}", tries, _files(found[:most], open_file)):
            out.write(piece)
    part.replace(target)
    shown = min(len(found), most)
    if as_json:
        answer({"page": str(target), "shown": shown, "files": len(found)})
    else:
        say(f"{shown} of {len(found)} files shown in {target}. It shows original patient data.")
    return 0


@command.command("plan")
@config_option
@json_option
@click.option("--last", type=click.IntRange(1, 100_000), default=200, show_default=True, help="Newest originals.")
@click.argument("old", type=path_argument)
@click.argument("new", type=path_argument)
def plan(config_file: Path | None, as_json: bool, last: int, old: Path, new: Path) -> int:
    """Say what rules NEW would change against OLD for the newest originals that are in the house.

    Counts attributes and outcomes; shows no value. Nothing is sent, and nothing changes.
    """
    settings = load(config_file)
    under_old = trial(settings, old)
    under_new = with_rules(under_old, new)
    under_new.rules.demand_destinations(tuple(destination.name for destination in settings.destinations))
    changes = Changes()
    for _, file in _files(_newest(settings, last), open_regular):
        changes.add(under_old.of(file), under_new.of(file))
    if as_json:
        answer({"old": str(old), "new": str(new), **changes.as_json()})
        return 0
    _tell(changes)
    return 0


def _tell(changes: Changes) -> None:
    told = changes.as_json()
    if told["outcomes"]:
        show_table(
            ("Was", "Would be", "Instances"),
            [(each["before"], each["after"], each["instances"]) for each in told["outcomes"]],
        )
    if told["elements"]:
        show_table(
            ("Tag", "Name", "Change", "Instances"),
            [(each["path"], each["name"], each["change"], each["instances"]) for each in told["elements"]],
        )
    say(f"{changes.same} of {changes.instances} originals would give the same result.")


def _newest(settings: Config, last: int) -> list[Path]:
    """Return the originals in the house that came last; their names begin with when they came."""
    inside = settings.state / "inside"
    found = [path for folder in ("received", "quarantine") for path in (inside / folder).glob("*/*.dcm")]
    originals = sorted((path for path in found if is_spool_id(path.stem)), key=lambda path: path.stem, reverse=True)
    return list(islice(originals, last))


def _files(paths: list[Path], opened: Callable[[Path], BinaryIO]) -> Iterator[tuple[Path, BinaryIO]]:
    """Yield each regular file, open until the next is asked for; what is gone or cannot be read is left out."""
    for path in paths:
        try:
            file = opened(path)
        except (OSError, Unsafe):
            continue
        with file:
            yield path, file


def _opened(file: Path) -> BinaryIO:
    try:
        return open_file(file)
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}. Check the path.") from None


def _summary(rules: Ruleset) -> str:
    profile = f"the Basic Profile with {len(rules.options)} options" if rules.profile else "no profile"
    blocks = len(rules.blocks)
    return f"{profile}, {len(rules.labels)} labels, {blocks} block{'s' if blocks != 1 else ''} of transformations."


def _notes(rules: Ruleset) -> list[str]:
    """Return what can be used and is worth knowing."""
    notes = []
    if not rules.profile:
        notes.append("without a profile everything that no rule touches stays; what still identifies is withheld.")
    for block in rules.blocks:
        transcode = block.transcode
        if transcode is not None and not can_encode(transcode.syntax):
            notes.append(
                f"line {transcode.line}: no image can be put into the transfer syntax of Transcode; what is not in it "
                "already is withheld."
            )
        elif transcode is not None and not encodes_exactly(transcode.syntax):
            notes.append(f"line {transcode.line}: Transcode loses detail of every image, and each then says so.")
    return notes
