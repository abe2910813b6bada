"""``appliance deidentify SRC… -o DIR``: files and folders, no daemon, a progress bar and a report."""

import errno
import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

from appliance import config
from appliance.cli.offline import DELIVERED, UNREADABLE, WITHHELD, Fate, Offline, files_in
from appliance.cli.options import say, site_option
from appliance.deid.ruleset import read_rules
from appliance.errors import CannotStart
from appliance.mapping.keys import KEY_BYTES, load_key
from appliance.mapping.store import MappingStore
from appliance.model import ONLY_PROJECT, UNLISTED
from appliance.reasons import Reason
from appliance.services.worker import Recipe

SOME_WITHHELD = 2
SITE = "offline"  # prefix of pseudonyms without a configuration
MiB = 1024 * 1024

file_option = click.Path(path_type=Path)


@click.command("deidentify")
@site_option
@click.option("-o", "--output", "target", required=True, type=file_option, metavar="DIR", help="For the results.")
@click.option("--rules", type=file_option, metavar="FILE", help="Rules; else the configuration's, else the packaged.")
@click.option("--key-file", type=file_option, metavar="FILE", help="Pseudonym key; else the configuration's.")
@click.option("--report", type=file_option, metavar="FILE.json", help="What became of each source file.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Worker processes; left out: one a core.")
@click.argument("sources", nargs=-1, required=True, type=file_option, metavar="SRC…")
def command(
    config_file: Path | None,
    target: Path,
    rules: Path | None,
    key_file: Path | None,
    report: Path | None,
    jobs: int | None,
    sources: tuple[Path, ...],
) -> int:
    """De-identify files and folders into DIR/study/series/instance.dcm; the sources stay as they are.

    Without -c or --key-file a key is made for this run alone: another run gives other pseudonyms. No mapping is kept;
    with -c the site's id lists, opt-outs and erasures count.
    Exit status: 0 all delivered or excluded by rule, 2 something was withheld, 1 it cannot run.
    """
    settings = None if config_file is None else config.load(config_file)
    recipe = recipe_for(settings, rules, key_file)
    files = _files(sources, target)
    if not files:
        names = ", ".join(map(str, sources))
        click.echo(f"There is no file in {names}; nothing is de-identified. Check the path, or its mount.", err=True)
    if report is not None:
        _part_of(report).unlink()  # a report that cannot be written is told before the work, not after
    domain = "site" if settings is None else settings.domain_of(UNLISTED, "")
    with (
        _progress() as progress,
        Offline(recipe, target.absolute(), jobs or os.cpu_count() or 1) as run,
    ):
        bar = progress.add_task("De-identifying", total=len(files))

        try:
            run.run(files, domain, lambda: progress.advance(bar))
        finally:
            if report is not None:
                _write_report(report, recipe, list(run.fates.values()), len(files))
    _summarize(run, target)
    return SOME_WITHHELD if any(fate.outcome == WITHHELD for fate in run.fates.values()) else 0


def _files(sources: Sequence[Path], target: Path) -> list[Path]:
    for source in sources:
        if not os.path.lexists(source):
            raise CannotStart(f"{source} does not exist. Nothing was read or written. Check the path.")
    if target.exists() and not target.is_dir():
        raise CannotStart(f"{target} is no folder. Nothing was read or written. Name a folder with -o.")
    return list(files_in(sources, target.resolve()))


def recipe_for(settings: config.Config | None, rules: Path | None, key_file: Path | None) -> Recipe:
    """Return what de-identifies here as the services do; without a configuration or key, as nobody else does."""
    if rules is None and settings is not None:
        rules = settings.rules
    file = read_rules(rules)
    file.ruleset()  # rules that are not valid end it here, with file and line, and not in a worker
    return Recipe(
        site=SITE if settings is None else settings.site,
        key=_key(settings, key_file),
        rules={ONLY_PROJECT: file},
        own_pseudonyms=frozenset(),
        issuers=() if settings is None else settings.identity.issuers,
        max_header=(config.Deidentify() if settings is None else settings.deidentify).max_header_mb * MiB,
        mapping=_mapping(settings, key_file),
        missing={} if settings is None else {ONLY_PROJECT: settings.missing_in(ONLY_PROJECT)},
        pixels=config.Pixels() if settings is None else settings.pixels,
    )


def _mapping(settings: config.Config | None, key_file: Path | None) -> Path | None:
    """Return the site's mapping, whose id lists, opt-outs and erasures count here too; None if it has none."""
    if settings is None or key_file is not None or not settings.mapping_store.exists():
        return None
    if not os.access(settings.mapping_store, os.R_OK | os.W_OK):  # a reader takes part in its shared memory
        raise CannotStart(
            f"The mapping {settings.mapping_store} may not be read by you, and who opted out stands there. Nothing was "
            "read or written. Be a member of the group appliance-trust, or give --key-file instead of -c."
        )
    with MappingStore(settings.mapping_store, load_key(settings.mapping, make=False)):
        return settings.mapping_store  # of this key and of this version


def _key(settings: config.Config | None, key_file: Path | None) -> bytes:
    if key_file is not None:
        return load_key(config.Mapping(key_file), make=False)
    if settings is not None:
        return load_key(settings.mapping, make=False)
    click.echo(
        "No key was given, so one was made for this run alone: run it again and every pseudonym is another. "
        "To keep pseudonyms: -c FILE or --key-file FILE.",
        err=True,
    )
    return secrets.token_bytes(KEY_BYTES)


def _progress() -> Progress:
    return Progress(
        "{task.description}",
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )


def _write_report(file: Path, recipe: Recipe, fates: Sequence[Fate], total: int) -> None:
    """Write the report. It holds the names of the source files, so only its owner may read it."""
    content: dict[str, Any] = {
        "site": recipe.site,
        "rules_digest": recipe.rules[ONLY_PROJECT].ruleset().digest,
        "total": total,
        "files": [_row(fate) for fate in sorted(fates, key=lambda fate: fate.source)],
    }
    part = _part_of(file)
    part.write_text(json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    part.replace(file)


def _part_of(file: Path) -> Path:
    """Return the file beside ``file`` that takes its place when it is complete. Raises CannotStart."""
    part = file.with_name(file.name + ".part")
    try:
        if file.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
    except OSError as error:
        raise CannotStart(
            f"The report {file} cannot be written: {error.strerror}. Nothing was read or written. "
            "Name another file with --report, in a folder that is there and that you may write to."
        ) from None
    return part


def _row(fate: Fate) -> dict[str, Any]:
    return {
        "source": os.fsdecode(os.fsencode(fate.source)).encode("utf-8", "replace").decode(),
        "outcome": fate.outcome,
        "reason": fate.reason,
        "detail": fate.detail,
        "output": None if fate.output is None else str(fate.output),
        "pixels": None if fate.pixels is None else asdict(fate.pixels),
    }


def _summarize(run: Offline, target: Path) -> None:
    say(f"{run.counts[DELIVERED, '']} delivered into {target}")
    for (outcome, reason), count in sorted(run.counts.items()):
        if outcome != DELIVERED:
            what = "The file cannot be read." if reason == UNREADABLE else Reason(reason).words.what
            say(f"{count} {outcome}: {reason}. {what}")
