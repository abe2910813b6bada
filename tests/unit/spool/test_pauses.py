"""A destination that a person paused stays paused until a person resumes it."""

from contextlib import closing

import pytest

from appliance.spool.deliveries import Deliveries
from appliance.spool.outbox import Outbox
from appliance.spool.pauses import FILE, Pause


@pytest.fixture
def outbox(tmp_path):
    made = Outbox(tmp_path / "outside")
    yield made
    made.close()


def test_a_pause_is_known_after_a_restart(outbox, tmp_path):
    outbox.pauses.pause("research", "alice", 1000.0)
    outbox.close()
    again = Outbox(tmp_path / "outside")

    assert again.pauses.all() == {"research": Pause("alice", 1000.0)}
    again.close()


def test_who_paused_first_is_remembered(outbox):
    outbox.pauses.pause("research", "alice", 1000.0)
    outbox.pauses.pause("research", "bob", 2000.0)

    assert outbox.pauses.all()["research"].by == "alice"


def test_what_is_resumed_is_not_paused_and_others_are(outbox):
    outbox.pauses.pause("research", "alice", 1000.0)
    outbox.pauses.pause("trial", "alice", 1000.0)
    outbox.pauses.resume("research")

    assert list(outbox.pauses.all()) == ["trial"]


def lose(folder):
    """The rows are gone, as after a disk's fault: the outbox is made again from files."""
    for file in folder.glob("outbox.db*"):
        file.unlink()


def test_a_pause_outlives_the_outbox_and_ends_when_a_person_resumes(outbox, tmp_path):
    outbox.pauses.pause("research", "alice", 1000.0)
    outbox.pauses.pause("trial", "alice", 1000.0)
    outbox.pauses.resume("trial")
    outbox.close()
    lose(tmp_path / "outside")
    again = Outbox(tmp_path / "outside")

    assert again.pauses.all() == {"research": Pause("alice", 1000.0)}
    with closing(Deliveries.open_readonly(again.layout.database)) as looked_at:
        assert list(looked_at.pauses.all()) == ["research"], "whoever only looks sees it too"
    again.pauses.resume("research")
    assert again.pauses.all() == {}
    again.close()


def test_a_pause_of_a_version_that_knew_no_file_still_holds_and_can_be_resumed(outbox):
    outbox.settings.put("paused research", '{"by": "alice", "at": 1000.0}')

    assert outbox.pauses.all() == {"research": Pause("alice", 1000.0)}
    outbox.pauses.resume("research")
    assert outbox.pauses.all() == {}


@pytest.mark.parametrize("body", [b"", b"[]", b'{"research": 1}', b'{"research": {"by": "alice"}}', b"\xff\x00"])
def test_a_file_that_was_damaged_stops_nothing_and_the_rows_hold(outbox, body):
    outbox.pauses.pause("research", "alice", 1000.0)
    outbox.layout.database.with_name(FILE).write_bytes(body)

    assert outbox.pauses.all() == {"research": Pause("alice", 1000.0)}
    outbox.pauses.pause("trial", "bob", 2000.0)
    assert set(outbox.pauses.all()) == {"research", "trial"}
