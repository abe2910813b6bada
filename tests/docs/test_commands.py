"""What documents, reasons and messages tell people to type exists."""

import ast
import re
from pathlib import Path

import click
import pytest

from appliance.cli.main import appliance
from appliance.reasons import Reason

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("[!.]*/README.md"))]

# Told already, and built by a later issue. An entry that exists by now must go.
PLANNED: set[str] = set()

_COMMAND = re.compile(r"(?<![\w/.-])appliance ([a-z]+)(?: ([a-z]+(?:-[a-z]+)*))?")
_TARGET = re.compile(r"`make ([a-z]+)|^\$? *make ([a-z]+)", re.MULTILINE)


def commands():
    """Every command as a tuple of words."""
    context = click.Context(appliance)
    for name in appliance.list_commands(context):
        found = appliance.get_command(context, name)
        yield (name,)
        if isinstance(found, click.Group):
            yield from ((name, sub) for sub in found.list_commands(context))


COMMANDS = set(commands())
GROUPS = {words[0] for words in COMMANDS if len(words) == 2}


def quoted(text):
    """The code in a Markdown text: what stands in backquotes or in a fenced block."""
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.DOTALL))


def unknown(text):
    """Commands in ``text`` that there are not."""
    for name, sub in _COMMAND.findall(text):
        if name in PLANNED:
            continue
        if (name,) not in COMMANDS:
            yield name
        elif name in GROUPS and sub and (name, sub) not in COMMANDS:
            yield f"{name} {sub}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_a_document_shows_exists(document):
    assert list(unknown(quoted(document.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_a_document_shows_exists(document):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for pair in _TARGET.findall(quoted(document.read_text(encoding="utf-8"))) for name in pair if name}

    assert named - targets == set()


@pytest.mark.parametrize("reason", Reason)
def test_every_command_that_a_reason_advises_exists(reason):
    assert list(unknown("\n".join(re.findall(r"'([^']*)'", reason.words.advice)))) == []


@pytest.mark.parametrize("file", sorted((ROOT / "appliance").rglob("*.py")), ids=lambda path: path.name)
def test_every_command_that_a_message_advises_exists(file):
    strings = [
        node.value
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    advised = "\n".join(found for text in strings for found in re.findall(r"'(appliance [a-z][^']*)'", text))

    assert list(unknown(advised)) == []


def test_what_is_planned_is_not_there_yet():
    assert {name for name in PLANNED if (name,) in COMMANDS} == set()


def test_the_promised_commands_are_there():
    promised = {"run", "queue", "trace", "quarantine", "deidentify", "config", "doctor", "demo"}
    assert promised <= {words[0] for words in COMMANDS}
    assert {("quarantine", sub) for sub in ("list", "show", "release", "discard")} <= COMMANDS
    assert {("config", "check"), ("config", "example")} <= COMMANDS


def test_an_unknown_command_is_seen():
    """The test must be able to fail."""
    assert list(unknown("appliance nonsense")) == ["nonsense"]
    assert list(unknown("appliance quarantine nonsense")) == ["quarantine nonsense"]
