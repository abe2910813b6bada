"""Recalls from the command line to the destination and back: what left is gone there, or who has to do what is said."""

import pytest

from appliance.cli import ask, mapping_refuse, recall
from appliance.lifecycle import State
from appliance.mapping.store import MappingStore
from appliance.reasons import Reason
from appliance.watch.audit import broken_at
from tests.peers.commanded import PATIENCE_S, Commanded
from tests.peers.fake_cloud import Act, FakeCloud
from tests.peers.orthanc import Orthanc

KEY = bytes.fromhex("5e" * 32)
OTHER_RULES = "rules: ./rules.yaml\n"


@pytest.fixture
def site(tmp_path, capsys, monkeypatch):
    for module in (ask, mapping_refuse, recall):
        monkeypatch.setattr(module, "WAIT_S", PATIENCE_S)
    made = []

    def make(destinations, more="", *, roles=("deidentify", "forward")):
        made.append(Commanded(tmp_path, capsys, destinations, more))
        made[-1].start(*roles)
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def cloud():
    with FakeCloud(keeps=True) as fake:
        yield fake


def url(cloud, kind="dicomweb"):
    return f"[{{name: research, url: '{cloud.dicomweb}', timeout_s: 5, recall: {{kind: {kind}}}}}]"


def pseudonym(site, number):
    with MappingStore(site.site.mapping_store, KEY) as store:
        return store.pseudonym_of("patient", "site", number)


def test_a_patient_is_taken_back_from_a_real_orthanc_and_nobody_else(site, tmp_path):
    with Orthanc(tmp_path / "orthanc") as orthanc:
        site = site(url(orthanc, "orthanc"))
        his = [site.arrive("P-1"), site.arrive("P-1")]
        hers = site.arrive("P-2")
        site.until_forwarded(*his, hers)
        target = pseudonym(site, "P-1")

        preview = site.json("recall", target)[1]
        assert orthanc.count() == 3
        status, told = site.json("recall", target, "--do", "--reason", "asked for by the patient")

        assert (status, told["recalls"], told["withdrawn"]) == (0, 2, 0)
        assert [(row["destination"], row["instances"]) for row in preview["left"]] == [("research", 2)]
        assert preview["how"] == {"research": "orthanc"}
        site.until_recalled("ABSENT", 2)
        assert set(orthanc.instances()) == {site.spool.trace(hers)[0].sop_instance}
        assert site.json("recall", target)[1]["left"][0]["recalled"] == 2
        [traced] = site.json("trace", his[0])[1]["instances"]
        assert [(each["destination"], each["state"]) for each in traced["recalls"]] == [("research", "ABSENT")]
        assert [each["state"] for each in traced["deliveries"]] == ["RECALLED"]


def test_what_wrong_rules_made_is_replaced_by_what_todays_rules_make_at_a_destination_that_keeps(site, tmp_path):
    (tmp_path / "rules.yaml").write_text("Keep: [InstitutionName]\n")
    with Orthanc(tmp_path / "orthanc") as orthanc:
        site = site(url(orthanc, "orthanc"), OTHER_RULES)
        spool_id = site.arrive("P-1", InstitutionName="Leaking Hospital")
        site.until_forwarded(spool_id)
        uid = site.spool.trace(spool_id)[0].sop_instance
        assert b"Leaking Hospital" in orthanc.file(uid)
        wrong = site.instance(spool_id).rules_digest
        refused = site.run("recall", wrong, "--do", "--reason", "leak", "--resend")
        (tmp_path / "rules.yaml").write_text("Keep: [SeriesDescription]\n")

        status, told = site.json("recall", wrong[:16], "--do", "--reason", "leak", "--resend")

        assert refused[0] == 1
        assert "rules of today" in refused[1]
        assert (status, told["kind"], told["recalls"], told["resent"]["done"]) == (0, "rules", 1, 1)
        site.until_forwarded(spool_id, round_=2)
        assert site.spool.trace(spool_id)[0].sop_instance == uid
        assert b"Leaking Hospital" not in orthanc.file(uid)
        assert site.outbox.recalls.counts() == {"research": {"ABSENT": 1}}


def test_files_are_removed_from_a_folder_and_what_waits_for_another_destination_is_withdrawn(site, cloud, tmp_path):
    cloud.stop()
    both = f"[{{name: shelf, folder: ./out}}, {url(cloud)[1:-1]}]"
    site = site(both)
    spool_id = site.arrive("P-1")
    site.until(lambda: list((tmp_path / "out").rglob("*.dcm")) != [])
    study = site.spool.trace(spool_id)[0].study

    status, told = site.json("recall", study, "--do", "--reason", "wrong patient")

    assert (status, told["kind"], told["withdrawn"]) == (0, "study", 1)
    site.until(lambda: list((tmp_path / "out").iterdir()) == [])
    site.until(lambda: site.instance(spool_id).reason == Reason.RECALLED.value)
    assert site.outbox.state(site.instance(spool_id).out) is State.REJECTED
    counts = site.json("queue")[1]
    assert counts["received"] == sum(counts["states"].values()) == 1


def test_a_recall_goes_on_when_the_destination_is_back_and_after_a_restart(site, cloud):
    site = site(url(cloud))
    spool_id = site.arrive("P-1")
    site.until_forwarded(spool_id)
    cloud.stop()
    study = site.spool.trace(spool_id)[0].study

    status, _ = site.json("recall", study, "--do", "--reason", "wrong patient")
    site.stop("forward")
    listed = site.run("recall", "--list")[1]
    cloud.start()
    site.start("forward")

    assert status == 0
    assert study in listed
    assert "REQUESTED" in listed
    site.until_recalled("ABSENT", 1)
    assert cloud.stored == {}
    assert site.run("recall", "--list")[1] == "Nothing is being taken back.\n"


def test_without_a_way_to_delete_it_is_said_who_has_to_and_the_image_stays_forwarded(site, cloud):
    site = site(url(cloud, "none"))
    spool_id = site.arrive("P-1")
    site.until_forwarded(spool_id)
    study = site.spool.trace(spool_id)[0].study

    preview = site.run("recall", study)[1]
    site.run("recall", study, "--do", "--reason", "wrong patient")
    site.until_recalled("IMPOSSIBLE", 1)

    assert "a person has to delete there" in preview
    listed = site.run("recall", study, "--list")[1]
    assert "not possible there: a person has to" in listed
    assert "1 that a person has to see to: appliance recall --list" in site.run("queue")[1]
    cloud.stored.clear()  # that person did
    site.run("recall", study, "--do", "--reason", "deleted by hand")
    site.until_recalled("ABSENT", 1)


def test_what_is_sent_again_by_the_modality_after_a_recall_is_no_duplicate(site, cloud):
    site = site(url(cloud))
    first = site.arrive("P-1", SOPInstanceUID="1.2.3.99")
    site.until_forwarded(first)
    site.run("recall", site.spool.trace(first)[0].study, "--do", "--reason", "wrong")
    site.until_recalled("ABSENT", 1)

    again = site.arrive("P-1", SOPInstanceUID="1.2.3.99")

    site.until_forwarded(again)
    assert len(cloud.stored) == 1


def test_it_is_audited_who_asked_and_why_and_what_became_of_it(site, cloud):
    site = site(url(cloud), roles=("deidentify", "forward", "watch"))
    spool_id = site.arrive("P-1")
    site.until_forwarded(spool_id)
    study = site.spool.trace(spool_id)[0].study

    unsaid = site.run("recall", study, "--do")
    site.run("recall", study, "--do", "--reason", "wrong patient")

    assert unsaid[0] == 1
    assert "--reason TEXT" in unsaid[1]
    site.until(lambda: any(line["what"] == "recall: confirmed absent" for line in site.audit()))
    asked, *became = [line for line in site.audit() if line["what"].startswith("recall")]
    assert (asked["what"], asked["about"], asked["reason"]) == ("recall", study, "wrong patient")
    assert became[-1]["about"] == f"{study} at research: 1"
    assert len({line["what"] for line in became}) == len(became)
    assert broken_at(site.site.state / "audit" / "audit.jsonl") is None


def test_an_opt_out_takes_back_what_left_already(site, cloud, tmp_path):
    site = site(url(cloud))
    spool_id = site.arrive("P-1")
    site.until_forwarded(spool_id)
    listed = tmp_path / "list.csv"
    listed.write_text("MRN\nP-1\n")

    told = site.run("mapping", "opt-out", str(listed))[1]
    status, recalled = site.json("mapping", "opt-out", str(listed), "--recall")

    assert "--recall" in told
    assert (status, recalled["recalled"]["recalls"]) == (0, 1)
    site.until_recalled("ABSENT", 1)
    assert cloud.stored == {}


def test_forgetting_takes_back_what_left_though_the_mapping_forgets_whose_it_was(site, cloud):
    site = site(url(cloud))
    spool_id = site.arrive("P-1")
    site.until_forwarded(spool_id)

    status, told = site.json("mapping", "forget", pseudonym(site, "P-1"), "--reason", "asked", "--yes", "--recall")

    assert (status, told["erased"], told["recalled"]["recalls"]) == (0, True, 1)
    site.until_recalled("ABSENT", 1)
    assert cloud.stored == {}


def test_nothing_is_recalled_by_a_word_that_names_nothing(site, cloud):
    site = site(url(cloud))
    site.until_forwarded(site.arrive("P-1"))

    for word in ("nobody", "1.2.3", "f" * 64, "%"):
        status, told = site.run("recall", word, "--do", "--reason", "x")
        assert (status, "nothing was changed" in told) == (1, True)
    assert site.run("recall")[0] == 1
    assert site.outbox.recalls.counts() == {}
    assert len(cloud.stored) == 1


def test_what_is_under_way_when_it_is_recalled_is_taken_back_after_it_arrived(site, cloud, monkeypatch):
    monkeypatch.setattr("appliance.spool.recalls.LOST_ANSWER_S", 0)
    cloud.answers(Act(before_s=1.0))
    site = site(url(cloud))
    spool_id = site.arrive("P-1")
    site.until(lambda: cloud.requests != [])

    status, told = site.json("recall", site.spool.trace(spool_id)[0].study, "--do", "--reason", "wrong patient")

    assert (status, told["recalls"], told["withdrawn"]) == (0, 1, 1)
    site.until_recalled("ABSENT", 1)
    assert cloud.stored == {}
    [traced] = site.json("trace", spool_id)[1]["instances"]
    assert [each["state"] for each in traced["deliveries"]] == ["RECALLED"]
