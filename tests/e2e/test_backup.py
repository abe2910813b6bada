"""A backup of a working site, put back on a second host: the same people, the same history, nothing invented."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pyrage
import pytest

from appliance.cli import ask
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.services import restore as restoring
from appliance.services.alone import Lock
from appliance.watch.audit import broken_at
from tests.make import make
from tests.make.arrive import arrive
from tests.peers.commanded import PATIENCE_S, Commanded

KEEPS = "backup: {{folder: ./backups, recipients: [{}]}}\n"


@pytest.fixture
def hospital():
    return pyrage.x25519.Identity.generate()


@pytest.fixture
def sites(tmp_path, capsys, monkeypatch, hospital):
    """Makes a site in a folder of its own, as on a host of its own; the second is brought the same configuration."""
    monkeypatch.setattr(ask, "WAIT_S", PATIENCE_S)
    made = []

    def host(name, more=""):
        (tmp_path / name / "backups").mkdir(parents=True)
        site = Commanded(
            tmp_path / name,
            capsys,
            "[{name: shelf, folder: ./out}]",
            KEEPS.format(hospital.to_public()) + more,
        )
        made.append(site)
        return site

    yield host
    for each in made:
        each.close()


@pytest.fixture
def identity(tmp_path, hospital):
    file = tmp_path / "identity"
    file.write_text(f"# made for this test\n{hospital}\n")
    return file


@pytest.fixture
def working(sites):
    """A site with an image delivered, and one that waits for a person."""
    site = sites("first")
    site.start("deidentify", "forward")
    sent = site.arrive("P-1")
    site.until_forwarded(sent)
    waits = arrive(site.spool, make.ct(patient_id="P-2", SOPInstanceUID="1.2.3.99", Modality="", PatientID=""))
    site.until(lambda: site.instance(waits).state is State.QUARANTINED)
    return site, sent, waits


def newest(site):
    return sorted((site.site.file.parent / "backups").glob("*.age"))[-1]


def as_on_a_fresh_host(site, *, key=None):
    """The host that the playbook has just made: a key of its own, or none, and nothing else."""
    site.close()
    for name in ("inside", "outside", "mapping", "audit"):
        shutil.rmtree(site.site.state / name, ignore_errors=True)
    place = site.site.mapping.key_file
    if key is None:
        place.unlink(missing_ok=True)
    else:
        place.write_text(key)


def reopened(site):
    from appliance.spool.inside import Spool
    from appliance.spool.outbox import Outbox

    site.spool = Spool(site.site.state / "inside", reserve_bytes=0)
    site.outbox = Outbox(site.site.state / "outside")
    return site


@pytest.mark.parametrize("key", [None, "ab" * 32])
def test_on_a_fresh_host_the_same_patient_has_the_same_pseudonym_and_what_was_known_is_known(
    working, sites, identity, key
):
    first, sent, _waits = working
    status, told = first.json("backup", "make")
    assert status == 0
    before = first.spool.trace(sent)[0]
    first.stop()
    second = sites("second")
    as_on_a_fresh_host(second, key=key)

    status, put = second.json("backup", "restore", told["file"], "--identity", str(identity))

    assert (status, sorted(put["put"])) == (0, ["journal.db", "outbox.db", "reports.db"])
    assert (put["lost_lists"], put["lost_refusals"]) == (0, 0)
    reopened(second)
    assert second.spool.trace(sent)[0].history == before.history
    assert second.outbox.state(before.instance.out) is State.FORWARDED
    assert second.json("report", sent)[0] == 0
    second.start("deidentify", "forward")
    again = second.arrive("P-1", SOPInstanceUID="1.2.3.500")
    second.until_forwarded(again)
    assert second.spool.trace(again)[0].study == before.study  # by the key, and by the mapping
    assert second.run("mapping", "restore", "--as-is")[0] == 1  # the store is in use, so it is the one that was put
    assert broken_at(second.site.state / "audit" / "audit.jsonl") is None
    said = [line["what"] for line in second.audit()]
    assert said.index("backup make") < said.index("backup restored")
    texts = {path.name for path in Path(put["texts"]).iterdir()}
    assert f"config-{first.site.file.name}" in texts


def test_what_an_administrator_puts_back_is_the_group_s_to_use(working, sites, identity):
    """The services are other users: what they open must be theirs to write, whatever the administrator's umask."""
    first, _, _ = working
    told = first.json("backup", "make")[1]
    first.stop()
    second = sites("second")
    as_on_a_fresh_host(second)
    for side in ("inside", "outside", "mapping", "audit"):
        (second.site.state / side).mkdir()
    before = os.umask(0o022)
    try:
        assert second.run("backup", "restore", told["file"], "--identity", str(identity))[0] == 0
    finally:
        os.umask(before)

    names = (
        "inside/journal.db",
        "inside/reports.db",
        "outside/outbox.db",
        "mapping/mapping.db",
        "mapping/mapping.lock",
    )
    modes = {name: (second.site.state / name).stat().st_mode & 0o777 for name in (*names, "audit/audit.jsonl")}
    assert modes == dict.fromkeys(modes, 0o660)
    locks = [path.stat().st_mode & 0o040 for path in second.site.state.glob("*side/*.lock")]
    assert locks and all(locks)


@pytest.mark.parametrize("step", ["restore._put_key", "copies.put", "restore._put_audit", "restore.put_mapping_back"])
@pytest.mark.parametrize("key", [None, "ab" * 32])
def test_a_restore_that_was_killed_is_done_again_and_leaves_no_copy(working, sites, identity, step, key):
    """With a real SIGKILL, before each of its steps."""
    first, sent, _ = working
    told = first.json("backup", "make")[1]
    first.stop()
    second = sites("second")
    as_on_a_fresh_host(second, key=key)
    arguments = ["backup", "restore", told["file"], "--identity", str(identity)]
    code = (
        "import os, signal, sys; from appliance.cli.main import main\n"
        "from appliance.spool import copies; from appliance.services import restore\n"
        f"{step} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "main(sys.argv[1:])\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, *arguments, "-c", str(second.site.file)], check=False)
    left = list((second.site.state / "mapping").glob("restore-*"))

    status, said = second.run(*arguments)

    assert killed.returncode == -signal.SIGKILL
    assert left
    assert (status, "The mapping is in place." in said) == (0, True)
    assert list((second.site.state / "mapping").glob("restore-*")) == []
    reopened(second)
    assert second.spool.trace(sent)
    second.start("deidentify", "forward")
    again = second.arrive("P-1", SOPInstanceUID="1.2.3.500")
    second.until_forwarded(again)
    assert second.spool.trace(again)[0].study == first.spool.trace(sent)[0].study


def test_what_waited_and_whose_image_is_gone_is_told_and_taken_when_it_is_sent_again(working, sites, identity):
    first, _, _waits = working
    first.stop()
    lost = first.arrive("P-3")  # received, and the host was lost before anything became of it
    status, told = first.json("backup", "make")
    assert status == 0
    second = sites("second")
    as_on_a_fresh_host(second)
    assert second.run("backup", "restore", told["file"], "--identity", str(identity))[0] == 0
    reopened(second)
    second.start("deidentify", "forward")

    second.until(lambda: second.instance(lost).state is State.QUARANTINED)
    assert second.instance(lost).reason == Reason.ORIGINAL_MISSING.value
    again = arrive(
        second.spool, make.ct(patient_id="P-3", SOPInstanceUID="1.2.3.2", StudyInstanceUID="1.2.4.3", seed="again")
    )
    second.until_forwarded(again)
    counts = second.json("queue")[1]
    assert counts["received"] == sum(counts["states"].values())


def test_the_backup_holds_what_it_says_no_image_and_nothing_that_opens_without_the_key(working, hospital, tmp_path):
    first, _, _ = working
    told = first.json("backup", "make")[1]
    sealed = Path(told["file"]).read_bytes()
    (tmp_path / "plain.tar").write_bytes(pyrage.decrypt(sealed, [hospital]))

    with tarfile.open(tmp_path / "plain.tar") as tar:
        names = set(tar.getnames())

    assert names == {
        *("README.txt", "pseudonym.key", "mapping.db", "journal.db", "reports.db", "outbox.db"),
        *("audit/audit.jsonl", f"config/{first.site.file.name}"),
    }
    assert b"DICM" not in (tmp_path / "plain.tar").read_bytes()
    assert b"mapping.db" not in sealed
    left = {path.name for path in (first.site.state / "mapping").iterdir()}
    assert [name for name in left if name.startswith("backup-")] == []


def test_a_newer_mapping_and_rows_that_are_there_stay(working, identity):
    first, sent, _ = working
    told = first.json("backup", "make")[1]
    later = first.arrive("P-9")
    first.until_forwarded(later)
    first.stop()

    refused = first.run("backup", "restore", told["file"], "--identity", str(identity))

    assert refused[0] == 1
    assert "newer than the backup" in refused[1]
    assert first.spool.trace(later)

    (first.site.mapping_store).unlink()  # the mapping alone was lost
    status, put = first.json("backup", "restore", told["file"], "--identity", str(identity))
    assert (status, put["put"], sorted(put["kept"])) == (0, [], ["journal.db", "outbox.db", "reports.db"])
    assert first.spool.trace(later)
    assert first.spool.trace(sent)


def test_another_key_that_is_in_use_and_services_at_work_refuse_a_restore(working, sites, identity):
    first, _, _ = working
    told = first.json("backup", "make")[1]
    at_work = first.run("backup", "restore", told["file"], "--identity", str(identity))
    assert (at_work[0], "systemctl stop appliance.target" in at_work[1]) == (1, True)
    first.stop()
    second = sites("second")
    second.site.mapping.key_file.write_text("cd" * 32)
    second.start("deidentify", "forward")
    mine = second.arrive("P-1")
    second.until_forwarded(mine)
    second.stop()

    refused = second.run("backup", "restore", told["file"], "--identity", str(identity))

    assert refused[0] == 1
    assert "another pseudonym key" in refused[1]
    assert second.site.mapping.key_file.read_text() == "cd" * 32
    assert second.spool.trace(mine)


@pytest.mark.parametrize("harm", ["cut", "another hospital's", "of the mapping alone"])
def test_what_is_no_whole_backup_changes_nothing(working, sites, identity, tmp_path, hospital, harm):
    first, _, _ = working
    told = first.json("backup", "make")[1]
    file = Path(told["file"])
    match harm:
        case "cut":
            file.write_bytes(file.read_bytes()[:-100])
        case "another hospital's":
            identity.write_text(str(pyrage.x25519.Identity.generate()))
        case "of the mapping alone":
            file = tmp_path / "mapping.age"
            assert first.run("mapping", "backup", str(file), "--to", str(hospital.to_public()))[0] == 0
    second = sites("second")
    as_on_a_fresh_host(second)

    status, _ = second.run("backup", "restore", str(file), "--identity", str(identity))

    if harm == "of the mapping alone":  # it is one, and of it who is who comes back
        assert status == 0
    else:
        assert status == 1
        assert not second.site.mapping_store.exists()
        assert not (second.site.state / "inside" / "journal.db").exists()


def test_either_of_two_keys_of_the_hospital_opens_it(sites, tmp_path, hospital):
    other = pyrage.x25519.Identity.generate()
    site = sites("first")
    text = site.site.file.read_text().replace(str(hospital.to_public()), f"{hospital.to_public()}, {other.to_public()}")
    site.site.file.write_text(text)
    site.start("deidentify", "forward")
    site.until_forwarded(site.arrive("P-1"))

    told = site.json("backup", "make")[1]

    for key in (hospital, other):
        assert pyrage.decrypt(Path(told["file"]).read_bytes(), [key])


def test_backups_are_listed_verified_and_told_to_prometheus(working):
    first, _, _ = working
    assert first.run("backup", "verify")[0] == 1
    assert "Make one" in first.run("backup", "list")[1]
    told = first.json("backup", "make")[1]

    listed = first.json("backup", "list")[1]["backups"]
    sound = first.json("backup", "verify")
    Path(told["file"]).write_bytes(b"rot")
    rotten = first.json("backup", "verify")

    assert [each["file"] for each in listed] == [Path(told["file"]).name]
    assert sound == (0, {"looked_at": 1, "damaged": []})
    assert rotten == (1, {"looked_at": 1, "damaged": [told["file"]]})
    metrics = (first.site.state / "inside" / "metrics" / "backup-verify.prom").read_text()
    assert "appliance_backups_damaged 1.0" in metrics
    assert "appliance_backup_timestamp_seconds" in (first.site.state / "inside" / "metrics" / "backup.prom").read_text()


def test_without_a_word_in_the_configuration_without_a_folder_or_room_none_is_made(sites, working, monkeypatch):
    first, _, _ = working
    (first.site.file.parent / "backups").rmdir()
    gone = first.run("backup", "make")
    (first.site.file.parent / "backups").mkdir()
    monkeypatch.setattr("appliance.services.backup.free_bytes", lambda _: 1 << 10)
    full = first.run("backup", "make")
    first.site.file.write_text(
        "\n".join(line for line in first.site.file.read_text().splitlines() if not line.startswith("backup:"))
    )
    silent = first.run("backup", "make")

    assert (gone[0], "is not there" in gone[1]) == (1, True)
    assert (full[0], "Make room there" in full[1]) == (1, True)
    assert (silent[0], "under backup" in silent[1]) == (1, True)
    assert list((first.site.file.parent / "backups").iterdir()) == []


def test_a_restore_takes_every_lock_and_lets_go_of_them(working, identity):
    first, _, _ = working
    told = first.json("backup", "make")[1]
    first.stop()
    for owner in restoring.OWNERS:
        held = Lock(first.site.state / f"{owner}.lock")
        assert held.take()
        refused = first.run("backup", "restore", told["file"], "--identity", str(identity))
        held.release()
        assert (refused[0], owner.partition("/")[2] in refused[1]) == (1, True)

    first.site.mapping_store.unlink()
    assert first.run("backup", "restore", told["file"], "--identity", str(identity))[0] == 0
    assert json.dumps(first.audit()).count("backup restored") == 1
