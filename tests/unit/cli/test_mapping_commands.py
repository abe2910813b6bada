"""``appliance mapping``: lists, the way back, erasure and backups, beside a de-identify service that runs."""

import csv
import json
import os
import stat
import threading
import time
from pathlib import Path

import pyrage
import pytest

from appliance import config
from appliance.cli import ask, audited, mapping_refuse, trusted
from appliance.cli.main import main
from appliance.lifecycle import State
from appliance.mapping.csv_list import read_list
from appliance.mapping.id_list import import_list
from appliance.mapping.place import Place
from appliance.mapping.store import MappingStore
from appliance.model import Provenance
from appliance.reasons import Reason
from appliance.services.deidentify import Deidentify
from appliance.services.outside_operator import OutsideOperator
from appliance.services.reconciling import Reconciling
from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox
from appliance.spool.requests import Requests
from appliance.watch.audit import broken_at
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured
from tests.peers.patience import PATIENCE_S, until

KEY = bytes.fromhex("5e" * 32)
PLACE = Place("site", "", {"site"}, ("",), (), "st-elsewhere")
HOLD = "deidentify: {workers: 1}\nprojects: {trial-9: {called: [TRIAL], own_pseudonyms: true}}\n"


class Silent:
    def deidentified(self, source): ...

    def withheld(self, source, reason): ...

    def mixed_study(self, source): ...

    def reports_waiting(self, count): ...


class House:
    """A site with its services, and the command line."""

    def __init__(self, folder, capsys, *, missing="mint", more=HOLD):
        self.site = configured(folder, more)
        text = self.site.file.read_text().replace("pseudonym.key}", f"pseudonym.key, missing: {missing}}}")
        self.site.file.write_text(text)
        self.site = config.load(self.site.file)
        self.spool = Spool(self.site.state / "inside", reserve_bytes=0)
        self.outbox = Outbox(self.site.state / "outside")
        self._capsys = capsys
        self._stop = threading.Event()
        self._thread = None
        self._arrived = 0

    def start(self):
        """Run the de-identify service, and of forward what answers requests."""
        service = Deidentify(self.site, Silent())
        nobody = Reconciling(self.outbox, [], kept_s=0, clock=time.time)
        operator = OutsideOperator(self.outbox, Requests(self.site.state / "requests"), {}, nobody)
        started = threading.Event()
        self._stop.clear()

        def work():
            service.start()
            started.set()
            while not self._stop.is_set():
                service.step()
                operator.step()
                time.sleep(0.005)
            service.stop()

        self._thread = threading.Thread(target=work)
        self._thread.start()
        assert started.wait(PATIENCE_S)

    def stop(self):
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self):
        self.stop()
        self.spool.close()
        self.outbox.close()

    def run(self, *arguments):
        """Run a command; return its status and what it said."""
        status = main([*arguments, "-c", str(self.site.file)])
        told = self._capsys.readouterr()
        return status, told.out + told.err

    def json(self, *arguments):
        status, told = self.run(*arguments, "--json")
        return status, json.loads(told)

    def list(self, *lines, header="MRN,trial id"):
        file = self.site.state.parent / "list.csv"
        file.write_text("\n".join([header, *lines]) + "\n")
        return str(file)

    def arrive(self, number, **more):
        provenance = more.pop("provenance", None)
        self._arrived += 1
        data = make.ct(patient_id=number, SOPInstanceUID=f"1.2.3.{self._arrived}", **more)
        return arrive(self.spool, data, provenance=provenance)

    def instance(self, spool_id):
        return self.spool.trace(spool_id)[0].instance

    def until(self, spool_id, state, reason=""):
        def so():
            found = self.instance(spool_id)
            return (found.state, found.reason) == (state, reason)

        assert until(so, every_s=0.02), self.instance(spool_id)

    def pseudonym(self, number):
        with MappingStore(self.site.mapping_store, KEY) as store:
            return store.pseudonym_of("patient", "site", number)

    def deliver(self):
        """Let the destination have everything that waits."""
        while parcels := self.outbox.claim("research", 100, 10**9, time.time(), set()):
            self.outbox.stored(parcels, "research", time.time())

    def audit(self):
        file = self.site.state / "audit" / "audit.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def house(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ask, "WAIT_S", 10.0)
    made = []

    def make_house(**more):
        made.append(House(tmp_path, capsys, **more))
        return made[-1]

    yield make_house
    for each in made:
        each.close()


def test_a_held_patient_goes_on_by_himself_when_the_list_arrives(house):
    house = house(missing="hold")
    house.start()
    first, other = house.arrive("P-4711"), house.arrive("P-4712")
    house.until(first, State.HELD, Reason.NO_IDENTITY_YET.value)
    house.until(other, State.HELD, Reason.NO_IDENTITY_YET.value)

    status, told = house.json("mapping", "import", house.list("P-4711,T-001"))

    assert (status, told["new"], told["resumed"]) == (0, 1, 1)
    house.until(first, State.PASSED)
    assert house.pseudonym("P-4711") == "T-001"
    assert house.instance(other).state is State.HELD
    assert house.instance(first).round == 2
    assert [line["what"] for line in house.audit()] == ["mapping import"]


def test_an_unlisted_patient_is_quarantined_where_the_site_wants_that_and_minted_when_accepted(house):
    house = house(missing="quarantine")
    house.start()
    spool_id = house.arrive("P-4711")
    house.until(spool_id, State.QUARANTINED, Reason.UNLISTED_PATIENT.value)

    assert house.run("quarantine", "release", spool_id, "--accept", "unlisted-patient")[0] == 0

    house.until(spool_id, State.PASSED)
    assert house.pseudonym("P-4711").startswith("st-elsewhere-")


def test_a_listed_id_stands_in_the_file_and_the_offset_stays_the_keys(house):
    house = house()
    house.run("mapping", "import", house.list("P-4711,T-001"))
    house.start()
    spool_id = house.arrive("P-4711")
    house.until(spool_id, State.PASSED)

    file = house.outbox.layout.ready(house.instance(spool_id).out)

    assert b"T-001" in file.read_bytes()
    assert b"P-4711" not in file.read_bytes()


def test_a_list_after_forwarding_changes_nothing_unless_told_and_then_says_what_left(house):
    house = house()
    house.start()
    spool_id = house.arrive("P-4711")
    house.until(spool_id, State.PASSED)
    house.deliver()
    before = house.pseudonym("P-4711")
    listed = house.list("P-4711,T-001")

    assert house.json("mapping", "import", listed)[1]["kept"] == [{"line": 2, "pseudonym": before}]
    assert house.pseudonym("P-4711") == before
    preview = house.json("mapping", "import", listed, "--change", "--preview")[1]
    assert house.pseudonym("P-4711") == before
    told = house.json("mapping", "import", listed, "--change")[1]

    assert told["changed"] == preview["changed"] == [{"line": 2, "former": before}]
    (left,) = told["left"]
    assert (left["destination"], left["instances"]) == ("research", 1)
    assert house.pseudonym("P-4711") == "T-001"
    assert house.json("mapping", "reidentify", before, "--reason", "test")[1]["original"] == "P-4711"


def test_the_words_for_a_person_name_no_patient(house):
    house = house()
    house.start()
    house.until(house.arrive("P-4711"), State.PASSED)

    told = [
        house.run("mapping", "import", house.list("P-4711,T-1", "P-4712,T-2"), "--preview")[1],
        house.run("mapping", "import", house.list("P-4711,T-1", "P-4712,T-2"))[1],
        house.run("mapping", "import", house.list("P-4711,T-1", "P-4712,T-1"))[1],
        house.run("mapping", "import", house.list("P-4711,T-1"), "--change")[1],
        house.run("mapping", "opt-out", house.list("P-4711", header="MRN"))[1],
        house.run("mapping", "opt-out", house.list("P-4711", header="MRN"), "--withdraw")[1],
    ]

    assert "1 patients new, 0 known" in told[1]
    assert "keep it, because images may carry it: lines 2" in told[1]
    assert "1 conflicts; nothing was changed" in told[2]
    assert "the trial id is another patient's in line 2" in told[2]
    assert "1 patients have the list's id from now on" in told[3]
    assert "1 patients new on the opt-out list" in told[4]
    assert "1 patients taken off" in told[5]
    assert not [text for text in told if "P-471" in text]
    assert "P-471" not in json.dumps(house.audit())


def test_two_conflicts_are_told_with_lines_and_nothing_is_imported(house):
    house = house()

    status, told = house.json("mapping", "import", house.list("1,A", "2,A", ",B"))
    assert (status, told["conflicts"]) == (1, [{"line": 4, "what": "there is no MRN"}])

    status, told = house.json("mapping", "import", house.list("1,A", "2,A"))
    assert (status, [each["line"] for each in told["conflicts"]]) == (1, [3])
    assert house.pseudonym("1") is None


def test_reidentify_is_audited_before_it_answers_and_also_when_nothing_is_found(house):
    house = house()
    house.start()
    spool_id = house.arrive("P-4711")
    house.until(spool_id, State.PASSED)
    uid = house.spool.trace(spool_id)[0].sop_instance

    found = house.json("mapping", "reidentify", uid, "--reason", "sender asks")[1]
    status, told = house.run("mapping", "reidentify", "st-nobody", "--reason", "sender asks")

    assert found["kind"] == "uid"
    assert found["original"].startswith("1.")
    assert (status, "does not know" in told) == (1, True)
    assert [(line["about"], line["reason"], line["who"]) for line in house.audit()] == [
        (uid, "sender asks", audited.who()),
        ("st-nobody", "sender asks", audited.who()),
    ]
    assert broken_at(house.site.state / "audit" / "audit.jsonl") is None


@pytest.mark.parametrize("command", ["reidentify", "export", "forget", "settle"])
def test_without_a_reason_nobody_is_told_anything(house, command):
    house = house()
    house.run("mapping", "import", house.list("P-4711,T-001"))

    arguments = ["T-001"] if command in ("reidentify", "forget") else []

    assert house.run("mapping", command, *arguments)[0] == 1
    assert house.run("mapping", command, *arguments, "--reason", "  ")[0] == 1
    assert [line["what"] for line in house.audit()] == ["mapping import"]


def test_an_export_can_be_imported_elsewhere_and_is_its_owners_alone(house, tmp_path):
    first = house(more="identity: {issuers: [CITY]}\n" + HOLD)
    first.run(
        "mapping", "import", first.list("1,CITY,A,", "1,,B,", "2,,C,trial-9", header="MRN,issuer,trial id,project")
    )
    target = tmp_path / "all.csv"

    assert first.run("mapping", "export", "-o", str(target), "--reason", "audit")[0] == 0
    printed = first.run("mapping", "export", "--reason", "audit")[1]

    rows = list(csv.DictReader(target.open()))
    assert [(row["MRN"], row["issuer"], row["trial id"], row["project"]) for row in rows] == [
        ("1", "CITY", "A", ""),
        ("1", "", "B", ""),
        ("2", "", "C", "trial-9"),
    ]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert printed.splitlines()[:4] == target.read_text().splitlines()
    assert first.run("mapping", "export", "-o", str(target), "--reason", "audit")[0] == 1
    assert first.run("mapping", "export", "--json", "--reason", "audit")[0] == 1
    assert first.json("mapping", "import", str(target))[1]["same"] == 3


def test_who_opted_out_is_discarded_what_waits_is_stopped_and_what_left_is_told(house):
    house = house()
    house.start()
    sent = house.arrive("P-4711")
    house.until(sent, State.PASSED)
    house.deliver()
    waiting = house.arrive("P-4711")
    house.until(waiting, State.PASSED)
    listed = house.list("P-4711", "P-9", header="MRN")

    preview = house.json("mapping", "opt-out", listed, "--preview")[1]
    status, told = house.json("mapping", "opt-out", listed)

    assert (status, told["new"], told["same"], told["stopped"]) == (0, 2, 0, 1)
    assert preview["left"] == told["left"]
    assert [(row["destination"], row["instances"]) for row in told["left"]] == [("research", 1)]
    assert told["known_lines"] == [2]
    assert house.outbox.state(house.instance(waiting).out) is State.REJECTED
    for number in ("P-4711", "P-9"):
        house.until(house.arrive(number), State.DISCARDED, Reason.OPTED_OUT.value)
    assert house.json("mapping", "opt-out", listed)[1]["same"] == 2

    assert house.json("mapping", "opt-out", listed, "--withdraw")[1]["withdrawn"] == 2
    house.until(house.arrive("P-9"), State.PASSED)


def test_an_opt_out_list_with_a_wrong_line_or_domain_changes_nothing(house):
    house = house()

    status, told = house.json("mapping", "opt-out", house.list("1,", ",CITY", header="MRN,issuer"))
    assert (status, [each["line"] for each in told["conflicts"]]) == (1, [3])
    status, told = house.run("mapping", "opt-out", house.list("7", header="MRN"), "--domain", "nowhere")
    assert (status, "1 conflicts; nothing was changed" in told) == (1, True)

    house.run("mapping", "import", house.list("8,A"))
    with MappingStore(house.site.mapping_store, KEY) as store:
        assert store.standing().refusals == 0


def test_what_could_not_be_stopped_because_nothing_runs_is_told(house, monkeypatch):
    house = house()
    house.start()
    house.until(house.arrive("P-4711"), State.PASSED)
    house.stop()
    monkeypatch.setattr(mapping_refuse, "WAIT_S", 0.1)

    status, told = house.run("mapping", "opt-out", house.list("P-4711", header="MRN"))

    assert status == ask.PENDING
    assert "was not stopped yet" in told


def test_a_forgotten_patient_leaves_no_entry_and_no_original_and_is_refused_from_then_on(house):
    house = house()
    house.start()
    item = Provenance("unlisted", clinic="", item=7)
    sent = house.arrive("P-4711", provenance=item)
    house.until(sent, State.PASSED)
    house.deliver()
    waiting = house.arrive("P-4711")
    house.until(waiting, State.PASSED)
    twin = arrive(house.spool, make.ct(patient_id="P-4711", SOPInstanceUID="1.2.3.77"), announced="1.2.3.78")
    house.until(twin, State.QUARANTINED, Reason.UID_MISMATCH.value)
    other = house.arrive("P-9")
    house.until(other, State.PASSED)
    broken = house.arrive("P-9")
    house.until(broken, State.PASSED)
    pseudonym, study = house.pseudonym("P-4711"), house.spool.trace(sent)[0].study
    with MappingStore(house.site.mapping_store, KEY) as store:
        count = store.count()

    status, told = house.json("mapping", "forget", pseudonym, "--reason", "asked to", "--yes")

    assert (status, told["erased"], told["inbox_items"], told["remaining"]) == (0, True, [7], [])
    assert sorted(told["originals"]) == sorted([sent, waiting, twin])
    assert [(row["study"], row["destination"]) for row in told["left"]] == [(study, "research")]
    for spool_id in (sent, waiting, twin):
        assert house.spool.layout.find(spool_id) is None
    assert house.spool.layout.find(other) is not None
    with MappingStore(house.site.mapping_store, KEY) as store:
        assert store.original_of(pseudonym) is None
        assert store.original_of(study) is None
        assert store.count() == count - told["entries"]
        assert store.pseudonym_of("patient", "site", "P-9") is not None
    again = house.arrive("P-4711")
    house.until(again, State.DISCARDED, Reason.FORGOTTEN.value)
    assert until(lambda: house.spool.layout.find(again) is None)
    assert house.run("mapping", "forget", pseudonym, "--reason", "asked to", "--yes")[0] == 1


def test_forgetting_is_not_finished_while_no_service_answers_and_can_be_repeated(house, monkeypatch):
    house = house()
    house.start()
    sent = house.arrive("P-4711")
    house.until(sent, State.PASSED)
    house.deliver()
    house.stop()
    pseudonym = house.pseudonym("P-4711")
    monkeypatch.setattr(mapping_refuse, "WAIT_S", 0.1)

    status, told = house.run("mapping", "forget", pseudonym, "--reason", "asked to", "--yes")
    assert (status, "Not finished" in told) == (ask.PENDING, True)
    assert house.pseudonym("P-4711") == pseudonym

    monkeypatch.setattr(mapping_refuse, "WAIT_S", 10.0)
    house.start()
    status, told = house.run("mapping", "forget", pseudonym, "--reason", "asked to", "--yes")
    assert (status, "Erased:" in told) == (0, True)
    assert house.pseudonym("P-4711") is None


def test_a_backup_is_restored_after_the_mapping_was_lost_and_nothing_is_minted_before(house, tmp_path):
    house = house()
    identity = pyrage.x25519.Identity.generate()
    private = tmp_path / "hospital.txt"
    private.write_text(f"# created: today\n{identity}\n")
    house.run("mapping", "import", house.list("P-1,T-001"))
    backup = tmp_path / "mapping.age"
    assert house.run("mapping", "backup", str(backup), "--to", str(identity.to_public()))[0] == 0
    house.run("mapping", "import", house.list("P-2,T-002"))
    house.start()
    house.until(house.arrive("P-2"), State.PASSED)
    status, told = house.run("mapping", "restore", str(backup), "--identity", str(private))
    assert (status, "in use" in told) == (1, True)
    house.stop()
    status, told = house.run("mapping", "restore", str(backup), "--identity", str(private))
    assert (status, "newer than the backup" in told) == (1, True)
    for file in house.site.mapping_store.parent.glob("mapping.db*"):
        file.unlink()

    lost = Deidentify(house.site, Silent())
    lost.start()
    with pytest.raises(Exception, match="not the one that was in use") as refused:
        for _ in range(1000):
            lost.step()
    lost.stop()
    assert "mapping restore" in str(refused.value)
    status, told = house.json("mapping", "restore", str(backup), "--identity", str(private))
    assert (status, told["lost_lists"], told["lost_refusals"]) == (0, 1, 0)
    assert told["aside"] is not None

    house.start()
    known, unknown = house.arrive("P-1"), house.arrive("P-2")
    house.until(known, State.PASSED)
    house.until(unknown, State.HELD, Reason.NO_IDENTITY_YET.value)
    house.run("mapping", "import", house.list("P-2,T-002"))
    house.until(unknown, State.PASSED)
    third = house.arrive("P-3")
    house.until(third, State.HELD, Reason.NO_IDENTITY_YET.value)
    assert house.json("mapping", "settle", "--reason", "imported again")[1] == {"was_waited_for": True}
    house.until(third, State.PASSED)
    assert (house.pseudonym("P-1"), house.pseudonym("P-2")) == ("T-001", "T-002")


def test_without_a_backup_the_site_goes_on_with_what_is_there(house):
    house = house()
    house.run("mapping", "opt-out", house.list("P-2", header="MRN"))
    house.start()
    house.until(house.arrive("P-1"), State.PASSED)
    house.stop()
    for file in house.site.mapping_store.parent.glob("mapping.db*"):
        file.unlink()

    status, told = house.run("mapping", "restore", "--as-is")
    assert status == 0
    assert "everybody's images wait" in told

    house.start()
    spool_id = house.arrive("P-1")
    house.until(spool_id, State.HELD, Reason.NO_IDENTITY_YET.value)
    house.run("mapping", "opt-out", house.list("P-2", header="MRN"))
    house.run("mapping", "settle", "--reason", "the list is here again")
    house.until(spool_id, State.PASSED)
    house.until(house.arrive("P-2"), State.DISCARDED, Reason.OPTED_OUT.value)


def test_a_lost_key_comes_back_with_the_backup_and_another_key_is_refused(house, tmp_path):
    house = house()
    identity = pyrage.x25519.Identity.generate()
    private = tmp_path / "hospital.txt"
    private.write_text(str(identity))
    house.run("mapping", "import", house.list("P-1,T-001"))
    backup = tmp_path / "mapping.age"
    house.run("mapping", "backup", str(backup), "--to", str(identity.to_public()))
    key = house.site.mapping.key_file
    right = key.read_text()

    key.write_text("66" * 32)
    status, told = house.run("mapping", "restore", str(backup), "--identity", str(private))
    assert (status, "another pseudonym key" in told) == (1, True)

    key.unlink()
    assert house.run("mapping", "restore", str(backup), "--identity", str(private))[0] == 0
    assert key.read_text() == right
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert house.pseudonym("P-1") == "T-001"


@pytest.mark.parametrize("arguments", [[], ["x.age"], ["x.age", "--as-is"], ["x.age", "--identity", "y", "--as-is"]])
def test_a_restore_says_what_it_needs(house, arguments):
    status, told = house().run("mapping", "restore", *arguments)

    assert (status, "Say FILE with --identity" in told) == (1, True)


def test_the_key_of_the_store_is_rotated_beside_a_running_service(house):
    house = house()
    house.start()
    house.until(house.arrive("P-1"), State.PASSED)

    assert house.json("mapping", "rotate")[1]["sealed"] > 0

    house.until(house.arrive("P-2"), State.PASSED)
    with MappingStore(house.site.mapping_store, KEY) as store:
        for number in ("P-1", "P-2"):
            assert store.original_of(store.pseudonym_of("patient", "site", number)).original == number


def test_who_may_not_open_the_mapping_is_told_which_group_may(house, monkeypatch):
    house = house()
    house.run("mapping", "import", house.list("P-1,T-001"))
    access = os.access
    monkeypatch.setattr(
        trusted.os, "access", lambda path, *how: path != house.site.mapping_store and access(path, *how)
    )

    status, told = house.run("mapping", "reidentify", "T-001", "--reason", "curious")

    assert (status, "appliance-trust" in told) == (1, True), told
    assert "P-1" not in told


def test_a_list_that_comes_while_an_image_is_made_wins_and_the_image_is_made_again(house, monkeypatch):
    house = house()
    commit = MappingStore.commit
    lists = [house.list("P-4711,T-001"), ""]

    def late(store, minted, *more):
        listed = lists.pop(0) if lists else ""
        if listed:
            import_list(
                store, read_list(Path(listed), with_ids=True)[0], PLACE, lambda *_: "", change=False, preview=False
            )
        return commit(store, minted, *more)

    monkeypatch.setattr(MappingStore, "commit", late)
    house.start()
    spool_id = house.arrive("P-4711")
    house.until(spool_id, State.PASSED)

    assert b"T-001" in house.outbox.layout.ready(house.instance(spool_id).out).read_bytes()
    assert house.instance(spool_id).round == 1


def test_lines_that_were_not_taken_are_told_to_a_person(house):
    house = house()
    house.run("mapping", "import", house.list("P-4711,T-001"))
    house.start()
    house.run("mapping", "forget", "T-001", "--reason", "asked to", "--yes")
    many = [f"{number},T" for number in range(1, 30)]

    told = house.run(
        "mapping", "import", house.list("P-4711,T-1,", "P-4712,T-2,ELSEWHERE", header="MRN,trial id,issuer")
    )[1]
    conflicts = house.run("mapping", "import", house.list(*many))[1]

    assert "Not taken, erased by command: lines 2." in told
    assert "1 lines name an issuer that is not under identity.issuers" in told
    assert "28 conflicts" in conflicts
    assert "and 8 more; --json shows them all" in conflicts


def test_what_cannot_be_read_is_told_when_a_patient_is_forgotten(house):
    house = house()
    house.run("mapping", "import", house.list("P-4711,T-001"))
    house.start()
    broken, whole = house.arrive("P-9"), house.arrive("P-4711")
    house.until(broken, State.PASSED)
    house.until(whole, State.PASSED)
    house.stop()
    with house.spool.journal.database.writing(durably=True) as db:
        db.execute("UPDATE instance SET state = 'QUARANTINED', out = '', reason = 'malformed'")
    house.spool.layout.original(broken).write_bytes(b"no DICOM at all" * 50)
    gone = house.arrive("P-4711")
    with house.spool.journal.database.writing(durably=True) as db:
        db.execute("UPDATE instance SET state = 'DISCARDED', reason = 'duplicate', purged = 1 WHERE id = ?", (gone,))
    house.spool.layout.original(gone).unlink()
    house.start()

    status, told = house.json("mapping", "forget", "T-001", "--reason", "asked to", "--yes")
    assert (status, told["originals"], told["unreadable"]) == (0, [whole], [broken])
    again = house.run("mapping", "import", house.list("P-10,T-010"))
    told = house.run("mapping", "forget", "T-010", "--reason", "asked to", "--yes")[1]
    assert again[0] == 0
    assert f"Whose these are cannot be read; look at them: {broken}" in told
    assert "Nothing of it has left." in told


def test_before_there_is_a_mapping_nobody_is_found_and_none_is_made(house):
    house = house()

    status, told = house.run("mapping", "reidentify", "T-001", "--reason", "curious")

    assert (status, "There is no mapping" in told) == (1, True)
    assert not house.site.mapping_store.exists()


def test_a_list_that_is_not_there_is_told(house):
    status, told = house().run("mapping", "import", "nowhere.csv")

    assert (status, "nowhere.csv is no file" in told) == (1, True)


def test_the_environment_cannot_say_who_it_is(monkeypatch):
    monkeypatch.setenv("LOGNAME", "somebody-else")
    monkeypatch.setenv("USER", "somebody-else")

    assert "somebody-else" not in audited.who()


def test_the_offline_command_follows_the_sites_lists_and_opt_outs(house, tmp_path, capsys, monkeypatch):
    house = house()
    house.run("mapping", "import", house.list("P-1,T-001"))
    house.run("mapping", "opt-out", house.list("P-2", header="MRN"))
    for number in ("P-1", "P-2", "P-3"):
        make.stored(tmp_path / f"{number}.dcm", make.ct(patient_id=number))
    sources = [str(tmp_path / f"{number}.dcm") for number in ("P-1", "P-2", "P-3")]

    status, told = house.run("deidentify", *sources, "-o", str(tmp_path / "out"), "--jobs", "1")

    bodies = [file.read_bytes() for file in (tmp_path / "out").rglob("*.dcm")]
    assert (status, len(bodies), "1 excluded: opted-out" in told) == (0, 2, True), told
    assert sum(b"T-001" in body for body in bodies) == 1

    access = os.access
    monkeypatch.setattr(os, "access", lambda path, *how: path != house.site.mapping_store and access(path, *how))
    status, told = house.run("deidentify", *sources, "-o", str(tmp_path / "none"), "--jobs", "1")
    assert (status, "who opted out stands there" in told) == (1, True)


def test_a_backup_into_a_file_whose_name_is_no_text_is_made_told_and_audited(house, tmp_path):
    house = house()
    recipient = pyrage.x25519.Identity.generate().to_public()
    house.run("mapping", "import", house.list("P-1,T-001"))
    name = os.fsdecode(bytes(tmp_path) + b"/mapping-\xff.age")

    status, told = house.run("mapping", "backup", name, "--to", str(recipient))

    assert status == 0, told
    assert "mapping-\\udcff.age" in told
    assert Path(name).stat().st_size > 0
    assert broken_at(house.site.state / "audit" / "audit.jsonl") is None
