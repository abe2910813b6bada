"""``appliance purge``: what is over its days goes now, and a side that does not answer is told."""

import json

import pytest

from appliance.cli import ask
from tests.peers.commanded import PATIENCE_S, Commanded


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ask, "WAIT_S", PATIENCE_S)
    site = Commanded(tmp_path, capsys, "[{name: shelf, folder: ./out}]", "retention: {originals_days: 0}\n")
    yield site
    site.close()


def test_what_is_over_its_days_goes_now_and_who_asked_stands_in_the_audit(site):
    site.start("deidentify", "forward", "purge")
    sent = site.arrive("P-1")
    site.until_forwarded(sent)
    site.until(lambda: site.spool.trace(sent)[0].outside == "FORWARDED")

    status, told = site.run("purge")

    assert (status, told.count("are being")) == (0, 2)
    site.until(lambda: not site.spool.original(sent).exists())
    assert [line["what"] for line in site.audit() if "purge" in line["what"]] == [
        "ask purge-inside: purge",
        "ask purge-outside: purge",
    ]


def test_a_side_that_does_not_run_is_named(site, monkeypatch):
    monkeypatch.setattr(ask, "WAIT_S", 0.1)

    status, told = site.run("purge")
    machine = json.loads(site.run("purge", "--json")[1])

    assert status == ask.PENDING
    assert "systemctl start appliance-purge-inside" in told
    assert "systemctl start appliance-purge-outside" in told
    assert machine == {"purge-inside": {"answered": False}, "purge-outside": {"answered": False}}
