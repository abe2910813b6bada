"""release, discard, replay and source open: asked by files, carried out by the service that owns the state."""

import json
import threading

import pytest

from appliance.cli import ask as asking
from appliance.cli.main import main
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.services.operator import Operator
from appliance.spool.inside import Spool
from appliance.spool.requests import Requests
from tests.make.site import ID, configured, quarantined

OTHER = ID[:-1] + "8"


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path)


@pytest.fixture
def service(site):
    """What the de-identify service does with requests, in a thread."""
    stop = threading.Event()
    spool = Spool(site.state / "inside", reserve_bytes=0)
    operator = Operator(spool, Requests(site.state / "requests"))

    def work():
        while not stop.wait(0.02):
            operator.step()

    thread = threading.Thread(target=work)
    thread.start()
    yield spool
    stop.set()
    thread.join()
    spool.close()


@pytest.fixture
def run(site, capsys):
    def call(*arguments):
        status = main([*arguments, "-c", str(site.file)])
        told = capsys.readouterr()
        return status, told.out + told.err

    return call


def state_of(spool, spool_id):
    return spool.trace(spool_id)[0].instance.state


def test_a_released_instance_is_processed_again_in_a_new_round(site, service, run):
    quarantined(site)

    status, told = run("quarantine", "release", ID)

    assert (status, told) == (0, "Processed again by today's rules: 1 instance.\n")
    instance = service.trace(ID)[0].instance
    assert (instance.state, instance.round) == (State.RECEIVED, 2)


def test_an_acceptance_travels_with_the_release_and_says_who(site, service, run):
    quarantined(site, reason=Reason.BURNED_IN_RISK)

    status, _ = run("quarantine", "release", ID, "--accept", "burned-in-risk")

    trace = service.trace(ID)[0]
    assert status == 0
    assert trace.instance.accepted == {"burned-in-risk"}
    assert trace.history[-1].by != ""


def test_all_that_wait_for_a_reason_are_released_at_once(site, service, run):
    quarantined(site)
    quarantined(site, OTHER)

    status, told = run("quarantine", "release", "--reason", "no-patient-id")

    assert (status, told) == (0, "Processed again by today's rules: 2 instances.\n")


def test_discarding_keeps_the_original_for_a_while_and_says_so(site, service, run):
    quarantined(site)

    status, told = run("quarantine", "discard", ID)

    assert status == 0
    assert "their originals stay for 7 days" in told
    assert state_of(service, ID) is State.DISCARDED


def test_discarding_by_reason_must_be_confirmed(site, service, run):
    quarantined(site)

    status, told = run("quarantine", "discard", "--reason", "no-patient-id")
    assert status == 1
    assert "Nothing was changed: say --yes" in told
    assert state_of(service, ID) is State.QUARANTINED

    status, _ = run("quarantine", "discard", "--reason", "no-patient-id", "--yes")
    assert status == 0
    assert state_of(service, ID) is State.DISCARDED


def test_what_cannot_be_done_is_told_for_each_instance_and_ends_with_1(site, service, run):
    quarantined(site)

    status, told = run("quarantine", "release", ID, OTHER)

    assert status == 1
    assert "Processed again by today's rules: 1 instance." in told
    assert f"Not {OTHER}: " in told


def test_a_program_gets_the_answer_as_json(site, service, capsys):
    quarantined(site)

    assert main(["quarantine", "release", ID, "--json", "-c", str(site.file)]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["answered"], found["done"]) == (True, 1)


def test_when_the_service_does_not_run_the_request_is_kept_and_that_is_said(site, run, monkeypatch):
    monkeypatch.setattr(asking, "WAIT_S", 0.1)
    quarantined(site)

    status, told = run("quarantine", "release", ID)

    assert status == asking.PENDING
    assert "is kept and will be carried out when it runs" in told
    (request,) = Requests(site.state / "requests").take("deidentify")
    assert (request.verb, request.args["ids"]) == ("release", [ID])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["quarantine", "release"], "Name ids, or a reason"),
        (["quarantine", "release", ID, "--reason", "rule"], "Name ids, or a reason"),
        (["quarantine", "release", "../../etc/passwd"], "is no spool id, so nothing was changed"),
        (["quarantine", "release", ID, "--accept", "malformed"], "'malformed' can't be accepted; nothing was changed"),
        (["quarantine", "discard", "MUSTERMANN"], "is no spool id"),
        (["replay"], "Name ids, or --study"),
        (["source", "open", "nowhere"], "is no source of this configuration; nothing was changed"),
        (["source", "open", "unlisted", "--project", "none"], "is no project of this configuration"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_asked(site, run, arguments, says):
    status, told = run(*arguments)

    assert status == 1
    assert says in told
    assert not list((site.state / "requests").glob("*/*")) if (site.state / "requests").exists() else True


def test_opening_a_source_asks_the_forward_service(site, run, monkeypatch):
    monkeypatch.setattr(asking, "WAIT_S", 0.1)

    run("source", "open", "unlisted")

    (request,) = Requests(site.state / "requests").take("forward")
    assert (request.verb, request.args["source"], request.args["project"]) == ("open", "unlisted", "main")
