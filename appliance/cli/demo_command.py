"""``appliance demo`` as a command."""

from pathlib import Path

import click
from rich.console import Console

from appliance.cli.demo import demo


@click.command("demo")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("demo"),
    show_default=True,
    help="Where everything of the demo goes; made anew.",
)
@click.option("--once", is_flag=True, help="End after everything was shown.")
def command(folder: Path, once: bool) -> int:
    """Show the whole way on invented images: a scanner sends, a clinic drops, both arrive de-identified in Orthanc."""
    return demo(folder.absolute(), once=once, console=Console())
