"""What operators decide stands in the audit, and the audit can be shown and checked."""

import json

import pytest

from appliance.cli import ask as asking
from appliance.cli import main
from appliance.watch.audit import last_lines

ID = "20261120T181522123Z-CT1-k7f3q9"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(asking, "WAIT_S", 0.05)  # nobody runs who would answer
    (tmp_path / "site.yaml").write_text(
        "site: st-elsewhere\nstate: ./var\nrelease: manual\ndestinations: [{name: research, folder: ./out}]\n"
        "scp: {peers: [{ae_title: CT1}]}\n"
    )
    return tmp_path


def run(site, *words):
    name, *rest = words
    return main([*([name] if name == "replay" else [name, rest.pop(0)]), "-c", str(site / "site.yaml"), *rest])


def lines(site):
    return last_lines(site / "var" / "audit" / "audit.jsonl", 100)


@pytest.mark.parametrize(
    ("words", "what", "about"),
    [
        (("quarantine", "release", ID), "ask deidentify: release", ID),
        (
            ("quarantine", "release", "--reason", "document", "--accept", "document", "--yes"),
            "ask deidentify: release",
            "reason document, accept document",
        ),
        (("quarantine", "discard", ID), "ask deidentify: discard", ID),
        (("replay", ID), "ask deidentify: replay", ID),
        (("source", "open", "CT1"), "ask forward: open", "source CT1"),
        (("source", "close", "CT1"), "ask forward: close", "source CT1"),
    ],
)
def test_every_decision_of_a_person_is_audited_before_it_is_asked(site, capsys, words, what, about):
    run(site, *words)

    (line,) = lines(site)
    assert line["what"] == what
    assert line["about"].startswith(about)
    assert line["who"]


def test_many_ids_are_counted_and_not_listed(site, capsys):
    run(site, "replay", *[ID[:-1] + letter for letter in "abcdefgh"])

    assert lines(site)[0]["about"] == "8 instances"


def test_what_could_not_be_audited_is_not_asked(site, capsys):
    (site / "var").mkdir()
    (site / "var" / "audit").write_text("no folder")

    assert run(site, "replay", ID) == 1

    assert not list((site / "var").glob("requests/deidentify/*.json"))


def test_the_audit_is_shown_and_found_whole_or_broken(site, capsys):
    run(site, "replay", ID)
    run(site, "quarantine", "discard", ID)
    capsys.readouterr()

    assert run(site, "audit", "show", "--json") == 0
    assert [line["what"] for line in json.loads(capsys.readouterr().out)["lines"]] == [
        "ask deidentify: replay",
        "ask deidentify: discard",
    ]
    assert run(site, "audit", "check") == 0
    assert "2 lines" in capsys.readouterr().out
    file = site / "var" / "audit" / "audit.jsonl"
    file.write_text(file.read_text().replace("replay", "nothing"))
    assert run(site, "audit", "check") == 2
    assert "broken at line 1 of 2" in capsys.readouterr().out


def test_without_an_audit_it_says_where_it_looked(site, capsys):
    assert run(site, "audit", "show") == 1

    assert "There is no audit at" in capsys.readouterr().err
