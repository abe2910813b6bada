"""operator and destination: who may decide on the status page, and what goes where, from the command line."""

import io
import json
import threading

import pytest

from appliance import config
from appliance.cli.main import main
from appliance.services.outside_operator import OutsideOperator
from appliance.services.reconciling import Reconciling
from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from appliance.watch.audit import last_lines
from appliance.watch.passwords import Passwords

PASSWORD = "correct horse battery"


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.yaml").write_text(
        "site: st-elsewhere\nstate: ./var\nwatch: {login: {passwords: ./operators}}\n"
        "destinations: [{name: research, folder: ./out}]\n"
    )
    return config.load(tmp_path / "site.yaml")


@pytest.fixture
def run(site, capsys):
    def call(*arguments):
        status = main([*arguments, "-c", str(site.file)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return call


@pytest.fixture
def outside(site):
    """What the forward service does with requests, in a thread."""
    stop, outbox = threading.Event(), Outbox(site.state / "outside")
    nobody = Reconciling(outbox, [], kept_s=0, clock=lambda: 0.0)
    operator = OutsideOperator(outbox, Requests(site.state / "requests"), {"research": None}, nobody)

    def work():
        while not stop.wait(0.02):
            operator.step()

    thread = threading.Thread(target=work)
    thread.start()
    yield
    stop.set()
    thread.join()
    outbox.close()


def test_an_operator_is_added_by_what_is_piped_in_and_removed_and_both_are_audited(site, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))

    assert run("operator", "add", "alice") == (0, "'alice' can log in to the status page with this password.\n")
    assert Passwords(site.watch.login.passwords).matches("alice", PASSWORD)
    assert run("operator", "list") == (0, "alice\n")
    assert run("operator", "remove", "alice") == (0, "'alice' cannot log in any more.\n")
    assert run("operator", "list")[1] == "Nobody can log in yet: appliance operator add NAME\n"

    audited = last_lines(site.state / "audit/audit.jsonl", 9)
    assert [(line["what"], line["about"]) for line in audited] == [
        ("operator added, or with a new password", "alice"),
        ("operator removed", "alice"),
    ]


def test_a_password_that_is_too_short_lets_nobody_in_and_says_why(site, run, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("short\n"))

    status, told = run("operator", "add", "alice")

    assert status == 1
    assert "12 to 256 characters; nothing was changed" in told
    assert not site.watch.login.passwords.exists()


def test_without_a_file_of_passwords_in_the_configuration_it_says_what_to_write(site, run):
    site.file.write_text(site.file.read_text().replace("watch: {login: {passwords: ./operators}}\n", ""))

    status, told = run("operator", "list")

    assert status == 1
    assert "Say watch.login.passwords" in told


def test_a_destination_is_paused_listed_and_resumed(run, outside):
    assert run("destination", "pause", "research")[0] == 0
    (found,) = json.loads(run("destination", "list", "--json")[1])["destinations"]
    assert found["paused_by"]
    assert "paused by" in run("destination", "list")[1]

    assert run("destination", "resume", "research") == (0, "'research' goes on: what waited is delivered.\n")
    (found,) = json.loads(run("destination", "list", "--json")[1])["destinations"]
    assert found["paused_by"] is None


def test_a_destination_that_is_not_there_is_refused_before_anything_is_asked(run):
    status, told = run("destination", "pause", "elsewhere")

    assert status == 1
    assert "There is no destination 'elsewhere'; nothing was changed. Known: research" in told


def test_a_study_of_which_nothing_was_delivered_is_not_replayed(run):
    status, told = run("replay", "--study", "2.25.1", "--yes")

    assert status == 1
    assert "Nothing of the study 2.25.1 was delivered whose original is still here; nothing was changed." in told
