"""CONFORMANCE.md says what the program does."""

import subprocess
import sys
from pathlib import Path

import pytest

from appliance.intake import associate
from appliance.intake.sop_classes import APPLICATION_CONTEXT, VERIFICATION
from tools import conformance

ROOT = Path(__file__).resolve().parents[2]
STATEMENT = (ROOT / "CONFORMANCE.md").read_text(encoding="utf-8")
CT, PRIVATE, FIND = "1.2.840.10008.5.1.4.1.1.2", "1.3.46.670589.5.0.1", "1.2.840.10008.5.1.4.1.2.2.1"


@pytest.fixture(scope="module")
def remade(tmp_path_factory):
    """Each table as the program makes it now: of a statement whose tables were spoilt."""
    spoilt = tmp_path_factory.mktemp("statement") / "CONFORMANCE.md"
    spoilt.write_text(STATEMENT.replace("| A700H |", "| A701H |"), encoding="utf-8")
    command = [sys.executable, "-m", "tools.conformance", str(spoilt), "--print"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return dict(conformance.tables_in(made))


@pytest.mark.parametrize("name", conformance.TABLES)
def test_every_table_of_the_statement_is_the_program_s(name, remade):
    (found,) = [table for its_name, table in conformance.tables_in(STATEMENT) if its_name == name]

    assert found == remade[name], "Run: python tools/conformance.py CONFORMANCE.md"


def test_the_policy_for_presentation_contexts_is_what_is_negotiated():
    syntaxes = ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2")
    proposals = [
        associate.Proposal(1, VERIFICATION, syntaxes),
        associate.Proposal(3, CT, syntaxes),
        associate.Proposal(5, PRIVATE, ("1.2.3.4.5", *syntaxes)),
        associate.Proposal(7, FIND, syntaxes),
        associate.Proposal(9, CT, ("no uid",)),
        associate.Proposal(11, CT + ".1", syntaxes),
    ]
    request = associate.Request(
        "EDGE", "CT1", bytes(32), 1, APPLICATION_CONTEXT, tuple(proposals), roles={CT + ".1": (False, True)}
    )

    answers = associate.negotiate(request)

    assert [(each.result, each.transfer_syntax) for each in answers[:3]] == [
        (0, syntaxes[0]),
        (0, syntaxes[0]),
        (0, "1.2.3.4.5"),
    ]
    assert [each.result for each in answers[3:]] == [3, 4, 1]
    assert {each.result for each in answers} == {number for number, _, _ in conformance._CONTEXT_RESULTS}


def test_the_readme_leads_to_the_statement():
    assert "CONFORMANCE.md" in (ROOT / "README.md").read_text(encoding="utf-8")
