"""What is durable before what: the order that no power cut can turn against an instance."""

from pathlib import Path

import pytest

from appliance.reasons import Reason
from appliance.spool import files, inside, outbox
from appliance.spool.database import Database
from appliance.spool.settled import LOST, Settled

FULL = 2  # PRAGMA synchronous


@pytest.fixture
def steps(house, monkeypatch) -> list[str]:
    """The durable steps as they are taken, in words."""
    taken: list[str] = []
    commit = Database.commit

    def commits(database: Database, connection) -> None:
        (mode,) = connection.execute("PRAGMA synchronous").fetchone()
        taken.append(f"{database.path.stem}{'' if mode == FULL else ' (not synced)'}")
        commit(database, connection)

    def told(name: str) -> None:
        real = getattr(files, name)

        def step(*args):
            paths = [arg.name if arg.is_dir() or name == "fsync_folder" else arg.suffix for arg in args if arg]
            result = real(*args)
            if result is not False:  # unlink of nothing
                taken.append(f"{name} {' '.join(p for p in paths if isinstance(p, str))}")
            return result

        for module in (files, inside, outbox):
            if getattr(module, name, None) is real:
                monkeypatch.setattr(module, name, step)

    monkeypatch.setattr(Database, "commit", commits)
    for name in ("rename", "unlink", "fsync_folder"):
        told(name)
    return taken


def shard(path: Path) -> str:
    return path.parent.name


def test_a_ready_file_and_its_name_are_durable_before_its_row(house, steps):
    (instance,) = house.receive(1)
    steps.clear()

    (ready,) = house.admit([instance])

    assert steps == ["rename .dcm .dcm", f"fsync_folder {shard(house.outbox.layout.ready(ready.out))}", "outbox"]


def test_passing_is_synced(house, steps):
    instances = house.receive(1)
    steps.clear()

    house.pass_on(instances)

    assert steps[-1] == "journal"


def test_a_ready_file_is_removed_after_its_row_says_forwarded(house, steps):
    house.admit(house.receive(1))
    parcels = house.parcels()
    steps.clear()

    house.outbox.stored(parcels, "research", 0)

    assert steps == ["outbox", "unlink .dcm"]


def test_a_rejected_file_moves_after_its_row(house, steps):
    house.admit(house.receive(1))
    (parcel,) = house.parcels()
    house.outbox.layout.rejected(parcel.out, Reason.DESTINATION_REFUSED).parent.mkdir()
    steps.clear()

    house.outbox.refused(parcel, "research", Reason.DESTINATION_REFUSED, "")

    folder = "destination-refused"
    assert steps == [
        *("outbox", "rename .part .txt", f"fsync_folder {folder}"),
        *("rename .dcm .dcm", f"fsync_folder {folder}", f"fsync_folder {shard(parcel.file)}"),
    ]


def test_a_quarantined_file_moves_after_its_row(house, steps):
    (instance,) = house.receive(1)
    steps.clear()

    house.spool.quarantine(instance, Reason.RULE, "")

    assert steps[0] == "journal"
    assert [step for step in steps if step.startswith("rename")] == ["rename .part .txt", "rename .dcm .dcm"]


@pytest.mark.parametrize("move", ["release", "discard"])
def test_a_file_comes_back_from_quarantine_after_its_row(house, steps, move):
    (instance,) = house.receive(1)
    house.spool.quarantine(instance, Reason.RULE, "")
    steps.clear()

    getattr(house.spool, move)(instance.id)

    assert steps[:2] == ["journal", "rename .dcm .dcm"]


def test_an_original_is_removed_after_its_row_says_purged(house, steps):
    (instance,) = house.receive(1)
    house.spool.exclude(instance, Reason.DUPLICATE, "")
    steps.clear()

    house.spool.original_purged([instance.id])

    assert steps == ["journal", "unlink .dcm"]


def test_a_rejected_file_goes_after_the_row_of_the_round_that_takes_its_place(house, steps):
    (instance,) = house.receive(1)
    house.pass_on([instance])
    house.outbox.refused(house.parcels()[0], "research", Reason.DESTINATION_REFUSED, "")
    house.follow()
    house.spool.release(instance.id)
    steps.clear()

    house.admit([house.instance(instance.id)])

    assert steps[-3:] == ["outbox", "unlink .txt", "unlink .dcm"]


def test_every_move_is_synced_and_arrivals_claims_and_deferrals_are_not(house, steps):
    first, second, third = house.receive(1, 2, 3)
    house.spool.claim(1, house.clock(), set())
    house.spool.defer(first, 0)
    assert {step for step in steps if "journal" in step} == {"journal (not synced)"}

    steps.clear()
    house.spool.exclude(first, Reason.DUPLICATE, "")
    house.spool.hold(second, Reason.NO_IDENTITY_YET, "")
    house.spool.replay(first.id)
    house.spool.discard(second.id)
    house.spool.follow([Settled(1, "x", "FORWARDED", "", "", 0)], "generation")
    house.spool.requeue(["x"])
    house.spool.settings.put("key", "value")
    assert {step for step in steps if "journal" in step} == {"journal"}

    steps.clear()
    house.admit([third])
    house.outbox.rows.lost("x", 0)
    house.outbox.open_source("CT1", "main")
    house.outbox.close_source("CT1", "main")
    house.outbox.abandon("research")
    assert {step for step in steps if "outbox" in step} == {"outbox"}


def test_what_is_told_as_lost_but_went_on_meanwhile_is_left_alone(house):
    (instance,) = house.receive(1)
    (ready,) = house.pass_on([instance])
    house.deliver()
    house.follow()
    house.spool.replay(instance.id)
    house.spool.hold(house.instance(instance.id), Reason.NO_IDENTITY_YET, "")
    before = house.instance(instance.id)

    house.spool.follow([Settled(9, ready.out, LOST, "", "", 0)], house.outbox.generation)
    house.spool.requeue([ready.out])

    assert house.instance(instance.id) == before
