"""Audit messages of a running appliance at a real rsyslog over TLS: whole, by the schema, whoever is killed."""

import base64
import os
import signal
from collections import Counter

import pytest

from appliance.watch.audit import Audit
from tests.make import make
from tests.make.audit_schema import valid
from tests.make.certificates import Authority
from tests.peers.appliance_process import Appliance
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.rsyslog import Rsyslog
from tests.peers.running import Running

BOM = "\ufeff"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ca")


@pytest.fixture
def receiver(tmp_path, authority):
    with Rsyslog(tmp_path / "rsyslog", tls=authority.sign("receiver"), ca=authority.certificate, clients=True) as found:
        yield found


@pytest.fixture
def watch(tmp_path, authority, receiver):
    """The watch service, told to tell the receiver; not started."""
    certificate, key = authority.sign("edge")
    running = Running(
        tmp_path,
        "watch",
        more=f"audit: {{syslog: {{host: 127.0.0.1, port: {receiver.port}, ca: {authority.certificate},"
        f" certificate: {certificate}, key: {key}, source_id: edge-1}}}}\n",
    )
    try:
        yield running
    finally:
        running.end()


def descriptions(receiver):
    """Return the descriptions of the alerts that arrived, in order; every message is held against the schema."""
    found = []
    for each in receiver.messages():
        assert each["msg"].startswith(BOM)
        root = valid(each["msg"].removeprefix(BOM))
        detail = root.find(".//ParticipantObjectDetail[@type='Alert Description']")
        found.append(
            root.find(".//EventTypeCode").get("originalText")
            if detail is None
            else base64.b64decode(detail.get("value")).decode()
        )
    return found


def test_a_receiver_gets_each_message_whole_with_the_fields_of_the_standards(watch, receiver):
    watch.start()
    watch.wait_until(lambda: "Application Start" in descriptions(receiver))
    Audit(watch.site.state / "audit").write(who="änne", what="mapping reidentify", about="P-1", reason="Mustermann")
    watch.wait_until(lambda: "mapping reidentify: P-1" in descriptions(receiver))
    watch.process.send_signal(signal.SIGTERM)
    watch.wait_until(lambda: "Application Stop" in descriptions(receiver))

    [message] = [each for each in receiver.messages() if "nne" in each["msg"]]
    assert {name: message[name] for name in ("pri", "protocol-version", "app-name", "procid", "msgid")} == {
        "pri": "85",
        "protocol-version": "1",
        "app-name": "appliance",
        "procid": "-",
        "msgid": "DICOM+RFC3881",
    }
    source = valid(message["msg"].removeprefix(BOM)).find("AuditSourceIdentification")
    assert source.get("AuditSourceID") == "edge-1"
    assert "Mustermann" not in "".join(each["msg"] for each in receiver.messages())


def test_what_was_decided_while_the_receiver_was_down_arrives_when_it_is_back(watch, receiver):
    watch.start()
    watch.wait_until(lambda: "Application Start" in descriptions(receiver))
    audit = Audit(watch.site.state / "audit")

    receiver.kill()
    for number in range(20):
        audit.write(who="anna", what="discard", about=str(number))
    watch.wait_until(
        lambda: any(line.get("event") == "audit messages wait; they are told later" for line in watch.lines())
    )
    receiver.start()

    watch.wait_until(lambda: "discard: 19" in descriptions(receiver))
    assert [words for words in descriptions(receiver) if words.startswith("discard")] == [
        f"discard: {number}" for number in range(20)
    ]


def test_whoever_is_killed_while_messages_are_told_none_is_lost(watch, receiver):
    audit = Audit(watch.site.state / "audit")
    watch.start()
    watch.wait_until(lambda: "Application Start" in descriptions(receiver))

    for number in range(300):
        audit.write(who="anna", what="discard", about=str(number))
        if number % 60 == 30:
            os.killpg(watch.process.pid, signal.SIGKILL)
            watch.process.wait()
            watch.start()
        if number % 100 == 50:
            receiver.kill()
            receiver.start()

    watch.wait_until(lambda: "discard: 299" in descriptions(receiver))
    told = Counter(words for words in descriptions(receiver) if words.startswith("discard"))
    assert set(told) == {f"discard: {number}" for number in range(300)}


def transfers(receiver):
    """Return event -> study -> instances told, and the texts of these messages."""
    counted, texts = {"110104": Counter(), "110106": Counter()}, []
    for each in receiver.messages():
        root = valid(each["msg"].removeprefix(BOM))
        event = root.find(".//EventID").get("csd-code")
        if event in counted:
            study = root.find("ParticipantObjectIdentification").get("ParticipantObjectID")
            counted[event][study] += sum(int(c.get("NumberOfInstances")) for c in root.iter("SOPClass"))
            texts.append(each["msg"])
    return counted, texts


def test_what_is_received_and_what_leaves_is_told_by_its_new_study_with_counts_and_without_a_name(
    tmp_path, authority, receiver
):
    images = [make.ct(seed=5, number=number, patient="Mustermann^Erika") for number in range(1, 13)]
    certificate, key = authority.sign("edge")
    syslog = {"host": "127.0.0.1", "port": receiver.port, "ca": str(authority.certificate), "gather_s": 1}
    syslog |= {"certificate": str(certificate), "key": str(key)}
    shelf = [{"name": "shelf", "folder": str(tmp_path / "shelf")}, {"name": "other", "folder": str(tmp_path / "other")}]

    peers = {"peers": [{"ae_title": "SCU", "source": "CT1"}]}

    with Appliance(tmp_path / "edge", shelf, audit={"syslog": syslog}, scp=peers) as edge:
        with Caller(edge.port) as stranger:
            stranger.request({1: (CT, [EXPLICIT])}, calling=b"MALLORY")
        with Caller(edge.port) as caller:
            caller.request({1: (CT, [EXPLICIT])})
            for each in images:
                assert caller.store(1, CT, each.SOPInstanceUID, make.data_set(each)) == 0
        edge.until_settled(12)
        [watch] = edge.processes("watch")
        os.kill(watch, signal.SIGKILL)
        edge.until(lambda: sum(transfers(receiver)[0]["110106"].values()) >= 24, "told")
        edge.until(lambda: sum(transfers(receiver)[0]["110104"].values()) >= 12, "told")
        edge.until(lambda: any("Node Authentication" in each["msg"] for each in receiver.messages()), "told")
        study = edge.trace(images[0].SOPInstanceUID)[0]["study"]

    counted, texts = transfers(receiver)
    assert set(counted["110104"]) == set(counted["110106"]) == {study}
    for identifier in (str(images[0].PatientID), "Mustermann", *(str(each.SOPInstanceUID) for each in images)):
        assert identifier not in "".join(texts)
    assert images[0].StudyInstanceUID not in "".join(texts)


def test_a_receiver_with_a_certificate_of_another_authority_is_told_nothing_and_that_is_said(watch, receiver, tmp_path):
    stranger = Authority(tmp_path / "stranger")
    text = watch.site.file.read_text()
    watch.site.file.write_text(text.replace(f"ca: {tmp_path}/ca/ca.pem", f"ca: {stranger.certificate}"))

    watch.start()

    watch.wait_until(lambda: any(line.get("why") == "not-trusted" for line in watch.lines()))
    assert receiver.messages() == []
