"""queue, trace and quarantine list/show: what is shown of both sides' rows."""

import json
import time

import pytest

from appliance.cli.main import main
from appliance.model import Ready
from appliance.reasons import Reason
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from tests.make.site import ID, configured, quarantined, received

OTHER = ID[:-1] + "8"


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path)


@pytest.fixture
def run(site, capsys):
    """Run a command; return its status and what it printed."""

    def call(*arguments):
        status = main([*arguments, "-c", str(site.file)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return call


@pytest.fixture
def ask(site, capsys):
    """Run a command with --json; return the answer."""

    def call(*arguments):
        assert main([*arguments, "--json", "-c", str(site.file)]) == 0
        return json.loads(capsys.readouterr().out)

    return call


def test_the_queue_of_a_new_site_is_empty_and_shows_every_state_and_destination(ask):
    found = ask("queue")

    assert set(found["states"]) == {
        "RECEIVED",
        "HELD",
        "QUARANTINED",
        "DISCARDED",
        "READY",
        "FORWARDED",
        "REJECTED",
    }
    assert sum(found["states"].values()) == found["received"] == found["oldest_waiting_s"] == 0
    assert found["destinations"] == {"research": {"paused": False}}


def test_the_queue_counts_what_waits_and_for_how_long(site, ask):
    quarantined(site)
    received(site, OTHER)

    found = ask("queue")

    assert found["states"]["RECEIVED"] == found["states"]["QUARANTINED"] == 1
    assert found["received"] == 2
    assert 0 <= found["oldest_waiting_s"] < 60
    assert found["reasons"] == [{"state": "QUARANTINED", "reason": "no-patient-id", "count": 1}]


def test_the_queue_tells_a_person_whose_turn_it_is(site, run):
    quarantined(site)

    status, told = run("queue")

    assert status == 0
    assert "waits for a person: appliance quarantine list" in told


def test_a_trace_shows_the_way_by_id(site, ask):
    quarantined(site)

    (found,) = ask("trace", ID)["instances"]

    assert (found["state"], found["reason"], found["source"], found["peer"]) == (
        "QUARANTINED",
        "no-patient-id",
        "CT1",
        "10.1.2.3",
    )
    assert [move["state"] for move in found["history"]][-1] == "QUARANTINED"


def test_a_trace_finds_an_original_uid_and_does_not_repeat_it(site, run):
    quarantined(site)

    status, told = run("trace", "1.2.3.4")

    assert status == 0
    assert ID in told
    assert "1.2.3.4" not in told.replace("10.1.2.3", "")


def test_a_name_from_the_network_cannot_steer_the_terminal(site, run):
    received(site)

    assert "\x1b" not in run("trace", ID)[1]


def test_a_trace_of_what_is_not_here_says_where_ids_are_found(run):
    status, told = run("trace", ID)

    assert status == 1
    assert "appliance quarantine list" in told


def test_the_quarantine_lists_what_waits_with_what_to_do(site, ask):
    quarantined(site)
    quarantined(site, OTHER, Reason.BURNED_IN_RISK)

    found = ask("quarantine", "list")

    assert found["total"] == 2
    assert {each["id"]: each["reason"] for each in found["instances"]} == {
        ID: "no-patient-id",
        OTHER: "burned-in-risk",
    }
    assert "--accept burned-in-risk" in found["words"]["burned-in-risk"]["advice"]


def test_the_quarantine_can_be_listed_by_reason(site, ask):
    quarantined(site)
    quarantined(site, OTHER, Reason.BURNED_IN_RISK)

    found = ask("quarantine", "list", "--reason", "burned-in-risk")

    assert [each["id"] for each in found["instances"]] == [OTHER]


def test_the_list_for_a_person_keeps_ids_whole_and_says_what_to_do(site, run):
    quarantined(site)

    told = run("quarantine", "list")[1]

    assert ID in told
    assert Reason.NO_PATIENT_ID.words.advice in told


def test_an_empty_quarantine_says_so(run):
    assert run("quarantine", "list") == (0, "Nothing waits for a person.\n")


def test_showing_one_tells_why_where_its_file_is_and_the_commands_to_copy(site, ask):
    quarantined(site, reason=Reason.BURNED_IN_RISK)

    found = ask("quarantine", "show", ID)

    assert found["original"] == str(site.state / "inside" / "quarantine" / "burned-in-risk" / f"{ID}.dcm")
    assert f"'appliance quarantine release {ID} --accept burned-in-risk'" in found["advice"]
    assert found["detail"] == "(0010,0020) is empty."


def test_showing_what_does_not_wait_says_where_to_look(site, run):
    received(site)

    status, told = run("quarantine", "show", ID)

    assert status == 1
    assert f"appliance trace {ID}" in told


def test_a_source_list_shows_who_needs_leave(tmp_path, capsys):
    site = configured(
        tmp_path, "release: manual\nscp: {peers: [{ae_title: CT1}, {ae_title: MR1, release: automatic}]}\n"
    )

    main(["source", "list", "--json", "-c", str(site.file)])

    found = {each["source"]: each for each in json.loads(capsys.readouterr().out)["sources"]}
    assert (found["CT1"]["release"], found["CT1"]["open"]) == ("manual", False)
    assert (found["MR1"]["release"], found["MR1"]["open"]) == ("automatic", True)


def test_of_a_study_with_two_patient_ids_what_has_left_is_listed(site, run, ask):
    received(site)
    spool, outbox = Spool(site.state / "inside", reserve_bytes=0), Outbox(site.state / "outside")
    with outbox.making() as making:
        staged = making.folder / "x.dcm"
        staged.write_bytes(b"x")
        facts = dict.fromkeys(("sop_class", "series", "transfer_syntax", "digest", "rules_digest"), "")
        outbox.admit([(Ready("a" * 32, 1, sop_instance="2.25.8", study="2.25.7", size=1, source="CT1", project="main",
                             destinations=("research",), **facts), staged)])  # fmt: skip
    outbox.stored(outbox.claim("research", 9, 10**9, time.time(), set()), "research", time.time())
    (instance,) = spool.claim(1, time.time(), set())
    spool.quarantine(instance, Reason.TWO_PATIENT_IDS, "Study 2.25.7: 2 Patient IDs.", "", "2.25.7")
    spool.close(), outbox.close()

    shown, traced = ask("quarantine", "show", ID), ask("trace", ID)["instances"][0]

    assert [(row["study"], row["destination"], row["instances"]) for row in shown["left"]] == [
        ("2.25.7", "research", 1)
    ]
    assert traced["left"] == shown["left"]
    for command in (["quarantine", "show", ID], ["trace", ID]):
        assert "what has left already" in run(*command)[1]
    assert run("quarantine", "discard", "--reason", "two-patient-ids", "--study", "2.25.7", ID)[0] == 1
