"""``appliance backup``: making, listing, verifying and putting back backups of everything but images."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from appliance import __version__
from appliance.cli.audited import audited
from appliance.cli.mapping_care import private_key, tell_lost
from appliance.cli.options import Commands, answer, counted, load, moment, say, show_table, with_config
from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.services import backups_kept
from appliance.services.backup import make as make_backup
from appliance.services.backup import wanted_of
from appliance.services.restore import Restored
from appliance.services.restore import restore as put_back
from appliance.watch import backup_told

file_path = click.Path(path_type=Path)


@click.group("backup", cls=Commands)
def command() -> None:
    """Back up everything but images: mapping, keys, rows, audit, configuration and rules. Put it back.

    Each is encrypted to the hospital's public keys (backup.recipients), and read back before it counts.
    """


@command.command("make")
@with_config
def make(config_file: Path | None, as_json: bool) -> int:
    """Make a backup now, while services go on, and remove those that need not be kept any more."""
    settings = load(config_file)
    with _by_who_may():
        wanted = wanted_of(settings)
        audited(settings, "backup make", about=str(wanted.folder))
        done = make_backup(settings, time.time(), __version__)
        kept = backups_kept.kept(wanted.folder, settings.site)
        backup_told.made(settings.state, time.time(), done.bytes, len(kept))
    if as_json:
        removed = [str(each) for each in done.removed]
        answer({"file": str(done.file), "bytes": done.bytes, "sha256": done.sha256, "removed": removed})
    else:
        say(f"{done.file}: {done.bytes} bytes, SHA-256 {done.sha256}. It was read again and is whole.")
        if done.removed:
            say(f"{counted(len(done.removed), 'older backup')} removed that need not be kept any more.")
    return 0


@command.command("list")
@with_config
def list_(config_file: Path | None, as_json: bool) -> int:
    """List the backups that are kept, the newest first."""
    settings = load(config_file)
    with _by_who_may():
        found = backups_kept.kept(_folder(settings), settings.site)
        rows = [(each.file.name, moment(each.made), each.file.stat().st_size) for each in found]
    if as_json:
        answer({"backups": [{"file": name, "made": made, "bytes": size} for name, made, size in rows]})
    elif rows:
        show_table(("backup", "made", "bytes"), rows)
    else:
        say(f"There is none in {_folder(settings)} yet. Make one: appliance backup make")
    return 0


@command.command("verify")
@with_config
def verify(config_file: Path | None, as_json: bool) -> int:
    """Look whether every kept backup still is what was written. Exit status 1 if one is not, or if there is none.

    Whether it opens was seen when it was made; to see it again, on a machine that has the private key:
    age -d -i KEYFILE FILE | tar t
    """
    settings = load(config_file)
    with _by_who_may():
        found = backups_kept.kept(_folder(settings), settings.site)
        damaged = backups_kept.damaged(found)
        backup_told.verified(settings.state, time.time(), len(damaged))
    if as_json:
        answer({"looked_at": len(found), "damaged": [str(each) for each in damaged]})
    elif not found:
        say(f"There is no backup in {_folder(settings)}. Make one: appliance backup make")
    else:
        say(f"{counted(len(found), 'backup')} looked at, {len(damaged)} damaged.")
        for each in damaged:
            say(f"Damaged: {each}. Look at that disk; make a new one, and remove this one when nobody needs it.")
    return 0 if found and not damaged else 1


@command.command("restore")
@with_config
@click.argument("file", type=file_path, metavar="FILE")
@click.option(
    "--identity", type=file_path, required=True, metavar="KEYFILE", help="File with the private key: AGE-SECRET-KEY-1…"
)
def restore(config_file: Path | None, as_json: bool, file: Path, identity: Path) -> int:
    """Put a backup back, with the services stopped: on a fresh host, or where something was lost.

    Rows, mapping or audit that are newer stay; what is replaced is set aside. Images are in no backup.
    """
    settings = load(config_file)
    with _by_who_may():
        audited(settings, "backup restore", about=str(file))
        done = put_back(settings, file, private_key(identity), time.time())
        audited(settings, "backup restored", about=str(file))
    if as_json:
        answer(
            {
                "put": done.put,
                "kept": done.kept,
                "aside": [str(each) for each in done.aside],
                "key": None if done.key is None else str(done.key),
                "texts": str(done.texts),
                "lost_lists": done.mapping.lost_lists,
                "lost_refusals": done.mapping.lost_refusals,
            }
        )
    else:
        _tell(done)
    return 0


def _tell(done: Restored) -> None:
    tell_lost(done.mapping)
    if done.key is not None:
        say(f"The pseudonym key was put back to {done.key}.")
    if done.put:
        say(f"Put back: {', '.join(done.put)}. What waited and is not on this disk will be quarantined as")
        say("original-missing when the services start: have it sent again.")
    if done.kept:
        say(f"Left as they are, because they have rows: {', '.join(done.kept)}.")
    for each in done.aside:
        say(f"Set aside: {each}. Remove it when nobody needs it.")
    say(f"Configuration and rules of the backup, to compare: {done.texts}")
    say("Opt-outs and erasures that came after the backup are not in it: repeat them before the services start.")


def _folder(settings: Config) -> Path:
    folder = wanted_of(settings).folder
    if not folder.is_dir():
        raise RequestRefused(f"The folder {folder} is not there; nothing was changed. Make it, or mount it.")
    return folder


@contextmanager
def _by_who_may() -> Iterator[None]:
    try:
        yield
    except PermissionError:
        raise RequestRefused(
            "You may not look at the mapping, or at the folder of backups, so nothing was changed. Use sudo, or the "
            "user appliance-backup."
        ) from None
