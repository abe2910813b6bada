"""``appliance mapping backup``, ``restore``, ``settle`` and ``rotate``: caring for the store itself."""

import os
import tempfile
import time
from pathlib import Path

import click

from appliance.cli.audited import audited
from appliance.cli.options import answer, load, say, with_config
from appliance.cli.trusted import reason_option, trusted
from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.mapping.backup import backup as write_backup
from appliance.mapping.backup import unpack
from appliance.mapping.keys import key_place, load_key
from appliance.mapping.lineage import SEEN, from_text
from appliance.mapping.restore import Restored, go_on
from appliance.mapping.restore import restore as put_back
from appliance.mapping.restore import settle as settle_debt
from appliance.mapping.rotate import rotate as seal_anew
from appliance.mapping.store import Standing
from appliance.spool.journal import Journal
from appliance.spool.layout import Inside

file_path = click.Path(path_type=Path)


@click.command("backup")
@with_config
@click.argument("file", type=file_path, metavar="FILE")
@click.option(
    "--to",
    "recipients",
    required=True,
    multiple=True,
    metavar="RECIPIENT",
    help="A public key of the hospital: age1… Several: each opens it.",
)
def backup(config_file: Path | None, as_json: bool, file: Path, recipients: tuple[str, ...]) -> int:
    """Write mapping and pseudonym key to FILE, encrypted to the hospital's public key, while services go on.

    It is read again before it counts. Any age program opens it with the private key, which is nowhere here.
    """
    settings = load(config_file)
    with trusted(settings) as store:
        audited(settings, "mapping backup", about=str(file))
        digest = write_backup(store, load_key(settings.mapping, make=False), recipients, file)
    if as_json:
        answer({"file": str(file), "bytes": file.stat().st_size, "sha256": digest})
    else:
        say(f"{file}: {file.stat().st_size} bytes, SHA-256 {digest}. It was read again and is whole.")
    return 0


@click.command("restore")
@with_config
@click.argument("file", type=file_path, required=False, metavar="[FILE]")
@click.option("--identity", type=file_path, metavar="KEYFILE", help="File with the private key: AGE-SECRET-KEY-1…")
@click.option("--as-is", is_flag=True, help="There is no newer backup: go on with the mapping that is there.")
def restore(config_file: Path | None, as_json: bool, file: Path | None, identity: Path | None, as_is: bool) -> int:
    """Put a backup back, with the services stopped. A mapping that is newer than the backup is left alone."""
    settings = load(config_file)
    if as_is == (file is not None) or (file is not None and identity is None):
        raise RequestRefused("Say FILE with --identity KEYFILE, or --as-is; nothing was changed.")
    seen = _seen(settings)
    audited(settings, "mapping restore", about="as is" if file is None else str(file))
    if file is None or identity is None:
        done = go_on(settings.mapping_store, load_key(settings.mapping, make=False), seen)
    else:
        done = _restore(settings, file, private_key(identity), seen)
    if as_json:
        lost = {"lost_lists": done.lost_lists, "lost_refusals": done.lost_refusals}
        answer({**lost, "aside": None if done.aside is None else str(done.aside)})
    else:
        tell_lost(done)
    return 0


def _restore(settings: Config, file: Path, identity: str, seen: Standing | None) -> Restored:
    store = settings.mapping_store
    store.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store.parent, prefix="restore-") as folder:
        key, unpacked = unpack(file, identity, Path(folder))
        place = key_place(settings.mapping)
        if place is None or place.exists():
            mine = load_key(settings.mapping, make=False)
            if mine != key:
                raise RequestRefused(
                    "The backup is of another pseudonym key than this site's; nothing was changed. With it every "
                    "patient would become a stranger. Look for the right backup, or put the right key in place."
                )
        done = put_back(store, key, unpacked, seen, time.time())
        if place is not None and not place.exists():
            _put_key(place, key)
    return done


def _put_key(place: Path, key: bytes) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(key.hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    say(f"The pseudonym key was put back to {place}.")


def tell_lost(done: Restored) -> None:
    """Say that the mapping is in place, and what it lost."""
    say("The mapping is in place." + (f" The one that was there lies at {done.aside}." if done.aside else ""))
    if done.lost_lists or done.lost_refusals:
        who = "everybody's images wait" if done.lost_refusals else "images of patients whom it does not know wait"
        say(
            f"It is older than what was forwarded by {done.lost_lists} id lists and {done.lost_refusals} opt-out lists "
            f"or erasures; until they are here again {who}. Import them again, repeat the erasures (the audit names "
            "them), then say so: 'appliance mapping settle'."
        )


def _seen(settings: Config) -> Standing | None:
    """Return how far the journal saw the store."""
    journal = Journal.open_readonly(Inside(settings.state / "inside").database)
    try:
        return from_text(journal.settings.get(SEEN))
    finally:
        journal.close()


def private_key(file: Path) -> str:
    """Return the private key in a file as age-keygen writes it: comments, then the key."""
    lines = [line.strip() for line in file.read_text(encoding="ascii", errors="replace").splitlines()]
    return next((line for line in lines if line.startswith("AGE-SECRET-KEY-")), "")


@click.command("settle")
@with_config
@reason_option
def settle(config_file: Path | None, as_json: bool, reason: str) -> int:
    """After a restore: say that the lists and erasures that it lost are here again. What waits for them goes on."""
    settings = load(config_file)
    with trusted(settings) as store:
        audited(settings, "mapping settle", reason=reason)
        was_owed = settle_debt(store)
    if as_json:
        answer({"was_waited_for": was_owed})
    else:
        say("What waited for lost lists goes on." if was_owed else "Nothing was lost, so nothing waited.")
    return 0


@click.command("rotate")
@with_config
def rotate(config_file: Path | None, as_json: bool) -> int:
    """Seal the mapping with a new data key, while services go on. The pseudonym key stays: it is for ever."""
    settings = load(config_file)
    with trusted(settings) as store:
        audited(settings, "mapping rotate")
        count = seal_anew(store)
    if as_json:
        answer({"sealed": count})
    else:
        say(f"{count} entries were sealed with a new key; the one before is gone. Make a new backup.")
    return 0
