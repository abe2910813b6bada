"""A destination that a person paused stays paused until a person resumes it."""

import pytest

from appliance.spool.outbox import Outbox
from appliance.spool.pauses import Pause


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
