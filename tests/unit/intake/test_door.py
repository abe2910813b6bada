"""The last step of every way in: file first, row soon, and a journal in trouble loses nothing."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.dicom.meta import FileMeta, provenance_from_meta
from appliance.errors import SpoolFull
from appliance.intake import door as door_module
from appliance.intake.door import Door
from appliance.model import Provenance, is_spool_id
from tests.peers.patience import until
from tests.peers.receiver import Shelf

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
FROM = Provenance("CT1", "main", "../../etc", "EDGE", "192.0.2.7")
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def door(shelf: Shelf) -> Iterator[Door]:
    opened = Door(shelf, role="receive", clock=lambda: NOON, batch_s=0.02)
    yield opened
    opened.close()


def keep_one(door: Door) -> str:
    with door.begin(FROM, CT, "1.2.3", EXPLICIT) as entry:
        entry.write(bytes(100))
        return entry.keep().id


def test_an_id_is_made_of_time_and_source_and_never_of_the_title(door: Door, shelf: Shelf) -> None:
    id = keep_one(door)

    assert is_spool_id(id)
    assert id.startswith("20261120T120000000Z-CT1-")
    assert [path.name for path in shelf.files] == [f"{id}.dcm"]


def test_two_instances_of_one_millisecond_have_different_ids(door: Door) -> None:
    assert len({keep_one(door) for _ in range(200)}) == 200


def test_the_file_alone_tells_everything_the_row_needs(door: Door, shelf: Shelf) -> None:
    keep_one(door)

    with shelf.files[0].open("rb") as file:
        meta = FileMeta.decode(file)

    assert provenance_from_meta(meta) == FROM
    assert (meta.sop_class, meta.sop_instance, meta.transfer_syntax) == (CT, "1.2.3", EXPLICIT)
    assert json.loads(meta.private.rstrip(b"\0"))["source"] == "CT1"


def test_what_is_not_kept_is_dropped(door: Door, shelf: Shelf) -> None:
    with door.begin(FROM, CT, "1.2.3", EXPLICIT) as entry:
        entry.write(b"half")

    assert shelf.files + shelf.halves == []
    with pytest.raises(ValueError, match="dropped"):
        entry.write(b"more")


def test_an_entry_is_kept_once(door: Door, shelf: Shelf) -> None:
    entry = door.begin(FROM, CT, "1.2.3", EXPLICIT)
    entry.write(bytes(8))
    entry.keep()
    entry.drop()

    with pytest.raises(ValueError, match="kept"):
        entry.keep()
    assert len(shelf.files) == 1


def test_rows_share_a_commit(shelf: Shelf) -> None:
    batches: list[int] = []
    shelf.on_arrived = lambda arrivals: batches.append(len(arrivals))
    door = Door(shelf, role="receive", batch_s=0.3)

    for _ in range(50):
        keep_one(door)

    assert until(lambda: sum(batches) == 50)
    assert len(batches) < 5
    door.close()


def test_a_journal_in_trouble_refuses_nothing_and_gets_every_row_later(door: Door, shelf: Shelf) -> None:
    def locked(_arrivals: object) -> None:
        raise RuntimeError("database is locked")

    shelf.on_arrived = locked
    ids = [keep_one(door) for _ in range(3)]
    time.sleep(0.1)
    assert (door.waiting, door.has_room()) == (3, True)

    shelf.on_arrived = lambda _arrivals: None

    assert until(lambda: [row.id for row in shelf.rows] == ids)
    assert door.waiting == 0


def test_closing_hands_over_what_waits(shelf: Shelf) -> None:
    door = Door(shelf, role="receive", batch_s=60)
    keep_one(door)

    door.close()

    assert len(shelf.rows) == 1


def test_a_journal_hopelessly_behind_makes_senders_come_later(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "MOST_WAITING", 2)
    door = Door(shelf, role="receive", batch_s=60)
    keep_one(door)
    keep_one(door)

    assert not door.has_room()
    with pytest.raises(SpoolFull):
        door.begin(FROM, CT, "1.2.3", EXPLICIT)
    door.close()


def test_under_the_reserve_there_is_no_room(door: Door, shelf: Shelf) -> None:
    shelf.room = False

    assert not door.has_room()
