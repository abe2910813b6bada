"""``appliance run [ROLE…]``: one service in this process, or several as children that are looked after."""

import sys
from pathlib import Path

import click

from appliance import config
from appliance.cli.options import config_option, load
from appliance.cli.supervise import heed_lifeline, supervise
from appliance.errors import CannotStart, ConfigError
from appliance.mapping.keys import key_place, load_key
from appliance.services import loop
from appliance.services.reload import Reload
from appliance.services.roles import ROLES, build, published, roles_of
from appliance.watch.logs import start_logging

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


@click.command("run")
@config_option
@click.option("--log-level", type=click.Choice(LEVELS), default="INFO", show_default=True, help="Of our own log lines.")
@click.argument("roles", nargs=-1, metavar="[ROLE…]")
def command(config_file: Path | None, log_level: str, roles: tuple[str, ...]) -> int:
    """Run all services (development), or the named ones; one alone runs in this process, as systemd starts it.

    Roles: receive, inbox, deidentify, forward, purge (in a hospital purge-inside and purge-outside, each as its own
    user), watch. Logs are JSON lines on standard error. SIGTERM drains.
    """
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise CannotStart(f"There is no role '{unknown[0]}'; nothing was started. Roles: {', '.join(ROLES)}.")
    settings = load(config_file)
    if len(roles) == 1:
        return _run_one(settings, roles[0], log_level)
    if not roles:
        _make_missing_key(settings)
    start_logging("supervisor", sys.stderr, level=log_level)
    return supervise(settings.file, roles or roles_of(settings), log_level)


def _run_one(settings: config.Config, role: str, log_level: str) -> int:
    start_logging(role, sys.stderr, level=log_level)
    stop = loop.stop_on_signals()
    heed_lifeline(stop)
    metrics = published(role, settings)
    service = build(role, settings, metrics, development=False)
    reload = Reload(settings, service.take_over, stop, metrics.configuration)
    reload.heed_signal()
    loop.run(service, stop, beat=metrics.beat, failed=metrics.failed, between=reload.step)
    return 0


def _make_missing_key(settings: config.Config) -> None:
    place = key_place(settings.mapping)
    if place is None:
        raise ConfigError(
            "'mapping.key_file' is missing and must be given: without roles there is no systemd to pass the key.",
            file=settings.file,
        )
    if not place.exists():
        load_key(settings.mapping, make=True)
        click.echo(
            f"There was no pseudonym key, so {place} was made. Keep it: with another key every patient "
            "would be a stranger to his own earlier studies.",
            err=True,
        )
