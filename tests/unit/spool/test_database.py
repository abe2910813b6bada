"""One database for several services of two users."""

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from appliance.errors import CannotStart, SpoolFull, Unsafe
from appliance.spool.database import Database, DatabaseDamaged
from appliance.spool.deliveries import Deliveries
from appliance.spool.journal import Journal
from tests.make.spooled import arrival

SCHEMA = """
CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "side" / "rows.db"


@pytest.fixture
def database(path):
    found = Database(path, SCHEMA)
    yield found
    found.close()


def write(database: Database, key: str, *, durably: bool = True) -> None:
    with database.writing(durably=durably) as connection:
        connection.execute("INSERT INTO setting VALUES (?, '')", (key,))


def keys(database: Database) -> list[str]:
    with database.reading() as connection:
        return [key for (key,) in connection.execute("SELECT key FROM setting ORDER BY key")]


def test_database_and_its_log_can_be_written_by_the_group_whatever_the_umask(path):
    before = os.umask(0o077)
    try:
        database = Database(path, SCHEMA)
        write(database, "a")
    finally:
        os.umask(before)

    modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    assert modes == {"rows.db": 0o660, "rows.db-wal": 0o660, "rows.db-shm": 0o660}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o2770
    database.close()


def test_a_durable_commit_is_synced_and_an_arrivals_is_not(database):
    with database.writing(durably=True) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    with database.writing(durably=False) as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA trusted_schema").fetchone() == (0,)


def test_a_transaction_that_raises_leaves_nothing(database):
    with pytest.raises(KeyError), database.writing(durably=True) as connection:
        connection.execute("INSERT INTO setting VALUES ('a', '')")
        raise KeyError

    assert keys(database) == []
    write(database, "b")
    assert keys(database) == ["b"]


def test_reading_within_a_transaction_sees_what_it_wrote(database):
    with database.writing(durably=True) as connection:
        connection.execute("INSERT INTO setting VALUES ('a', '')")
        assert keys(database) == ["a"]


def test_threads_take_turns(database):
    threads = [
        threading.Thread(target=lambda n=n: [write(database, f"{n}-{i}", durably=False) for i in range(50)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys(database)) == 200


def test_a_full_disk_is_told_as_spool_full_and_leaves_what_was_there(database):
    write(database, "a")
    with database.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    database._connected().execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(SpoolFull, match="is full"), database.writing(durably=True) as connection:
        connection.execute("INSERT INTO setting VALUES ('big', ?)", ("x" * 100_000,))

    assert keys(database) == ["a"]


def test_another_fault_of_the_database_is_raised_as_it_is(database):
    with pytest.raises(sqlite3.OperationalError, match="no such table"), database.writing(durably=True) as connection:
        connection.execute("INSERT INTO unknown VALUES (1)")


@pytest.mark.parametrize("make", [lambda path, other: path.symlink_to(other), lambda path, other: os.link(other, path)])
def test_a_link_in_the_place_of_a_database_is_not_followed(path, tmp_path, make):
    other = tmp_path / "precious"
    other.write_bytes(b"")
    path.parent.mkdir()
    make(path, other)

    with pytest.raises(Unsafe, match="not opened"):
        Database(path, SCHEMA)
    with pytest.raises(Unsafe):
        keys(Database(path, SCHEMA, read_only=True))

    assert other.read_bytes() == b""


def test_a_database_of_a_newer_version_is_refused_and_kept(path):
    Database(path, SCHEMA, 2).close()

    with pytest.raises(CannotStart, match="newer version"):
        Database(path, SCHEMA, 1)

    assert [found.name for found in path.parent.iterdir() if "damaged" in found.name] == []


def test_a_trigger_that_somebody_planted_is_not_run(path):
    Database(path, SCHEMA).close()
    planted = sqlite3.connect(path)
    planted.execute("CREATE TRIGGER planted AFTER INSERT ON setting BEGIN DELETE FROM setting; END")
    planted.commit()
    planted.close()

    database = Database(path, SCHEMA)
    write(database, "a")

    assert keys(database) == ["a"]
    assert database.set_aside_to is not None
    assert database.set_aside_to.exists()
    database.close()


def test_a_file_that_is_no_database_is_set_aside(path):
    path.parent.mkdir()
    path.write_bytes(b"something else" * 100)

    database = Database(path, SCHEMA)
    write(database, "a")

    assert keys(database) == ["a"]
    assert database.set_aside_to.read_bytes() == b"something else" * 100
    database.close()


def test_who_has_it_open_when_it_is_set_aside_writes_into_the_new_one(path, database):
    write(database, "old")
    other = Database(path, SCHEMA)
    assert keys(other) == ["old"]

    database.set_aside()
    write(other, "new")

    assert keys(database) == keys(other) == ["new"]
    other.close()
    write(database, "newer")
    assert keys(database) == ["new", "newer"]


def test_the_log_of_a_database_that_is_gone_is_not_believed(path, database):
    write(database, "old")
    log = path.with_name("rows.db-wal").read_bytes()
    database.close()
    path.unlink()
    path.with_name("rows.db-wal").write_bytes(log)

    again = Database(path, SCHEMA)

    assert keys(again) == []
    assert again.check() == []
    again.close()


def test_a_database_that_somebody_else_holds_is_not_taken_for_damaged(path, database, monkeypatch):
    monkeypatch.setattr("appliance.spool.database.BUSY_S", 0.05)
    database.close()
    holder = sqlite3.connect(path)
    holder.execute("PRAGMA journal_mode=DELETE")
    holder.execute("BEGIN EXCLUSIVE")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        Database(path, SCHEMA)

    holder.close()
    assert not list(path.parent.glob("*damaged*"))


def test_services_that_start_together_make_one_database(path):
    script = (
        "import sys; from pathlib import Path; from appliance.spool.database import Database\n"
        "database = Database(Path(sys.argv[1]), sys.argv[2])\n"
        "with database.writing(durably=True) as connection:\n"
        "    connection.execute('INSERT INTO setting VALUES (?, ?)', (sys.argv[3], ''))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, path, SCHEMA, str(n)]) for n in range(6)]

    assert [process.wait(60) for process in processes] == [0] * 6
    assert len(keys(Database(path, SCHEMA))) == 6


def test_a_check_finds_damage_and_nothing_in_a_sound_file(database, path):
    for number in range(500):
        write(database, f"{number:0500}", durably=False)
    assert database.check() == database.check(full=True) == []
    database.close()
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 10))
    assert database.check() != []

    path.write_bytes(b"x" * 5000)
    assert database.check() != []
    path.unlink()
    with pytest.raises(sqlite3.OperationalError):
        database.check()


def test_damage_met_while_it_is_used_ends_the_service_that_owns_it(database, path):
    for number in range(500):
        write(database, f"{number:0500}", durably=False)
    database.close()
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096 * 40))

    with pytest.raises(DatabaseDamaged, match="No image is lost"):
        keys(database)

    assert database.damaged
    database.set_aside()
    assert (keys(database), database.damaged) == ([], False)


def test_a_reader_sees_nothing_before_there_is_a_database_and_everything_after(path):
    path.parent.mkdir()
    reader = Database(path, SCHEMA, read_only=True)
    assert keys(reader) == []
    path.touch()  # being made
    assert keys(reader) == []
    path.unlink()

    writer = Database(path, SCHEMA)
    write(writer, "a")

    assert keys(reader) == ["a"]
    writer.close()
    reader.close()


def test_a_reader_of_a_damaged_database_sees_nothing(path):
    path.parent.mkdir()
    path.write_bytes(b"x" * 5000)

    assert keys(Database(path, SCHEMA, read_only=True)) == []


def test_a_reader_cannot_write(path, database):
    reader = Database(path, SCHEMA, read_only=True)

    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        write(reader, "a")


def test_a_reader_reads_while_a_writer_is_in_the_middle(path, database):
    write(database, "a")
    reader = Database(path, SCHEMA, read_only=True)

    with database.writing(durably=True) as connection:
        connection.execute("INSERT INTO setting VALUES ('b', '')")
        assert keys(reader) == ["a"]

    assert keys(reader) == ["a", "b"]
    reader.close()


def test_readers_of_both_sides_see_nothing_before_anything_was_received(tmp_path):
    journal = Journal.open_readonly(tmp_path / "inside" / "journal.db")
    outbox = Deliveries.open_readonly(tmp_path / "outside" / "outbox.db")

    assert journal.counts() == outbox.counts() == journal.trace(arrival(1).id) == []
    assert not (tmp_path / "inside").exists()
    journal.close()
    outbox.close()


def test_processes_take_turns(path, database):
    script = (
        "import sys; from pathlib import Path; from appliance.spool.database import Database\n"
        "database = Database(Path(sys.argv[1]), sys.argv[2])\n"
        "for number in range(100):\n"
        "    with database.writing(durably=False) as connection:\n"
        "        connection.execute('INSERT INTO setting VALUES (?, ?)', (f'{sys.argv[3]}-{number}', ''))\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, path, SCHEMA, str(n)]) for n in range(2)]

    assert [process.wait(60) for process in processes] == [0, 0]
    assert len(keys(database)) == 200
