"""Duplicates, new versions and what a person decides: with a real Orthanc that keeps what it has, or replaces it."""

import getpass
import threading
from contextlib import contextmanager

import pytest
import requests

from tests.make import make, pictures
from tests.peers.appliance_process import Appliance
from tests.peers.caller import CT, EXPLICIT, Caller
from tests.peers.orthanc import Orthanc


class Site:
    """A modality, the appliance, an Orthanc."""

    def __init__(self, edge, orthanc):
        self.edge, self.orthanc, self.came = edge, orthanc, 0

    def store(self, *images):
        """C-STORE over one association; returns when nothing waits for a machine."""
        with Caller(self.edge.port) as caller:
            caller.request({number: (data.SOPClassUID, [EXPLICIT]) for number, data in _contexts(images).items()})
            for number, data in _contexts(images).items():
                assert caller.store(number, data.SOPClassUID, data.SOPInstanceUID, make.data_set(data)) == 0
        self.came += len(images)
        self.settle()

    def settle(self):
        self.edge.until_settled(self.came)

    def traces(self, data):
        return self.edge.trace(data.SOPInstanceUID)

    def stored(self, data):
        """The instance as Orthanc has it."""
        return pictures.read(self.orthanc.file(self.traces(data)[0]["sop_instance"]))


def _contexts(images):
    return {2 * number + 1: data for number, data in enumerate(images)}


@contextmanager
def site(folder, *, overwrite=False, existing="kept", **sections):
    with (
        Orthanc(folder / "orthanc", overwrite=overwrite) as orthanc,
        Appliance(
            folder / "edge", [{"name": "cloud", "url": orthanc.dicomweb, "existing": existing}], **sections
        ) as edge,
    ):  # fmt: skip
        yield Site(edge, orthanc)


@pytest.fixture(scope="module")
def keeping(tmp_path_factory):
    """Orthanc as it comes: it keeps what it has. Each test uses images of its own."""
    with site(tmp_path_factory.mktemp("keeping")) as made:
        yield made


@pytest.fixture(scope="module")
def replacing(tmp_path_factory):
    with site(tmp_path_factory.mktemp("replacing"), overwrite=True, existing="replaced") as made:
        yield made


def states(traces):
    return [(each["state"], each["reason"]) for each in traces]


# --- the same bytes again ---------------------------------------------------------------------------------------------


def test_a_duplicate_is_counted_traced_and_not_sent_again(keeping):
    image = make.ct(seed="twice")

    keeping.store(image)
    before = keeping.orthanc.count()
    keeping.store(image)

    first, second = keeping.traces(image)
    assert states([first, second]) == [("FORWARDED", ""), ("DISCARDED", "duplicate")]
    assert second["detail"] == f"Of {first['id']}."
    assert keeping.orthanc.count() == before


def test_duplicates_that_come_at_the_same_moment_are_found_too(keeping):
    images = [make.ct(seed="burst", number=number) for number in range(1, 5)]
    began = threading.Barrier(3)

    def send():
        with Caller(keeping.edge.port) as caller:
            caller.request({1: (CT, [EXPLICIT])})
            began.wait()
            for data in images:
                assert caller.store(1, CT, data.SOPInstanceUID, make.data_set(data)) == 0

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    keeping.came += 12
    keeping.settle()

    found = [sorted(states(keeping.traces(data))) for data in images]
    assert found == [[("DISCARDED", "duplicate")] * 2 + [("FORWARDED", "")]] * 4


def test_a_discarded_duplicate_can_be_sent_again_on_purpose(keeping):
    image = make.ct(seed="on purpose")
    keeping.store(image)
    keeping.store(image)
    second = keeping.traces(image)[1]

    assert keeping.edge.cli("quarantine", "release", second["id"]).returncode == 0
    keeping.settle()

    assert states(keeping.traces(image)) == [("FORWARDED", ""), ("FORWARDED", "")]


# --- a new version ----------------------------------------------------------------------------------------------------


def test_a_new_version_is_refused_where_the_destination_keeps_the_old_one_until_a_person_removes_that(keeping):
    old, new = make.ct(seed="kept", KVP="100"), make.ct(seed="kept", KVP="140")
    keeping.store(old)

    keeping.store(new)

    assert states(keeping.traces(new)) == [("FORWARDED", ""), ("REJECTED", "already-there-different")]
    assert keeping.stored(new).KVP == 100
    waiting = {each["reason"]: each["id"] for each in keeping.edge.waiting("--reason", "already-there-different")}
    shown = keeping.edge.ask("quarantine", "show", waiting["already-there-different"])
    assert "Delete the old one there" in shown["advice"]

    uid = keeping.traces(new)[0]["sop_instance"]
    requests.delete(f"{keeping.orthanc.root}/instances/{keeping.orthanc.instances()[uid]}", timeout=10)
    assert keeping.edge.cli("quarantine", "release", waiting["already-there-different"]).returncode == 0
    keeping.settle()

    assert states(keeping.traces(new)) == [("FORWARDED", ""), ("FORWARDED", "")]
    assert keeping.stored(new).KVP == 140


def test_a_new_version_replaces_the_old_one_where_the_destination_does_that(replacing):
    old, new = make.ct(seed="replaced", KVP="100"), make.ct(seed="replaced", KVP="140")
    replacing.store(old)

    replacing.store(new)

    assert states(replacing.traces(new)) == [("FORWARDED", ""), ("FORWARDED", "")]
    assert replacing.stored(new).KVP == 140


def test_versions_that_come_at_once_end_with_the_last(replacing):
    versions = [make.ct(seed="many", KVP=str(100 + number)) for number in range(8)]

    replacing.store(*versions)

    assert states(replacing.traces(versions[0])) == [("FORWARDED", "")] * 8
    assert replacing.stored(versions[0]).KVP == 107


# --- what a person decides --------------------------------------------------------------------------------------------


def test_an_accepted_reason_lets_these_bytes_leave_and_is_on_record(keeping):
    screen = make.ct(seed="accepted", Manufacturer="Made for P000123")
    keeping.store(screen)
    (before,) = keeping.traces(screen)
    assert states([before]) == [("QUARANTINED", "identifier-left")]

    assert keeping.edge.cli("quarantine", "release", before["id"]).returncode == 0  # by today's rules: kept again
    keeping.settle()
    assert states(keeping.traces(screen)) == [("QUARANTINED", "identifier-left")]
    released = keeping.edge.cli("quarantine", "release", before["id"], "--accept", "identifier-left")
    keeping.settle()

    (after,) = keeping.traces(screen)
    assert released.returncode == 0
    assert (after["state"], after["round"], after["accepted"]) == ("FORWARDED", 3, ["identifier-left"])
    assert [move["by"] for move in after["history"] if move["event"] == "released"] == [getpass.getuser()] * 2
    assert not list((keeping.edge.state / "inside" / "quarantine").glob(f"*/{before['id']}*"))


def test_what_cannot_be_accepted_is_refused_and_nothing_changes(keeping):
    nobody = make.ct(seed="nobody", PatientID="")
    keeping.store(nobody)
    (before,) = keeping.traces(nobody)

    ran = keeping.edge.cli("quarantine", "release", before["id"], "--accept", "no-patient-id")

    assert ran.returncode == 1
    assert "'no-patient-id' can't be accepted; nothing was changed." in ran.stderr
    assert keeping.traces(nobody) == [before]


def test_what_is_discarded_is_kept_for_a_while_and_can_come_back(keeping):
    nobody = make.ct(seed="discarded", PatientID="")
    keeping.store(nobody)
    (before,) = keeping.traces(nobody)

    assert keeping.edge.cli("quarantine", "discard", before["id"]).returncode == 0
    keeping.settle()
    assert states(keeping.traces(nobody)) == [("DISCARDED", "by-operator")]
    assert list((keeping.edge.state / "inside").glob(f"*/*/{before['id']}.dcm"))

    assert keeping.edge.cli("quarantine", "release", before["id"]).returncode == 0
    keeping.settle()
    assert states(keeping.traces(nobody)) == [("QUARANTINED", "no-patient-id")]


def test_a_replayed_image_leaves_again_under_the_same_pseudonyms(keeping):
    image = make.ct(seed="replayed")
    keeping.store(image)
    (before,) = keeping.traces(image)
    count = keeping.orthanc.count()

    assert keeping.edge.cli("replay", before["id"]).returncode == 0  # at once: it was shown as forwarded
    keeping.settle()

    (after,) = keeping.traces(image)
    assert (after["state"], after["round"]) == ("FORWARDED", 2)
    assert after["sop_instance"] == before["sop_instance"]
    assert after["out"] != before["out"]
    assert keeping.orthanc.count() == count


def test_a_whole_reason_is_released_at_once_only_when_that_is_confirmed(keeping):
    images = [make.mr(seed="bulk", number=number, Manufacturer="Made for P000123") for number in range(1, 4)]
    keeping.store(*images)

    words = ("quarantine", "release", "--reason", "identifier-left", "--accept", "identifier-left")
    unsure = keeping.edge.cli(*words)
    assert unsure.returncode == 1
    assert "say --yes to confirm" in unsure.stderr
    assert keeping.edge.cli(*words, "--yes").returncode == 0
    keeping.settle()

    assert [states(keeping.traces(data)) for data in images] == [[("FORWARDED", "")]] * 3


# --- release: manual --------------------------------------------------------------------------------------------------


def test_nothing_of_a_manual_source_leaves_before_a_person_opens_it_and_all_after(tmp_path):
    peers = [{"ae_title": "CT1", "source": "CT1", "release": "manual"}, {"ae_title": "SCU", "source": "CT2"}]
    with site(tmp_path, scp={"peers": peers}) as here:
        gated = [make.ct(seed="gated", number=number) for number in range(1, 4)]
        free = make.ct(seed="free")
        with Caller(here.edge.port) as caller:
            caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1")
            for data in gated:
                caller.store(1, CT, data.SOPInstanceUID, make.data_set(data))
        with Caller(here.edge.port) as caller:
            caller.request({1: (CT, [EXPLICIT])}, calling=b"SCU")
            caller.store(1, CT, free.SOPInstanceUID, make.data_set(free))

        here.edge.until_states(READY=3, FORWARDED=1)
        assert here.edge.stop() == 0  # a restart opens nothing
        here.edge.start()
        here.edge.until(here.edge.is_ready, "ready")
        (row,) = [each for each in here.edge.ask("source", "list")["sources"] if each["source"] == "CT1"]
        assert (row["release"], row["open"], row["waiting"]) == ("manual", False, 3)
        shown = here.edge.ask("source", "show", "CT1")["instances"]
        names = [change for each in shown for change in each["changes"] if change["keyword"] == "PatientName"]
        assert {change["before"] for change in names} == {"Invented^Ines"}
        assert "Invented" not in "".join(change["after"] for change in names)
        assert set(here.orthanc.instances()) == {here.traces(free)[0]["sop_instance"]}

        assert here.edge.cli("source", "open", "CT1").returncode == 0

        here.edge.until_states(FORWARDED=4)
        late = make.ct(seed="late")
        with Caller(here.edge.port) as caller:
            caller.request({1: (CT, [EXPLICIT])}, calling=b"CT1")
            caller.store(1, CT, late.SOPInstanceUID, make.data_set(late))
        here.edge.until_states(FORWARDED=5)
        assert here.orthanc.count() == 5
