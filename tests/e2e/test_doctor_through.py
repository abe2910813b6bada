"""``appliance doctor --through``: a phantom takes the whole way, or it is said where it stands, why, and what to do."""

import json

import pytest

from appliance.cli import ask, checks, recall
from appliance.cli.main import main
from appliance.cli.phantom_made import NAME, PATIENT, WARD
from appliance.mapping.store import MappingStore
from appliance.watch.audit import broken_at
from tests.peers.commanded import PATIENCE_S, Commanded
from tests.peers.fake_cloud import FakeCloud, fails
from tests.peers.orthanc import Orthanc
from tests.peers.ports import free_port

KEY = bytes.fromhex("5e" * 32)
ALL = ("receive", "deidentify", "forward")


class House(Commanded):
    """The appliance with a receiver, and what doctor finds of the way through."""

    def begin(self, *roles):
        self.start(*roles)
        self.until(lambda: checks.beating(self.site) >= set(roles))

    def through(self, *more):
        """Return what doctor found of the way through: check, severity, what, do."""
        _, said = self.json("doctor", "--through", *more)
        return [
            (each["check"], each["severity"], each["what"], each["do"])
            for each in said["checks"]
            if each["check"].startswith("through")
        ]

    def json(self, *arguments):
        """With what is waited for left out: it is told on standard error."""
        status = main([*arguments, "--json", "-c", str(self.site.file)])
        told = self._capsys.readouterr()
        self.waited_for = told.err
        return status, json.loads(told.out)

    def states(self):
        return {state: n for state, n in self.json("queue")[1]["states"].items() if n}

    def known(self):
        """Entries of the mapping."""
        with MappingStore(self.site.mapping_store, KEY) as store:
            [(entries,)] = store.db.execute("SELECT (SELECT count(*) FROM mapped) + (SELECT count(*) FROM patient)")
            return entries


@pytest.fixture
def house(tmp_path, capsys, monkeypatch):
    for module in (ask, recall):
        monkeypatch.setattr(module, "WAIT_S", PATIENCE_S)
    monkeypatch.setattr(checks, "STARTING_S", 0.0)
    made = []

    def make(orthanc, more="", *, roles=ALL, recalled="orthanc", peers="any"):
        there = f"[{{name: research, url: '{orthanc.dicomweb}', timeout_s: 5, recall: {{kind: {recalled}}}}}]"
        scp = f"scp: {{host: 127.0.0.1, port: {free_port()}, ae_title: EDGE, peers: {peers}}}\n"
        made.append(House(tmp_path, capsys, there, scp + more))
        made[-1].begin(*roles)
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as there:
        yield there


@pytest.fixture
def orthanc(shared):
    shared.clear()
    return shared


def severities(found):
    return [(check, severity) for check, severity, _, _ in found]


def test_a_phantom_goes_the_whole_way_and_nothing_of_it_stays(house, orthanc, caplog):
    edge = house(orthanc)

    found = edge.through()

    fine = ["through", "through", "through research", "through put away"]
    assert severities(found) == [(check, "ok") for check in fine], found
    assert "holds none of the phantom's identifiers" in found[2][2]
    assert "waiting for research" in edge.waited_for or "waiting to be" in edge.waited_for
    assert orthanc.count() == 0
    assert edge.states() == {"FORWARDED": 1}
    assert edge.known() == 0
    assert edge.json("recall", "--list")[1]["recalls"] == []
    assert [line["what"] for line in edge.audit()] == ["doctor --through", "recall", "mapping erase"]
    assert broken_at(edge.site.state / "audit" / "audit.jsonl") is None
    assert not any(value in caplog.text for value in (PATIENT, NAME, WARD))


def test_what_the_rules_let_out_is_said(house, orthanc, tmp_path):
    (tmp_path / "rules.yaml").write_text("Keep: [InstitutionName]\n")

    found = house(orthanc, "rules: ./rules.yaml\n").through()

    assert severities(found)[2] == ("through research", "warning")
    assert "still holds the phantom's InstitutionName; nothing else" in found[2][2]


def test_where_nobody_deletes_for_us_it_stays_as_a_test_and_is_no_recall_that_stands_open(house, orthanc):
    edge = house(orthanc, recalled="none")

    found = edge.through()

    assert severities(found)[-1] == ("through put away", "ok")
    study = orthanc.tags(next(iter(orthanc.instances())))["StudyInstanceUID"]
    assert f"stays in research as a study of a test: study {study}" in found[-1][2]
    assert f"appliance recall {study}" in found[-1][3]
    assert edge.known() > 0
    assert edge.json("recall", "--list")[1]["recalls"] == []


def test_while_a_destination_is_down_it_says_where_the_phantom_waits_and_that_it_is_not_lost(house, orthanc):
    edge = house(orthanc)
    orthanc.stop()
    try:
        found = edge.through("--wait", "3")
    finally:
        orthanc.start()

    assert severities(found) == [("through", "ok"), ("through", "ok"), ("through research", "error")]
    assert "waits in outside/ready for research; it is not lost, and leaves by itself" in found[2][2]
    assert orthanc.dicomweb in found[2][2]
    edge.run("destination", "retry", "research")
    edge.until(lambda: orthanc.count() == 1)
    edge.until(lambda: edge.states() == {"FORWARDED": 1})


def test_while_a_destination_is_paused_it_says_so_and_how_it_goes_on(house, orthanc):
    edge = house(orthanc)
    edge.run("destination", "pause", "research")

    found = edge.through()

    assert severities(found)[-1] == ("through research", "warning")
    assert "paused research" in found[-1][2]
    assert found[-1][3] == "appliance destination resume research"


def test_a_rule_that_quarantines_it_is_named_and_nothing_is_left_waiting_for_a_person(house, orthanc, tmp_path):
    (tmp_path / "rules.yaml").write_text("Quarantine:\n- {Labels: ALL, Why: made for this test}\n")
    edge = house(orthanc, "rules: ./rules.yaml\n")

    found = edge.through()

    assert severities(found) == [("through", "ok"), ("through", "error"), ("through put away", "ok")], found
    assert "is QUARANTINED: rule." in found[1][2]
    assert "Nothing of it left." in found[1][2]
    assert found[1][3]
    assert edge.states() == {"DISCARDED": 1}
    assert orthanc.count() == 0


def test_a_source_whose_release_is_manual_says_how_it_is_opened(house, orthanc):
    found = house(orthanc, "release: manual\n").through()

    assert severities(found)[-1] == ("through research", "warning")
    assert "appliance source open unlisted" in found[-1][3]


def test_a_receiver_that_is_not_at_work_is_sent_nothing(house, orthanc):
    found = house(orthanc, roles=()).through()

    assert severities(found) == [("through", "error")]
    assert "not at work, so no phantom was sent" in found[0][2]


def test_without_the_de_identify_service_it_waits_and_says_which_service_to_start(house, orthanc):
    edge = house(orthanc, roles=("receive",))

    found = edge.through("--wait", "2")

    assert severities(found) == [("through", "ok"), ("through", "error")]
    assert "waits in received" in found[1][2]
    assert "systemctl start appliance-deidentify" in found[1][3]
    assert edge.states() == {"RECEIVED": 1}


def test_peers_that_let_nobody_in_from_here_say_what_to_add(house, orthanc):
    [(_, severity, what, do)] = house(
        orthanc, roles=("receive",), peers="[{ae_title: CT1, address: 192.0.2.7}]"
    ).through()

    assert (severity, "no phantom was sent" in what) == ("error", True)
    assert "Add to scp.peers: {ae_title: DOCTOR, address: 127.0.0.1, source: doctor}" in do


def test_as_a_peer_of_its_own_its_images_are_of_its_own_source(house, orthanc):
    listed = "[{ae_title: CT1}, {ae_title: DOCTOR, address: 127.0.0.1, source: doctor}]"

    found = house(orthanc, peers=listed).through()

    assert {severity for _, severity, _, _ in found} == {"ok"}, found
    assert "-doctor-" in found[1][2]


def test_a_destination_that_refuses_it_is_named_with_its_reason_and_nothing_is_left_waiting_for_a_person(house):
    with FakeCloud() as cloud:
        cloud.always(fails({0: 0xA900}, status=409))
        edge = house(cloud)

        found = edge.through()

    assert severities(found)[-2:] == [("through research", "error"), ("through put away", "ok")], found
    assert "research did not take" in found[-2][2]
    assert edge.states() == {"DISCARDED": 1}
