"""What the commands have in common: which configuration, for whom the answer is, and how it is printed."""

import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table

from appliance import config
from appliance.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])

# Where a configuration is looked for when -c does not say.
NAMED_BY = "APPLIANCE_CONFIG"
PLACES = (Path("appliance.yaml"), Path("/etc/appliance/appliance.yaml"))

WIDE = 220  # columns of a table that goes into a file or a pipe

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

config_option = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"Configuration. Left out: ${NAMED_BY}, ./appliance.yaml, /etc/appliance/appliance.yaml.",
)
# For commands that also work where no appliance is: a configuration that merely lies there is not used.
site_option = click.option(
    "-c",
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration of a site, for its rules, key and name. Left out: none is looked for.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Answer as JSON, for programs.")


class Commands(click.Group):
    """Commands under one name. Their list gives each one's first sentence whole: click 8 cuts it off with dots."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_sentence(each.help or "")) for name, each in found if each is not None])


def with_config(function: F) -> F:
    """Give a command ``-c FILE`` and ``--json``."""
    return config_option(json_option(function))


def load(config_file: Path | None, environ: Mapping[str, str] = os.environ) -> config.Config:
    """Return the configuration that ``-c`` names, or the first that is there. Raises ConfigError."""
    if config_file is not None:
        return config.load(config_file)
    if environ.get(NAMED_BY):
        return config.load(Path(environ[NAMED_BY]))
    for place in PLACES:
        if place.exists():
            return config.load(place)
    raise ConfigError(
        "There is no configuration: no -c FILE was given, and neither "
        f"{' nor '.join(str(place) for place in PLACES)} exists. Make one: appliance config example > appliance.yaml"
    )


def operator() -> str:
    """Return who asks, for the audit: the login name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container for one
        return str(os.getuid())


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].rstrip(".") + "."


def answer(content: Mapping[str, Any]) -> None:
    """Print ``content`` as JSON."""
    say(json.dumps(content, indent=2, ensure_ascii=False))


def say(text: str = "") -> None:
    """Print a line for a person. Bytes of a file's name that are no text stand as \\udcXX (PEP 383)."""
    click.echo(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def plain(text: object) -> str:
    """Return raw text from the network as it may be shown: no control characters that would steer a terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "") -> None:
    """Print a table; cells are plain text, whatever they hold; a tuple is a cell of several lines.

    The first column is never folded: people copy from it.
    """
    table = Table(title=title or None, title_justify="left", show_header=any(headings))
    for number, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=number == 0)
    for row in rows:
        table.add_row(*("\n".join(map(plain, cell if isinstance(cell, tuple) else (cell,))) for cell in row))
    # Without a terminal there is no width to keep to: ids stay whole, for grep and for copying.
    width = None if sys.stdout.isatty() else WIDE
    Console(markup=False, highlight=False, emoji=False, width=width).print(table)


def counted(number: int, what: str = "instance") -> str:
    """Return how many of what, as a person says it: ``1 instance``, ``2 instances``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def moment(seconds: float) -> str:
    """Return POSIX seconds as UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def age(seconds: float) -> str:
    """Return a duration in the unit that a person would use."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
