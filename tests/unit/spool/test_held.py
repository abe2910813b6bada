"""How much of the disk each source takes is counted with every row, and counted once where an older version was."""

import pytest

from appliance.spool import held as holding
from appliance.spool.held import held
from tests.make.spooled import House, arrival


@pytest.fixture
def house(tmp_path):
    made = House(tmp_path)
    yield made
    made.close()


def counted(house):
    return held(house.spool.journal.database)


def test_each_source_takes_the_sizes_of_its_originals_until_they_are_purged(house):
    one, two = house.receive(1, 2, source="CT1", size=300)
    house.receive(3, source="MR1", size=50)
    assert counted(house) == {"CT1": 600, "MR1": 50}

    house.pass_on([one, two])
    house.deliver()
    house.follow()
    assert counted(house) == {"CT1": 600, "MR1": 50}
    house.spool.original_purged([one.id])
    assert counted(house) == {"CT1": 300, "MR1": 50}
    house.spool.original_purged([one.id, two.id])
    assert counted(house) == {"MR1": 50}
    house.spool.purge_rows(house.clock() + 1)
    assert counted(house) == {"MR1": 50}


def test_a_row_that_is_there_already_counts_once(house):
    house.receive(1, size=300)
    house.spool.arrived([arrival(1, size=300)])

    assert counted(house) == {"CT1": 300}


def as_of_version_1(house):
    """Make the journal what the version before left, with its rows."""
    with house.spool.journal.database.writing(durably=True) as connection:
        for kind, name in connection.execute(
            "SELECT type, name FROM sqlite_master WHERE name GLOB 'held*' ORDER BY type DESC"
        ).fetchall():
            connection.execute(f"DROP {kind} IF EXISTS {name}")
        for index in ("withheld", "withheld_of"):
            connection.execute(f"DROP INDEX {index}")
        connection.execute("DELETE FROM setting WHERE key = ?", (holding._COUNTED,))
        connection.execute("PRAGMA user_version = 1")


def test_a_filled_journal_of_the_version_before_keeps_its_rows_and_is_counted(house):
    purged, *_ = house.receive(1, 2, 3, size=300)
    house.pass_on([purged])
    house.deliver()
    house.follow()
    house.spool.original_purged([purged.id])
    as_of_version_1(house)

    house.reopen()
    house.receive(4, size=10)

    assert counted(house) == {"CT1": 610}
    assert sum(each.n for each in house.spool.counts()) == 4
    assert house.spool.journal.database.set_aside_to is None


def test_a_crash_between_the_new_tables_and_the_counting_counts_at_the_next_start(house, monkeypatch):
    house.receive(1, 2, size=300)
    as_of_version_1(house)
    monkeypatch.setattr("appliance.spool.journal.count_once", lambda _: None)
    house.reopen()
    house.receive(3, size=10)
    monkeypatch.undo()

    house.reopen()

    assert counted(house) == {"CT1": 610}
