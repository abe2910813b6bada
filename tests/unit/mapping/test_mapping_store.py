"""The mapping keeps the way back, tells nothing without the key, and cannot be made to join two people."""

import sqlite3
import stat

import pytest

from appliance.deid.outcome import Minted
from appliance.errors import CannotStart
from appliance.mapping.store import MappingStore

KEY = b"k" * 32
ANNA = Minted("patient", "site", "Müller 00123", "st-AAAA")
SCAN = Minted("uid", "", "1.2.3.4", "2.25.77")


@pytest.fixture
def store(tmp_path):
    with MappingStore(tmp_path / "mapping" / "mapping.db", KEY) as opened:
        yield opened


def test_what_was_committed_is_found_both_ways(store):
    assert store.commit([ANNA, SCAN]) == []

    assert store.original_of("st-AAAA") == ANNA
    assert store.original_of("2.25.77") == SCAN
    assert store.pseudonym_of("patient", "site", "Müller 00123") == "st-AAAA"
    assert store.original_of("st-NONE") is None
    assert store.pseudonym_of("patient", "clinic:x", "Müller 00123") is None


def test_committing_twice_changes_nothing(store):
    store.commit([ANNA, ANNA])

    assert store.commit([ANNA]) == []
    assert store.count() == 1


def test_a_pseudonym_of_another_original_is_reported_and_not_kept(store):
    store.commit([ANNA])
    stranger = Minted("patient", "site", "999", "st-AAAA")

    assert store.commit([stranger, SCAN]) == [stranger]

    assert store.original_of("st-AAAA") == ANNA
    assert store.original_of("2.25.77") == SCAN


def test_an_original_with_another_pseudonym_is_reported(store):
    store.commit([ANNA])
    other = Minted("patient", "site", "Müller 00123", "st-BBBB")

    assert store.commit([other]) == [other]
    assert store.original_of("st-BBBB") is None


def test_projects_with_own_pseudonyms_do_not_collide_with_the_site(store):
    own = Minted("patient", "site", "Müller 00123", "st-CCCC", "trial")

    assert store.commit([ANNA, own]) == []
    assert store.original_of("st-CCCC") == own


def test_no_original_stands_in_the_files(tmp_path):
    with MappingStore(tmp_path / "m.db", KEY) as opened:
        opened.commit([ANNA, SCAN])
        bodies = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    for original in ("Müller 00123".encode(), "Müller 00123".encode("utf-16-le"), b"00123", b"1.2.3.4"):
        assert original not in bodies


def test_it_survives_being_closed(tmp_path):
    with MappingStore(tmp_path / "m.db", KEY) as opened:
        opened.commit([ANNA])

    with MappingStore(tmp_path / "m.db", KEY) as opened:
        assert opened.original_of("st-AAAA") == ANNA


def test_another_key_cannot_open_it(tmp_path):
    MappingStore(tmp_path / "m.db", KEY).close()

    with pytest.raises(CannotStart, match="not the one that the mapping"):
        MappingStore(tmp_path / "m.db", b"x" * 32)


def test_a_store_whose_key_check_was_changed_is_noticed_by_check_key(store):
    store.check_key()
    store.db.execute("UPDATE about SET value = x'00' WHERE name = 'key-check'")

    with pytest.raises(CannotStart):
        store.check_key()


def test_an_altered_entry_is_noticed(store, tmp_path):
    store.commit([ANNA, SCAN])
    with sqlite3.connect(tmp_path / "mapping" / "mapping.db") as db:
        other = db.execute("SELECT sealed FROM mapped WHERE kind = 'uid'").fetchone()[0]
        db.execute("UPDATE mapped SET sealed = ? WHERE kind = 'patient'", (other,))
    db.close()

    with pytest.raises(CannotStart, match="altered or damaged"):
        store.original_of("st-AAAA")


def test_an_altered_data_key_is_noticed(tmp_path):
    with MappingStore(tmp_path / "m.db", KEY) as opened:
        opened.db.execute("UPDATE about SET value = x'00' WHERE name = 'data-key'")

    with pytest.raises(CannotStart, match="data key"):
        MappingStore(tmp_path / "m.db", KEY)


def test_a_newer_store_is_refused(tmp_path):
    with MappingStore(tmp_path / "m.db", KEY) as opened:
        opened.db.execute("UPDATE about SET value = x'39' WHERE name = 'version'")

    with pytest.raises(CannotStart, match="newer program"):
        MappingStore(tmp_path / "m.db", KEY)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "m.db").write_bytes(b"this is no database at all, and long enough to be looked at" * 20)

    with pytest.raises(CannotStart, match="cannot be used"):
        MappingStore(tmp_path / "m.db", KEY)


def test_a_commit_that_fails_half_way_keeps_nothing(store):
    def minted():
        yield ANNA
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        store.commit(minted())

    assert store.count() == 0
    assert store.commit([ANNA]) == []


def test_a_second_user_of_the_group_can_write(tmp_path):
    path = tmp_path / "mapping" / "mapping.db"
    with MappingStore(path, KEY) as opened:
        opened.commit([ANNA])
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}

    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    assert modes == dict.fromkeys(("mapping.db", "mapping.db-wal", "mapping.db-shm", "mapping.lock"), 0o660)


def test_every_commit_reaches_the_disk(store):
    assert store.db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert store.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store.db.execute("PRAGMA trusted_schema").fetchone()[0] == 0


def test_when_sqlite_rolled_back_by_itself_the_error_is_told_and_not_another(store):
    with pytest.raises(RuntimeError, match="disk is full"), store.writing() as db:
        db.execute("ROLLBACK")  # as a full disk makes SQLite do
        raise RuntimeError("disk is full")

    assert store.commit([ANNA]) == []


def test_studies_and_owners_are_kept_with_what_was_minted(store):
    mine = Minted("uid", "", "1.2.3.9", "2.25.99", owner="st-AAAA")

    store.commit([ANNA, mine], [("st-AAAA", "2.25.99")])
    store.commit([ANNA, mine], [("st-AAAA", "2.25.99")])

    assert store.db.execute("SELECT count(*) FROM study").fetchone() == (1,)
    assert store.standing().changes == 1
    owned = "SELECT m.pseudonym FROM mapped m JOIN patient p ON p.number = m.owner WHERE p.pseudonym = 'st-AAAA'"
    assert store.db.execute(owned).fetchall() == [("2.25.99",)]


def test_two_that_open_a_new_store_at_once_make_it_once(tmp_path, monkeypatch):
    from appliance.mapping import schema

    MappingStore(tmp_path / "m.db", KEY).close()
    versions = iter([0, schema.VERSION])
    monkeypatch.setattr(schema, "_version", lambda _db: next(versions))

    with MappingStore(tmp_path / "m.db", KEY) as opened:
        assert opened.commit([ANNA]) == []


@pytest.mark.parametrize(
    ("code", "advised"),
    [
        (sqlite3.SQLITE_FULL, "Do not restore it"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "Do not restore it"),
        (sqlite3.SQLITE_READONLY, "Do not restore it"),
        (sqlite3.SQLITE_CORRUPT, "Restore it from its newest backup"),
        (sqlite3.SQLITE_NOTADB, "Restore it from its newest backup"),
    ],
)
def test_a_full_or_read_only_disk_is_no_reason_to_put_back_an_older_mapping(tmp_path, monkeypatch, code, advised):
    def refuse(_self):
        error = sqlite3.OperationalError("no")
        error.sqlite_errorcode, error.sqlite_errorname = code, "SQLITE_X"
        raise error

    monkeypatch.setattr(MappingStore, "_prepare", refuse)

    with pytest.raises(CannotStart, match=advised):
        MappingStore(tmp_path / "mapping.db", KEY)
