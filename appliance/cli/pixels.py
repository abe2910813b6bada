"""``appliance pixels FILE.dcm -o FILE.png``: an image before and after its pixels are cleaned, the boxes drawn."""

from dataclasses import asdict
from pathlib import Path

import click

from appliance.cli.offline import DELIVERED, WITHHELD, open_file
from appliance.cli.options import answer, config_option, json_option, load, say, show_table
from appliance.cli.rules import SOME_WITHHELD, rules_option
from appliance.cli.trial import Tried, trial
from appliance.deid.outcome import Looked
from appliance.deid.pixels.rendering import side_by_side, telling_frame
from appliance.errors import CannotStart
from appliance.reasons import Reason

path_argument = click.Path(path_type=Path)


@click.command("pixels")
@config_option
@json_option
@rules_option
@click.option("-o", "--output", "target", required=True, type=path_argument, metavar="FILE.png", help="The picture.")
@click.option("--frame", type=click.IntRange(1), help="Of several; left out: the first in which text was found.")
@click.argument("file", type=path_argument, metavar="FILE.dcm")
def command(
    config_file: Path | None, as_json: bool, rules_file: Path | None, target: Path, frame: int | None, file: Path
) -> int:
    """Draw FILE.dcm before and after its pixels are cleaned, side by side, and say what is hidden and why.

    The picture shows the original: only its owner may read it. Nothing is sent.
    Exit status: 0 it would leave or is excluded by rule, 2 it would be withheld.
    """
    tries = trial(None if config_file is None else load(config_file), rules_file)
    try:
        source = open_file(file)
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}. Check the path.") from None
    with source:
        tried = tries.of(source)
        looked = None if tried.result is None else tried.result.report.pixels
        shown = telling_frame(looked) if frame is None else frame
        drawn = _draw(tried, shown, target)
    if as_json:
        told = {"outcome": tried.outcome, "reason": tried.reason, "detail": tried.detail, "frame": shown}
        answer(
            {"file": str(file), **told, "picture": str(target) if drawn else None, "pixels": looked and asdict(looked)}
        )
    else:
        _tell(tried, looked, f"Frame {shown} is drawn in {target}." if drawn else "It cannot be drawn.")
    return SOME_WITHHELD if tried.outcome == WITHHELD else 0


def _draw(tried: Tried, frame: int, target: Path) -> bool:
    picture = None
    if tried.original is not None and tried.result is not None:
        picture = side_by_side(tried.original, tried.result, frame=frame)
    if picture is None:
        return False
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_bytes(picture)
    part.replace(target)
    return True


def _tell(tried: Tried, looked: Looked | None, drawn: str) -> None:
    if looked is None and tried.outcome == DELIVERED:
        say("Nobody needs to look at its pixels: no rule means them.")
    elif looked is not None:
        rows = [("all" if each.frame == 0 else each.frame, *each.box, each.cause) for each in looked.hidden]
        if rows:
            show_table(("Frame", "Left", "Top", "Right", "Bottom", "Because of"), rows)
        engine = (
            f" {looked.searched} of {looked.frames} frames were searched by {looked.engine}." if looked.engine else ""
        )
        say(f"{looked.rule}{engine} {len(rows)} box{'es' if len(rows) != 1 else ''} hidden.")
    say(f"{tried.outcome}{f': {tried.reason}' if tried.reason else ''}. {drawn}")
    if tried.reason and tried.outcome == WITHHELD:
        say(f"{Reason(tried.reason).words.what} {tried.detail}".strip())
