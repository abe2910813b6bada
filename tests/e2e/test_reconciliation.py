"""What a destination lost is noticed and sent again, from the command line to a real Orthanc and back."""

import pytest

from appliance.cli import ask
from appliance.services import reconciling
from tests.peers.commanded import PATIENCE_S, Commanded
from tests.peers.fake_cloud import FakeCloud
from tests.peers.orthanc import Orthanc


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ask, "WAIT_S", PATIENCE_S)
    monkeypatch.setattr(reconciling, "SETTLED_S", 0.0)  # what was stored just now is asked for
    made = []

    def make(destinations, more=""):
        made.append(Commanded(tmp_path, capsys, destinations, more))
        made[-1].start("deidentify", "forward", "watch")
        return made[-1]

    yield make
    for each in made:
        each.close()


def state(site, destination="research"):
    counts = site.json("reconcile")[1]["counts"].get(destination, {})
    return {name: n for name, n in counts.items() if n}


def ask_now(site, destination="research"):
    """Have a whole round made."""
    before = site.json("reconcile")[1]["asked"].get(destination)
    status, _ = site.run("reconcile", destination, "--now")
    assert status == 0
    site.until(lambda: site.json("reconcile")[1]["asked"][destination] != before)


def test_an_image_that_a_real_orthanc_lost_is_sent_again_to_it_alone(site, tmp_path):
    with Orthanc(tmp_path / "orthanc") as orthanc, FakeCloud(keeps=True) as second:
        site = site(
            f"[{{name: research, url: '{orthanc.dicomweb}', timeout_s: 5}},"
            f" {{name: second, url: '{second.dicomweb}', timeout_s: 5}}]"
        )
        ids = [site.arrive("P-1"), site.arrive("P-1"), site.arrive("P-2")]
        site.until_forwarded(*ids)
        uids = [site.spool.trace(each)[0].sop_instance for each in ids]
        ask_now(site)
        assert state(site) == {}
        before = len(second.sent)

        orthanc.lose(uids[1])
        ask_now(site)
        assert state(site) == {"MISSING": 1}
        listed = site.run("reconcile")[1]
        ask_now(site)

        site.until(lambda: set(orthanc.instances()) == set(uids))
        site.until_forwarded(*ids)
        ask_now(site)
        assert state(site) == {"THERE": 1}
        assert "named as stored, and not there" in listed
        assert len(second.sent) == before
        counts = site.json("queue")[1]
        assert counts["received"] == sum(counts["states"].values()) == counts["states"]["FORWARDED"] == 3


def test_what_should_not_be_there_is_accepted_by_a_person_and_stands_in_the_audit(site):
    with FakeCloud(keeps=True) as cloud:
        site = site(f"[{{name: research, url: '{cloud.dicomweb}', timeout_s: 5}}]")
        site.until_forwarded(site.arrive("P-1"))
        cloud.stored.clear()
        ask_now(site)

        refused = site.run("reconcile", "research", "--accept")
        status, told = site.run("reconcile", "research", "--accept", "--yes")

        assert refused[0] == 1
        assert (status, told) == (0, "1 instance need not be there any more.\n")
        assert state(site) == {"ACCEPTED": 1}
        assert any("accept" in line["what"] and "research" in line["about"] for line in site.audit())


def test_a_destination_that_is_unknown_or_not_asked_is_told(site, tmp_path):
    site = site(f"[{{name: shelf, folder: {tmp_path / 'out'}}}]")

    unknown = site.run("reconcile", "elsewhere", "--now")
    folder = site.run("reconcile", "shelf", "--now")

    assert (unknown[0], "Known: shelf" in unknown[1]) == (1, True)
    assert (folder[0], "is a folder" in folder[1]) == (1, True)
    assert site.run("reconcile", "--accept", "--yes")[0] == 1
    assert site.run("reconcile", "--now")[0] == 0, "the timer at night, where nothing is asked, is no failure"


def test_the_timer_at_night_has_every_destination_asked(site):
    with FakeCloud(keeps=True) as first, FakeCloud(keeps=True) as second:
        site = site(
            f"[{{name: research, url: '{first.dicomweb}', timeout_s: 5}},"
            f" {{name: second, url: '{second.dicomweb}', timeout_s: 5}}]"
        )
        site.until_forwarded(site.arrive("P-1"))
        before = site.json("reconcile")[1]["asked"]

        status, told = site.run("reconcile", "--now")

        assert (status, told.startswith("Every destination with a url is being asked.")) == (0, True)
        site.until(lambda: all(at != before.get(name) for name, at in site.json("reconcile")[1]["asked"].items()))
        assert set(site.json("reconcile")[1]["asked"]) == {"research", "second"}
