"""``appliance operator``: who may log in to the status page. For root: the file of passwords is not the services'."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from appliance.cli.audited import audited
from appliance.cli.options import Commands, answer, load, say, with_config
from appliance.config import Config
from appliance.errors import RequestRefused
from appliance.watch.passwords import LONGEST, Passwords


@click.group("operator", cls=Commands)
def command() -> None:
    """Say who may log in to the status page, to release, discard, send again and pause there."""


@command.command("list")
@with_config
def list_(config_file: Path | None, as_json: bool) -> None:
    """List the logins."""
    names = sorted(_passwords(load(config_file)).hashes())
    if as_json:
        answer({"operators": names})
    elif names:
        say("\n".join(names))
    else:
        say("Nobody can log in yet: appliance operator add NAME")


@command.command("add")
@with_config
@click.argument("name")
def add(config_file: Path | None, as_json: bool, name: str) -> None:
    """Add an operator, or change the password: asked for twice, or the first line of what is piped in."""
    settings = load(config_file)
    passwords = _passwords(settings)
    password = (
        click.prompt("Password", hide_input=True, confirmation_prompt=True)
        if sys.stdin.isatty()
        else sys.stdin.readline(LONGEST + 2).rstrip("\r\n")
    )
    audited(settings, "operator added, or with a new password", about=name[:48])
    with _told(passwords):
        passwords.put(name, password)
    _say(f"'{name}' can log in to the status page with this password.", name, as_json=as_json)


@command.command("remove")
@with_config
@click.argument("name")
def remove(config_file: Path | None, as_json: bool, name: str) -> None:
    """Take an operator out; who is logged in by this name is out at once."""
    settings = load(config_file)
    passwords = _passwords(settings)
    audited(settings, "operator removed", about=name[:48])
    with _told(passwords):
        passwords.remove(name)
    _say(f"'{name}' cannot log in any more.", name, as_json=as_json)


def _passwords(settings: Config) -> Passwords:
    login = settings.watch.login
    if login is None or login.passwords is None:
        raise RequestRefused(
            "The configuration names no file of passwords, so nobody logs in by one; nothing was changed. "
            "Say watch.login.passwords: see 'appliance config example'"
        )
    return Passwords(login.passwords)


@contextmanager
def _told(passwords: Passwords) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RequestRefused(
            f"{passwords.file} cannot be written ({error.strerror}); nothing was changed. Its folder must be there, "
            "and it is root's: use sudo."
        ) from None


def _say(words: str, name: str, *, as_json: bool) -> None:
    if as_json:
        answer({"operator": name})
    else:
        say(words)
