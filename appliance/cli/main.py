"""``appliance``: the commands, and how each ends. Errors are told in words for hospital IT, never as a stack trace.

A command's module is imported when it is called: each service process holds only what it needs, and ``queue`` is there
at once.
"""

import json
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import cast

import click

from appliance import __version__
from appliance.errors import ApplianceError

FAILED = 1  # it could not be done; a wrong command line too, because 2 has a meaning for 'deidentify' and 'doctor'
INTERRUPTED = 130  # Ctrl-C, as shells have it

# command -> where it is, and one line for the list
COMMANDS = {
    "run": ("appliance.cli.run", "Run all services (development), or one."),
    "queue": ("appliance.cli.queue", "Show how many instances are in which state."),
    "trace": ("appliance.cli.trace", "Show one instance's way."),
    "report": ("appliance.cli.report", "Show what was done to an instance, or to all of a study, and why."),
    "quarantine": ("appliance.cli.quarantine", "List, show, release or discard what waits for a person."),
    "peers": ("appliance.cli.peers", "Explain what went wrong with senders lately."),
    "source": ("appliance.cli.source", "Open or close a source whose release is manual."),
    "destination": ("appliance.cli.destination", "Pause a destination by hand, let it go on, or try it at once."),
    "replay": ("appliance.cli.replay", "Process and deliver forwarded instances again."),
    "recall": ("appliance.cli.recall", "Take back what left: of a patient, a study, or wrong rules."),
    "reconcile": ("appliance.cli.reconcile", "Show what destinations named as stored and do not have; send it again."),
    "purge": ("appliance.cli.purge", "Let go at once of what is over its days."),
    "deidentify": ("appliance.cli.deidentify", "De-identify files and folders, without a daemon."),
    "mapping": ("appliance.cli.mapping", "Who is who: id lists, opt-outs, erasure, backup. For those who may."),
    "backup": ("appliance.cli.backup", "Back up everything but images, encrypted to the hospital's keys; put it back."),
    "operator": ("appliance.cli.operators", "Say who may log in to the status page."),
    "audit": ("appliance.cli.audit", "Who did and decided what, and whether the record is whole."),
    "rules": ("appliance.cli.rules", "Check rules, and see what they do to an instance."),
    "pixels": ("appliance.cli.pixels", "Draw an image before and after its pixels are cleaned."),
    "config": ("appliance.cli.configuration", "Check a configuration, or print an example."),
    "doctor": ("appliance.cli.doctor", "Examine this machine and say what is wrong and what to do."),
    "demo": ("appliance.cli.demo_command", "Show the whole way on invented images."),
}


class _Commands(click.Group):
    """The commands, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return cast(click.Command, import_module(COMMANDS[cmd_name][0]).command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"There is no command '{args[0]}'. Commands: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in COMMANDS.items()])


@click.command(cls=_Commands, name="appliance", context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="appliance")
def appliance() -> None:
    """An on-premises DICOM edge gateway: receives, keeps, de-identifies and forwards by STOW-RS."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 could not be done, others as the command says."""
    if arguments is None:  # as the program itself
        sys.excepthook = tell_unexpected
    try:
        status = appliance.main(
            args=None if arguments is None else list(arguments), prog_name="appliance", standalone_mode=False
        )
    except click.ClickException as error:
        error.show(sys.stderr)
        return _failed(error.format_message(), arguments)
    except ApplianceError as error:
        click.echo(f"appliance: {error}", err=True)
        return _failed(str(error), arguments)
    except OSError as error:
        click.echo(f"appliance: {_refused(error)}", err=True)
        return _failed(_refused(error), arguments)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    return status if isinstance(status, int) else 0


def tell_unexpected(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Tell what nobody expected by class and place: a stack trace shows values, and helps nobody in a hospital."""
    frames = traceback.extract_tb(trace)
    place = f"{Path(frames[-1].filename).name} line {frames[-1].lineno}" if frames else "an unknown place"
    click.echo(
        f"appliance: {kind.__name__} at {place}, which nobody expected. What was acknowledged before is kept. "
        "Keep this line for the developers, and the command that led to it.",
        err=True,
    )


def _failed(words: str, arguments: Sequence[str] | None) -> int:
    """Return the status; who asked for JSON gets it on standard output in this case too, as ``error``."""
    if "--json" in (sys.argv[1:] if arguments is None else arguments):
        click.echo(json.dumps({"ok": False, "error": words}, indent=2, ensure_ascii=False))
    return FAILED


def _refused(error: OSError) -> str:
    where = f" {error.filename}" if error.filename else ""
    return (
        f"the system refused{where}: {error.strerror or error}. No image was touched. Check the owner and mode of it."
    )
