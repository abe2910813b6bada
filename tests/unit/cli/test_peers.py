"""'appliance peers' tells hospital IT and the vendor what to change."""

import json
import re

import pytest

from appliance.cli import main
from appliance.intake.callers import Callers
from appliance.intake.troubles import Trouble


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site.yaml").write_text(
        "site: st-elsewhere\nstate: ./var\ndestinations: [{name: research, folder: ./out}]\n"
        "scp: {ae_title: EDGE, peers: [{ae_title: CT1, address: 10.1.2.3},"
        " {ae_title: MR_NORTH, address: 10.1.3.0/24}]}\n"
    )
    return tmp_path


def peers(site, *options):
    return main(["peers", "-c", str(site / "site.yaml"), *options])


def remember(site, *failures, now=1_800_000_000.0):
    callers = Callers(site / "var" / "inside" / "metrics" / "callers.json", clock=lambda: now)
    for address, calling, trouble, called in failures:
        callers.failed(address, calling, trouble, called=called)
    callers.save()
    return callers


@pytest.mark.parametrize(
    ("address", "calling", "hint"),
    [
        ("10.1.2.9", "CT1", "'CT1' is listed for 10.1.2.3/32, and called from 10.1.2.9."),
        ("10.1.2.3", "SIEMENS", "It calls itself 'SIEMENS'; listed is 'CT1'."),
        ("10.1.3.7", "MR-North", "It calls itself 'MR-North'; listed is 'MR_NORTH'."),
    ],
)
def test_a_sender_that_is_not_listed_is_told_what_was_probably_meant(site, capsys, address, calling, hint):
    remember(site, (address, calling, Trouble.UNKNOWN_CALLER, "EDGE"))

    assert peers(site, "--json") == 0

    (sender,) = json.loads(capsys.readouterr().out)["senders"]
    assert sender["failures"][0]["do"].startswith(hint)


def test_a_stranger_is_not_told_who_is_listed_at_random(site, capsys):
    remember(site, ("192.168.7.7", "ZZZZZZ", Trouble.UNKNOWN_CALLER, "EDGE"))

    peers(site)

    shown = capsys.readouterr().out
    assert "CT1" not in shown
    assert "Add the sender under scp.peers" in shown


def test_a_wrong_called_title_is_told_with_the_right_one(site, capsys):
    remember(site, ("10.1.2.3", "CT1", Trouble.UNKNOWN_CALLED, "ARCHIVE"))

    peers(site)

    assert re.search(r"It called 'ARCHIVE'; this receiver is 'EDGE'\.", capsys.readouterr().out)


def test_the_latest_comes_first_and_whether_it_works_again_is_said(site, capsys):
    remember(site, ("10.1.2.3", "CT1", Trouble.BROKE_OFF, ""))
    callers = remember(site, ("10.1.3.4", "MR_NORTH", Trouble.SILENT, ""), now=1_800_000_100.0)
    callers.worked("10.1.3.4", "MR_NORTH")
    callers._next = 0.0
    callers.save()

    peers(site)

    shown = capsys.readouterr().out
    assert shown.index("MR_NORTH") < shown.index("'CT1'")
    assert "'CT1' at 10.1.2.3 (never worked)" in shown
    assert "2027-01-15T08:00:00+00:00  broke-off" in shown


def test_without_any_trouble_it_says_so(site, capsys):
    assert peers(site) == 0

    assert "No association failed lately" in capsys.readouterr().out
