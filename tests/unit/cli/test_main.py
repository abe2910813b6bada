import sys

import click
import pytest

from appliance import __version__
from appliance.cli.main import COMMANDS, appliance, main, tell_unexpected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_explains_itself(name, capsys):
    assert main([name, "--help"]) == 0
    assert "Usage: appliance " + name in capsys.readouterr().out


def test_the_help_lists_every_command(capsys):
    assert main(["--help"]) == 0

    told = capsys.readouterr().out
    assert [name for name in COMMANDS if name not in told] == []


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["queue", "--nonsense"], ["trace"], ["deidentify", "x"]])
def test_a_wrong_command_line_ends_with_1_because_2_has_another_meaning(arguments, capsys):
    assert main(arguments) == 1
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("name", ["queue", "doctor", "run"])
def test_without_a_configuration_every_command_says_how_to_get_one(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("APPLIANCE_CONFIG", raising=False)

    assert main([name]) in (1, 2)

    told = capsys.readouterr()
    assert "appliance config example > appliance.yaml" in told.out + told.err


def test_the_configuration_can_be_named_by_the_environment(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("APPLIANCE_CONFIG", str(tmp_path / "nowhere.yaml"))

    assert main(["queue"]) == 1
    assert "nowhere.yaml: cannot be read" in capsys.readouterr().err


def test_an_unexpected_error_is_told_by_class_and_place_without_its_words(capsys):
    try:
        int("MUSTERMANN^ERIKA")
    except ValueError:
        tell_unexpected(*sys.exc_info())

    told = capsys.readouterr().err
    assert "ValueError at test_main.py line" in told
    assert "MUSTERMANN" not in told
    assert "Traceback" not in told


def commands(group, context, path=()):
    """Every command that takes a configuration, by its words."""
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        if isinstance(found, click.Group):
            yield from commands(found, context, (*path, name))
        else:
            yield (*path, name), found


def test_every_command_takes_a_configuration_but_those_that_need_none_or_compare_two():
    without = {
        words for words, found in commands(appliance, click.Context(appliance)) if not has_option(found, "config_file")
    }

    assert without == {("demo",), ("config", "example"), ("config", "compare")}


def test_every_command_that_shows_or_asks_answers_programs_too():
    without = {
        words for words, found in commands(appliance, click.Context(appliance)) if not has_option(found, "as_json")
    }

    assert without == {("demo",), ("config", "example"), ("run",), ("deidentify",)}


def has_option(command, name):
    return any(parameter.name == name for parameter in command.params)
