"""Backups are whole and nobody's but the hospital's; a restore knows what it lost; a rotation loses nothing."""

import io
import signal
import sqlite3
import subprocess
import sys
import tarfile

import pyrage
import pytest

from appliance.deid.outcome import Minted
from appliance.errors import CannotStart, RequestRefused
from appliance.mapping import backup as backups
from appliance.mapping import rotate as rotation
from appliance.mapping import sealed as sealing
from appliance.mapping.backup import backup, is_sound, unpack
from appliance.mapping.csv_list import Line
from appliance.mapping.forget import erase, person_behind, refuse_for_good
from appliance.mapping.lineage import OWED_LISTS, OWED_REFUSALS, as_text, check_not_behind, from_text, owed
from appliance.mapping.patients import patients
from appliance.mapping.place import Place
from appliance.mapping.refused import is_forgotten, opt_out, studies_of
from appliance.mapping.restore import go_on, restore, settle
from appliance.mapping.rotate import rotate
from appliance.mapping.store import MappingStore
from appliance.mapping.waiting import to_resume, wait_for_list
from tests.unit.mapping.test_id_list import take

KEY = b"k" * 32
NOW = 1_800_000_000.0
ANNA = Minted("patient", "site", "4711", "st-AAAA", owner="st-AAAA")
SCAN = Minted("uid", "", "1.2.3.4", "2.25.77", owner="st-AAAA")
OTHER = Minted("uid", "", "1.2.3.5", "2.25.78", owner="st-BBBB")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mapping" / "mapping.db"


@pytest.fixture
def store(path):
    with MappingStore(path, KEY) as opened:
        yield opened


@pytest.fixture
def hospital():
    return pyrage.x25519.Identity.generate()


# --- backup -----------------------------------------------------------------------------------------------------------


def test_a_backup_holds_key_and_store_and_opens_with_the_hospitals_key(store, hospital, tmp_path):
    store.commit([ANNA, SCAN])

    backup(store, KEY, [f" {hospital.to_public()}\n"], tmp_path / "b.age")

    (tmp_path / "out").mkdir()
    key, copy = unpack(tmp_path / "b.age", str(hospital), tmp_path / "out")
    assert key == KEY
    with MappingStore(copy, key) as again:
        assert again.original_of("st-AAAA") == ANNA
        assert again.standing() == store.standing()


def test_any_age_program_can_open_it(store, hospital, tmp_path):
    store.commit([ANNA])
    backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")
    body = (tmp_path / "b.age").read_bytes()

    assert body.startswith(b"age-encryption.org/v1\n-> X25519 ")
    with tarfile.open(fileobj=io.BytesIO(pyrage.decrypt(body, [hospital]))) as tar:
        assert tar.getnames() == ["README.txt", "pseudonym.key", "mapping.db"]
        assert bytes.fromhex(tar.extractfile("pseudonym.key").read().decode()) == KEY


def test_the_program_age_itself_opens_it(store, hospital, tmp_path):
    backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")
    (tmp_path / "key").write_text(str(hospital))
    try:
        done = subprocess.run(
            ["age", "-d", "-i", tmp_path / "key", tmp_path / "b.age"], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("age: not installed")

    assert done.returncode == 0
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        assert tar.getnames()[1] == "pseudonym.key"


def test_neither_key_nor_original_stands_in_a_backup_and_nothing_is_left_beside_it(store, path, hospital, tmp_path):
    store.commit([ANNA])
    backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")

    body = (tmp_path / "b.age").read_bytes()
    assert KEY not in body
    assert KEY.hex().encode() not in body
    assert b"st-AAAA" not in body
    assert (tmp_path / "b.age").stat().st_mode & 0o777 == 0o600
    assert {file.name for file in tmp_path.iterdir()} == {"mapping", "b.age"}
    assert {file.name for file in path.parent.iterdir()} == {
        *("mapping.db", "mapping.db-wal", "mapping.db-shm", "mapping.lock")
    }


def test_what_is_no_public_key_and_what_would_be_overwritten_is_refused(store, hospital, tmp_path):
    with pytest.raises(RequestRefused, match="no public key"):
        backup(store, KEY, [str(hospital)], tmp_path / "b.age")
    (tmp_path / "b.age").write_text("precious")
    with pytest.raises(RequestRefused, match="there already"):
        backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")

    assert (tmp_path / "b.age").read_text() == "precious"


def test_a_backup_that_does_not_read_back_is_not_there(store, hospital, tmp_path, monkeypatch):
    real = sealing.contents
    monkeypatch.setattr(sealing, "contents", lambda *given: real(*given) | {"pseudonym.key": "another"})

    with pytest.raises(RequestRefused, match="read again"):
        backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")
    assert list(tmp_path.glob("b.age*")) == []


def test_of_a_damaged_store_no_backup_is_made(store, hospital, tmp_path, monkeypatch):
    monkeypatch.setattr(backups, "is_sound", lambda _copy: False)

    with pytest.raises(RequestRefused, match="damaged, so no backup"):
        backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")


def killed_while_it_reads_back(path, recipient, target):
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from appliance.mapping import backup, sealed; from appliance.mapping.store import MappingStore\n"
        "sealed.contents = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "backup.backup(MappingStore(Path(sys.argv[1]), bytes(32)), bytes(32), [sys.argv[2]], Path(sys.argv[3]))\n"
    )
    arguments = [sys.executable, "-c", code.replace("bytes(32)", repr(KEY)), str(path), recipient, str(target)]
    return subprocess.run(arguments, check=False).returncode


def test_of_a_backup_that_was_killed_the_next_one_leaves_nothing_and_succeeds_at_once(store, path, hospital, tmp_path):
    target = tmp_path / "backups" / "mapping.age"
    target.parent.mkdir()
    recipient = str(hospital.to_public())
    assert killed_while_it_reads_back(path, recipient, target) == -signal.SIGKILL
    assert list(path.parent.glob("backup-*")), "it was killed too early"

    backup(store, KEY, [recipient], target)

    assert list(path.parent.glob("backup-*")) == []
    assert [each.name for each in target.parent.iterdir()] == ["mapping.age"]


def test_while_a_backup_is_made_another_is_refused(store, path, hospital, tmp_path, monkeypatch):
    recipient = str(hospital.to_public())
    monkeypatch.setattr(
        "appliance.mapping.sealed.contents", lambda *_: backup(store, KEY, [recipient], tmp_path / "b.age")
    )

    with pytest.raises(RequestRefused, match="Another backup is being made"):
        backup(store, KEY, [recipient], tmp_path / "a.age")

    assert not (tmp_path / "a.age").exists() and not (tmp_path / "b.age").exists()


def test_a_folder_that_is_not_there_is_told_as_that(store, hospital, tmp_path):
    with pytest.raises(RequestRefused, match="unmounted is not there; nothing was written"):
        backup(store, KEY, [str(hospital.to_public())], tmp_path / "unmounted" / "a.age")


def test_a_full_disk_is_an_error_and_leaves_nothing(store, hospital, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sealing, "_pack", full)
    with pytest.raises(OSError, match="No space"):
        backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")
    assert list(tmp_path.glob("b.age*")) == []


@pytest.mark.parametrize("spoil", ["cut", "changed", "stranger", "not a key"])
def test_a_backup_that_is_not_whole_or_not_ours_to_open_is_refused(store, hospital, tmp_path, spoil):
    backup(store, KEY, [str(hospital.to_public())], tmp_path / "b.age")
    body = bytearray((tmp_path / "b.age").read_bytes())
    identity = str(hospital)
    if spoil == "cut":
        del body[-1000:]
    elif spoil == "changed":
        body[len(body) // 2] ^= 1
    elif spoil == "stranger":
        identity = str(pyrage.x25519.Identity.generate())
    else:
        identity = "secret"
    (tmp_path / "b.age").write_bytes(body)
    (tmp_path / "out").mkdir()

    with pytest.raises(RequestRefused, match="nothing was restored"):
        unpack(tmp_path / "b.age", identity, tmp_path / "out")


@pytest.mark.parametrize("what", ["text", "tar without store"])
def test_an_age_file_of_something_else_is_no_backup(hospital, tmp_path, what):
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode="w") as tar:
        member = tarfile.TarInfo("../pseudonym.key")
        tar.addfile(member, io.BytesIO())
        folder = tarfile.TarInfo("mapping.db")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
    plain = b"hello" if what == "text" else body.getvalue()
    (tmp_path / "b.age").write_bytes(pyrage.encrypt(plain, [hospital.to_public()]))
    (tmp_path / "out").mkdir()

    with pytest.raises(RequestRefused, match=r"no whole backup|no backup of a mapping"):
        unpack(tmp_path / "b.age", str(hospital), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_reader_that_stops_early_lets_the_writer_end():
    with sealing._piped(lambda pipe: pipe.write(b"x" * (4 << 20))) as reader:
        assert reader.read(1) == b"x"


# --- restore ----------------------------------------------------------------------------------------------------------


def copied(store, tmp_path, name="copy"):
    """A copy of the store as a backup would hold it."""
    (tmp_path / name).mkdir()
    target = sqlite3.connect(tmp_path / name / "mapping.db")
    store.db.backup(target)
    target.close()
    return tmp_path / name / "mapping.db"


def test_a_standing_is_remembered_as_text(store):
    take(store, ("12", "T-1"))

    assert from_text(as_text(store.standing())) == store.standing()
    assert from_text("") is None


def test_a_store_that_is_older_or_another_mints_nothing(store, path, tmp_path):
    before = copied(store, tmp_path)
    store.commit([ANNA])
    seen = as_text(store.standing())

    check_not_behind(store, seen)
    check_not_behind(store, "")
    with (
        MappingStore(before, KEY) as older,
        pytest.raises(CannotStart, match=r"older than what was forwarded.*mapping restore"),
    ):
        check_not_behind(older, seen)
    with (
        MappingStore(tmp_path / "new.db", KEY) as another,
        pytest.raises(CannotStart, match="not the one that was in use"),
    ):
        check_not_behind(another, seen)


def test_a_restored_store_is_accepted_and_says_what_it_lost(path, tmp_path):
    with MappingStore(path, KEY) as store:
        take(store, ("12", "T-1"))
        before = copied(store, tmp_path)
        take(store, ("13", "T-2"))
        take(store, ("14", "T-3"))
        seen = store.standing()
    path.unlink()

    restored = restore(path, KEY, before, seen, NOW)

    assert (restored.lost_lists, restored.lost_refusals, restored.aside) == (2, 0, None)
    with MappingStore(path, KEY) as store:
        check_not_behind(store, as_text(seen))
        assert owed(store) == OWED_LISTS
        assert store.pseudonym_of("patient", "site", "12") == "T-1"
        assert settle(store) is True
        assert settle(store) is False
        assert owed(store) == b""


def test_lost_refusals_weigh_more_than_lost_lists_and_are_not_forgotten_by_a_second_restore(path, tmp_path):
    with MappingStore(path, KEY) as store:
        before = copied(store, tmp_path)
        opt_out(store, [Line(2, "9")], Place("site", "", {"site"}, ("",), (), "st"))
        take(store, ("13", "T-2"))
        seen = store.standing()
    path.unlink()
    restored = restore(path, KEY, before, seen, NOW)
    assert (restored.lost_lists, restored.lost_refusals) == (1, 1)

    again = go_on(path, KEY, seen)

    with MappingStore(path, KEY) as store:
        assert owed(store) == OWED_REFUSALS
        assert again.lost_refusals == 0
        assert store.number("restored") == 2


def test_where_nothing_was_lost_nobody_waits(path, tmp_path):
    with MappingStore(path, KEY) as store:
        take(store, ("12", "T-1"))
        before = copied(store, tmp_path)
        store.commit([ANNA])
        seen = store.standing()
    path.write_bytes(b"this is no database at all, and long enough to be looked at" * 20)

    restored = restore(path, KEY, before, seen, NOW)

    assert (restored.lost_lists, restored.aside.name) == (0, "mapping.db.before-20270115T080000Z")
    assert restored.aside.read_bytes().startswith(b"this is no database")
    with MappingStore(path, KEY) as store:
        assert owed(store) == b""
        assert store.commit([ANNA]) == []


def test_a_list_owed_stays_owed_when_the_store_is_restored_once_more(path):
    with MappingStore(path, KEY) as store, store.writing():
        store.put("owed", OWED_LISTS)
    with MappingStore(path, KEY) as store:
        seen = store.standing()

    go_on(path, KEY, seen)

    with MappingStore(path, KEY) as store:
        assert owed(store) == OWED_LISTS


def test_a_newer_store_is_not_overwritten(path, tmp_path):
    with MappingStore(path, KEY) as store:
        before = copied(store, tmp_path)
        store.commit([ANNA])
        seen = store.standing()

    with pytest.raises(RequestRefused, match="newer than the backup"):
        restore(path, KEY, before, seen, NOW)
    with MappingStore(path, KEY) as store:
        assert store.original_of("st-AAAA") == ANNA


def test_another_sites_backup_does_not_take_the_place_of_a_store_in_use(path, tmp_path):
    with MappingStore(tmp_path / "other.db", KEY) as store:
        other = copied(store, tmp_path)
    with MappingStore(path, KEY) as store:
        store.commit([ANNA])
        seen = store.standing()

    for known in (seen, None):
        with pytest.raises(RequestRefused, match="another one's"):
            restore(path, KEY, other, known, NOW)


def test_a_store_in_use_a_damaged_backup_and_another_key_are_refused(path, tmp_path):
    with MappingStore(path, KEY) as store:
        before = copied(store, tmp_path)
        with pytest.raises(RequestRefused, match="in use"):
            restore(path, KEY, before, None, NOW)
        with pytest.raises(RequestRefused, match="in use"):
            go_on(path, KEY, None)
    with pytest.raises(CannotStart, match="not the one that the mapping"):
        restore(path, b"x" * 32, before, None, NOW)
    before.write_bytes(b"damaged")
    assert not is_sound(before)
    with pytest.raises(RequestRefused, match="damaged"):
        restore(path, KEY, before, None, NOW)


def test_without_a_memory_a_restore_is_a_copy(path, tmp_path):
    with MappingStore(path, KEY) as store:
        store.commit([ANNA])
        before = copied(store, tmp_path)
        standing = store.standing()
    path.unlink()

    restore(path, KEY, before, None, NOW)

    with MappingStore(path, KEY) as store:
        assert store.standing() == standing


# --- rotation ---------------------------------------------------------------------------------------------------------


def sealed(store):
    return dict(store.db.execute("SELECT index_, sealed FROM mapped UNION ALL SELECT index_, sealed FROM former"))


def test_every_entry_is_sealed_anew_and_the_old_key_is_gone(store, path, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 2)
    store.commit([ANNA, SCAN, OTHER])
    take(store, ("4711", "T-1"), change=True)
    before, wrapped = sealed(store), store.about("data-key")

    assert rotate(store) == 4

    assert not set(before.values()) & set(sealed(store).values())
    assert store.about("data-key") != wrapped
    assert store.about("data-key-before") is None
    with MappingStore(path, KEY) as again:
        assert again.original_of("st-AAAA") == ANNA
        assert again.original_of("2.25.77") == SCAN


def test_another_process_goes_on_while_the_key_is_rotated(store, path):
    store.commit([ANNA])
    with MappingStore(path, KEY) as other:
        rotate(other)
        other.commit([SCAN])

        assert store.original_of("2.25.77") == SCAN
        assert store.original_of("st-AAAA") == ANNA
        store.commit([OTHER])
        assert other.original_of("2.25.78") == OTHER


def test_a_rotation_that_was_interrupted_is_taken_up(store, monkeypatch):
    store.commit([ANNA, SCAN])

    def power_cut(*_):
        raise RuntimeError("the power went")

    with monkeypatch.context() as cut, pytest.raises(RuntimeError):
        cut.setattr(rotation, "_sealed_anew", power_cut)
        rotate(store)
    assert store.original_of("st-AAAA") == ANNA
    store.commit([OTHER])
    new = store.about("data-key")

    assert rotate(store) == 2
    assert store.about("data-key") == new
    assert store.original_of("2.25.78") == OTHER


# --- erasure ----------------------------------------------------------------------------------------------------------


def test_an_erased_patient_leaves_a_keyed_hash_and_nothing_else(store, path):
    store.commit([ANNA, SCAN, OTHER], [("st-AAAA", "2.25.77"), ("st-BBBB", "2.25.78")])
    take(store, ("4711", "T-1"), change=True)
    wait_for_list(store, "an-instance", "trial-9", "site", "4711")
    person = person_behind(store, "T-1", ("", "trial-9"))
    assert person.pseudonyms == ("T-1", "st-AAAA")
    assert "4711" not in repr(person)

    refuse_for_good(store, person, ("", "trial-9"))
    refuse_for_good(store, person, ("", "trial-9"))
    count = erase(store, person, ("", "trial-9"))

    assert count == 3
    assert store.standing().refusals == 1
    assert to_resume(store, 10) == ["an-instance"]
    assert is_forgotten(store, "site", "4711")
    assert [store.original_of(each) for each in ("T-1", "st-AAAA", "2.25.77")] == [None] * 3
    assert (studies_of(store, "st-AAAA"), studies_of(store, "st-BBBB")) == ([], ["2.25.78"])
    assert store.original_of("2.25.78") == OTHER
    assert erase(store, person, ("",)) == 0
    index = store.index("patient", "", "site", "4711")
    assert not [file for file in path.parent.iterdir() if index in file.read_bytes()]


def test_a_uid_and_a_stranger_are_no_persons(store):
    store.commit([SCAN])

    assert person_behind(store, "2.25.77", ("",)) is None
    assert person_behind(store, "st-NOBODY", ("",)) is None


def test_an_export_does_not_show_a_patient_when_printed(store):
    store.commit([ANNA])

    (patient,) = patients(store)
    assert (patient.number, patient.domain, patient.issuer) == ("4711", "site", "")
    assert "4711" not in repr(patient)


# --- the tables -------------------------------------------------------------------------------------------------------


def test_a_store_of_version_1_is_brought_up_to_date(store, path):
    store.commit([ANNA])
    store.db.executescript(
        "CREATE TABLE old AS SELECT index_, kind, pseudonym, sealed FROM mapped; DROP TABLE mapped;"
        "CREATE TABLE mapped (index_ BLOB PRIMARY KEY, kind TEXT NOT NULL, pseudonym TEXT NOT NULL, sealed BLOB NOT"
        " NULL, UNIQUE (pseudonym, kind)) WITHOUT ROWID; INSERT INTO mapped SELECT * FROM old; DROP TABLE old;"
        "UPDATE about SET value = CAST('1' AS BLOB) WHERE name = 'version';"
        "DROP TABLE former; DROP TABLE refused; DROP TABLE study; DROP TABLE patient; DROP TABLE awaited;"
    )

    with MappingStore(path, KEY) as again:
        assert again.original_of("st-AAAA") == ANNA
        assert again.commit([SCAN], [("st-AAAA", "2.25.9")]) == []
        assert take(again, ("4711", "T-1")).kept == [(2, "st-AAAA")]


def test_tables_that_cannot_be_made_are_not_half_made(path, monkeypatch):
    monkeypatch.setattr("appliance.mapping.schema.SCHEMA", "CREATE TABLE about (name, value);\nNONSENSE;\n")

    with pytest.raises(CannotStart, match="cannot be used"):
        MappingStore(path, KEY)

    assert sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
