"""Storage commitment between a real requestor and the receive service in a process of its own."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.crash.house import House
from tests.make.certificates import Authority
from tests.make.make import ct, file
from tests.peers.caller import CT, EXPLICIT, MR, Caller
from tests.peers.committed import Modality
from tests.peers.fake_cloud import FakeCloud
from tests.peers.orthanc import Orthanc
from tests.peers.patience import PATIENCE_S, until
from tests.peers.receive_process import ReceiveProcess

DATA = bytes.fromhex("08001600") + b"UI" + bytes(1000)


@pytest.fixture
def modality() -> Iterator[Modality]:
    with Modality() as running:
        yield running


@contextmanager
def receiving(folder: Path, modality: Modality, **commitment: object) -> Iterator[ReceiveProcess]:
    granted = {"promise": "in-custody", "host": "127.0.0.1", "port": modality.port, "timeout_s": 2, **commitment}
    peers = [{"ae_title": "CT1", "commitment": granted}, {"ae_title": "CT2"}]
    with ReceiveProcess(folder, scp={"peers": peers}) as edge:
        yield edge


def send(edge: ReceiveProcess, *uids: str) -> None:
    with Caller(edge.port) as caller:
        caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1")
        for uid in uids:
            assert caller.store(1, CT, uid, DATA) == 0
        caller.release()


def test_what_was_just_sent_is_committed_to_and_reported_on_an_association_of_our_own(tmp_path, modality):
    with receiving(tmp_path, modality) as edge:
        send(edge, "1.2.1", "1.2.2")

        assert modality.ask(edge.port, "9.1", [(CT, "1.2.1"), (CT, "1.2.2")]) == 0

        report = modality.report("9.1")
        assert until(lambda: modality.released), "our association was not ended as it should"
    assert (report.kind, report.committed, report.failed) == (1, ["1.2.1", "1.2.2"], {})
    assert (report.calling, report.called) == ("EDGE", "CT1"), "called back as it called us"


def test_what_is_not_here_and_what_is_here_as_another_class_is_named_with_its_reason(tmp_path, modality):
    with receiving(tmp_path, modality) as edge:
        send(edge, "1.2.1", "1.2.2")

        modality.ask(edge.port, "9.1", [(CT, "1.2.1"), (MR, "1.2.2"), (CT, "1.2.3")])

        report = modality.report("9.1")
    assert (report.kind, report.committed) == (2, ["1.2.1"])
    assert report.failed == {"1.2.2": 0x0119, "1.2.3": 0x0112}


def test_a_peer_that_is_promised_nothing_is_offered_no_commitment(tmp_path, modality):
    with receiving(tmp_path, modality) as edge, Modality(ae_title="CT2") as other:
        assert other.ask(edge.port, "9.1", [(CT, "1.2.1")]) is None


def test_an_unanswered_report_is_repeated_and_survives_kill_9(tmp_path, modality):
    modality.stop()
    with receiving(tmp_path, modality) as edge:
        send(edge, "1.2.1")
        assert modality.ask(edge.port, "9.1", [(CT, "1.2.1")]) == 0
        edge.kill()

        modality.start()
        edge.start()

        assert modality.report("9.1").committed == ["1.2.1"]


def test_a_refused_report_is_repeated(tmp_path, modality):
    modality.answers = [0x0110]
    with receiving(tmp_path, modality) as edge:
        send(edge, "1.2.1")
        modality.ask(edge.port, "9.1", [(CT, "1.2.1")])

        assert modality.report("9.1").committed == ["1.2.1"]
    assert modality.answers == []


def test_a_peer_that_leaves_the_roles_unanswered_gets_its_report(tmp_path):
    with Modality(takes_roles=False) as modality, receiving(tmp_path, modality) as edge:
        send(edge, "1.2.1")
        modality.ask(edge.port, "9.1", [(CT, "1.2.1")])

        assert modality.report("9.1").committed == ["1.2.1"]


def test_a_peer_that_wants_tls_gets_its_report_encrypted(tmp_path):
    hospital = Authority(tmp_path / "tls")
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=hospital.certificate)
    theirs.load_cert_chain(*hospital.sign("ct1"))
    theirs.verify_mode = ssl.CERT_REQUIRED
    certificate, key = hospital.sign("edge")
    files = {"port": 0, "certificate": str(certificate), "key": str(key), "client_ca": str(hospital.certificate)}
    with Modality(tls=theirs) as modality:
        granted = {"promise": "in-custody", "host": "127.0.0.1", "port": modality.port, "tls": True}
        scp = {"tls": files, "peers": [{"ae_title": "CT1", "commitment": granted}]}
        with ReceiveProcess(tmp_path / "edge", scp=scp) as edge:
            send(edge, "1.2.1")
            modality.ask(edge.port, "9.1", [(CT, "1.2.1")])

            assert modality.report("9.1").committed == ["1.2.1"]


def test_ten_thousand_instances_are_reported_in_one(tmp_path, modality):
    wanted = [(CT, f"1.2.826.0.1.3680043.8.498.{10**30 + number}") for number in range(10_000)]
    with receiving(tmp_path, modality) as edge:
        send(edge, wanted[0][1], wanted[-1][1])

        assert modality.ask(edge.port, "9.1", wanted) == 0

        report = modality.report("9.1")
    assert report.committed == [wanted[0][1], wanted[-1][1]]
    assert len(report.failed) == 9_998


def test_a_request_asked_twice_is_reported_twice_and_one_for_other_instances_is_refused(tmp_path, modality):
    with receiving(tmp_path, modality) as edge:
        send(edge, "1.2.1", "1.2.2")
        modality.ask(edge.port, "9.1", [(CT, "1.2.1")])
        modality.report("9.1")
        modality.reports.clear()

        assert modality.ask(edge.port, "9.1", [(CT, "1.2.1")]) == 0
        assert modality.report("9.1").committed == ["1.2.1"]
        assert modality.ask(edge.port, "9.1", [(CT, "1.2.2")]) == 0x0115


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"action": 2}, 0x0123),
        ({"TransactionUID": ""}, 0x0115),
        ({"ReferencedSOPSequence": []}, 0x0115),
    ],
)
def test_a_request_that_says_nothing_is_refused_and_nothing_is_reported(tmp_path, modality, changes, status):
    with receiving(tmp_path, modality) as edge:
        assert modality.ask(edge.port, "9.1", [(CT, "1.2.1")], **changes) == status


def test_delivered_is_reported_once_the_destination_has_it_and_not_before(tmp_path, modality):
    granted = {"promise": "delivered", "host": "127.0.0.1", "port": modality.port}
    with FakeCloud() as cloud, House(tmp_path, cloud) as house:
        house.configure(scp={**house.scp, "peers": [{"ae_title": "CT1", "commitment": granted}, {"ae_title": "SCU"}]})
        instance = house.another()
        house.start("receive")
        house.send([instance])
        uid = str(instance.SOPInstanceUID)

        assert modality.ask(house.port, "9.1", [(CT, uid)]) == 0
        with pytest.raises(AssertionError, match="no report"):
            modality.report("9.1", within_s=2)
        house.start("deidentify")
        house.start("forward")

        assert modality.report("9.1").committed == [uid]
        assert len(cloud.instances()) == 1


def test_orthanc_asks_and_is_told(tmp_path):
    """A real modality's side: it finds our report on its own port, under the transaction that it began."""
    with Orthanc(tmp_path / "orthanc") as orthanc:
        granted = {"promise": "in-custody", "host": "127.0.0.1", "port": orthanc.dicom_port}
        peers = [{"ae_title": orthanc.ae_title, "commitment": granted}]
        with ReceiveProcess(tmp_path / "edge", scp={"peers": peers}) as edge:
            here, elsewhere = (ct(size=8, SOPInstanceUID=uid) for uid in ("1.2.3.1", "1.2.3.2"))
            for each in (here, elsewhere):
                posted = requests.post(f"{orthanc.root}/instances", data=file(each), timeout=PATIENCE_S)
                posted.raise_for_status()
            edge_there = {"AET": "EDGE", "Host": "127.0.0.1", "Port": edge.port}
            requests.put(f"{orthanc.root}/modalities/edge", json=edge_there, timeout=PATIENCE_S).raise_for_status()
            only = orthanc.instances()["1.2.3.1"]
            requests.post(f"{orthanc.root}/modalities/edge/store", data=only, timeout=PATIENCE_S).raise_for_status()

            began = {uid: commitment_by(orthanc, uid) for uid in ("1.2.3.1", "1.2.3.2")}

            def status(uid: str) -> str:
                return str(orthanc.get(f"/storage-commitment/{began[uid]}")["Status"])

            assert until(lambda: "Pending" not in {status("1.2.3.1"), status("1.2.3.2")}, every_s=0.2), edge.log
            assert (status("1.2.3.1"), status("1.2.3.2")) == ("Success", "Failure")
            failed = orthanc.get(f"/storage-commitment/{began['1.2.3.2']}")["Failures"]
            assert [(each["SOPInstanceUID"], each["FailureReason"]) for each in failed] == [("1.2.3.2", 0x0112)]


def commitment_by(orthanc: Orthanc, uid: str) -> str:
    body = {"DicomInstances": [{"SOPClassUID": CT, "SOPInstanceUID": uid}]}
    answer = requests.post(f"{orthanc.root}/modalities/edge/storage-commitment", json=body, timeout=PATIENCE_S)
    answer.raise_for_status()
    return str(answer.json()["ID"])
