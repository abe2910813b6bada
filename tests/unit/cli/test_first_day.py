"""What a person meets on the first day: mistakes on purpose, a terminal of 80 columns, a program that reads JSON."""

import errno
import io
import json
import re
import subprocess
import time

import click
import pytest
from rich.console import Console

from appliance.cli import checks, options
from appliance.cli.main import appliance, main
from appliance.spool import journal_view
from appliance.watch.published import Published
from tests.make.site import ID, configured, quarantined


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["queue", "-c", "nowhere.yaml"],
        ["config", "check", "-c", "nowhere.yaml"],
        ["trace", ID],
        ["quarantine", "show", ID],
        ["quarantine", "discard"],
        ["quarantine", "list", "--reason", "nonsense"],
        ["replay", "no-id"],
        ["source", "open", "nobody"],
    ],
    ids=" ".join,
)
def test_who_asks_for_json_gets_json_when_it_fails_too(arguments, site, monkeypatch, capsys):
    monkeypatch.setenv("APPLIANCE_CONFIG", str(site.file))

    status = main([*arguments, "--json"])

    told = capsys.readouterr()
    answer = json.loads(told.out)
    assert status == 1
    assert answer["ok"] is False
    assert answer["error"]


def test_a_person_is_told_once_and_on_standard_error(tmp_path, capsys):
    assert main(["queue", "-c", str(tmp_path / "nowhere.yaml")]) == 1

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("nowhere.yaml") == 1


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns; what is printed on it as lines."""
    screen = io.StringIO()

    def console(**_given):
        return Console(file=screen, width=80, markup=False, highlight=False, emoji=False)

    monkeypatch.setattr(options, "Console", console)
    return lambda: screen.getvalue().splitlines()


def test_an_id_stays_whole_on_a_terminal_of_80_columns(site, terminal, capsys):
    quarantined(site)

    assert main(["quarantine", "list", "-c", str(site.file)]) == 0

    lines = terminal()
    assert any(ID in line for line in lines)
    assert max(len(line) for line in lines) <= 80


def test_moments_stay_whole_on_a_terminal_of_80_columns(site, terminal, capsys):
    quarantined(site)

    assert main(["trace", ID, "-c", str(site.file)]) == 0

    told = "\n".join(terminal())
    moment = json_of(capsys, "trace", ID, "-c", str(site.file))["instances"][0]["history"][0]["at"]
    assert moment in told
    assert {"QUARANTINED", "no-patient-id"} <= set(told.split())  # whole words


def test_a_before_and_after_has_its_keyword_above_its_tag(terminal):
    options.show_table(("element", "before"), [(("PatientName", "(0010,0010)"), "A\nB")])

    lines = [line.strip("│ ").split("│")[0].strip() for line in terminal()]
    assert lines[3:5] == ["PatientName", "(0010,0010)"]
    assert "\N{REPLACEMENT CHARACTER}" in terminal()[3]


def test_a_table_of_names_and_values_has_no_empty_head(site, capsys):
    quarantined(site)

    main(["trace", ID, "-c", str(site.file)])

    assert "┃          ┃" not in capsys.readouterr().out


def test_the_queue_does_not_say_that_something_is_sent_while_nothing_sends(site, capsys):
    main(["queue", "-c", str(site.file)])
    stopped = capsys.readouterr().out
    Published(site.state / "outside" / "metrics", "forward", time.time).beat()
    main(["queue", "-c", str(site.file)])
    running = capsys.readouterr().out

    assert "no: the forward service does not run" in stopped
    assert "does not run" not in running
    assert json_of(capsys, "queue", "-c", str(site.file))["forwarding"] is True


@pytest.mark.parametrize("name", ["quarantine", "source", "config"])
def test_a_list_of_commands_is_not_cut_off(name, capsys):
    assert main([name, "--help"]) == 0

    told = capsys.readouterr().out
    group = appliance.get_command(click.Context(appliance), name)
    assert isinstance(group, click.Group)
    assert set(group.commands) <= set(told.split())
    assert "..." not in told.partition("Commands:")[2]


def test_a_clinic_s_folder_named_for_a_source_is_understood(tmp_path, capsys):
    site = configured(tmp_path, "inbox: {path: ./inbox, clinics: {clinic-a: {source: clinic_a}}}\n")

    assert main(["source", "show", "clinic-a", "-c", str(site.file)]) == 1

    assert "The clinic folder 'clinic-a' has the source 'clinic_a'." in capsys.readouterr().err


def test_config_check_finds_its_file_as_every_command_does(capsys):
    main(["config", "check", "--help"])
    told = " ".join(capsys.readouterr().out.split())

    assert "$APPLIANCE_CONFIG" in told


def json_of(capsys, *arguments):
    capsys.readouterr()
    main([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_doctor_goes_on_where_the_system_does_not_let_it_look(site, monkeypatch, capsys):
    def closed(_mapping):
        raise PermissionError(errno.EACCES, "Permission denied", str(site.mapping.key_file))

    monkeypatch.setattr(checks, "key_place", closed)

    found = json_of(capsys, "doctor", "-c", str(site.file))["checks"]

    (key,) = [each for each in found if each["check"] == "key"]
    assert key["severity"] == "warning"
    assert str(site.mapping.key_file) in key["what"]
    assert "destination research" in {each["check"] for each in found}


def test_the_command_that_makes_a_key_can_be_copied(site, capsys):
    site.mapping.key_file.unlink()

    found = json_of(capsys, "doctor", "-c", str(site.file))["checks"]
    (key,) = [each for each in found if each["check"] == "key"]
    command = re.search(r"\(umask .*?\)", key["do"])[0]
    subprocess.run(["sh", "-c", command], check=True)

    assert site.mapping.key_file.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(site.mapping.key_file.read_text())) == 32


def test_who_may_not_read_the_state_is_told_how_to_get_leave(site, monkeypatch, capsys):
    def closed(_database):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(journal_view.JournalView, "counts", closed)
    quarantined(site)

    assert main(["queue", "-c", str(site.file)]) == 1
    assert "Be a member of the group appliance-operators, or use sudo" in capsys.readouterr().err
