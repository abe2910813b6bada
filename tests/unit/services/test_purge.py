import os
import time

import pytest

from appliance.errors import SpoolFull
from appliance.lifecycle import State
from appliance.reasons import Reason
from appliance.services.full_check import FullCheck
from appliance.services.purge import LATEST_S, Purge, PurgeInside, PurgeOutside
from appliance.spool.inside import Passed, Spool
from appliance.spool.requests import Requests
from tests.make import make
from tests.make.arrive import arrive
from tests.make.site import configured

DAY = 86_400.0
NOW = 2_000_000_000.0


@pytest.fixture
def site(tmp_path):
    return configured(tmp_path, "retention: {originals_days: 7, discarded_days: 3, rows_days: 30}\n")


@pytest.fixture
def spool(site):
    spool = Spool(site.state / "inside", reserve_bytes=0, clock=lambda: NOW)
    yield spool
    spool.close()


def purged(site, at):
    purge = Purge(site, clock=lambda: at)
    purge.start()
    while purge.step():
        pass
    purge.stop()


def work_off(purge):
    while purge.step():
        pass


def asked(site, purge, verb):
    """Ask a service, have it work, and return its answer."""
    requests = Requests(site.state / "requests")
    request_id = requests.ask(purge.name, verb, {})
    work_off(purge)
    return requests.wait(purge.name, request_id, 0)


def delivered(spool, number):
    spool_id = arrive(spool, make.ct(SOPInstanceUID=f"1.2.3.{number}"))
    (instance,) = [each for each in spool.claim(9, NOW, set()) if each.id == spool_id]
    out = f"{number}".translate(str.maketrans("0123456789", "abcdefghij")).ljust(32, "z")
    spool.passed([Passed(instance, out, "2.25.1", "2.25.2", f"d{number}", "r")])
    return spool_id, out


def test_an_original_goes_when_every_destination_named_it_and_its_days_are_over(site, spool):
    spool_id, out = delivered(spool, 1)
    spool.delivered([out], NOW)

    purged(site, NOW + 6.9 * DAY)
    assert spool.original(spool_id).exists()
    purged(site, NOW + 7.1 * DAY)

    assert not spool.original(spool_id).exists()
    assert spool.trace(spool_id)[0].instance.state is State.PASSED, "its row is remembered"


def test_what_is_over_its_days_goes_when_somebody_asks_and_by_itself_a_day_later(site, spool):
    first, out = delivered(spool, 1)
    second, later = delivered(spool, 2)
    spool.delivered([out], NOW)
    spool.delivered([later], NOW + DAY)
    moment = [NOW + 6.5 * DAY]
    purge = PurgeInside(site, clock=lambda: moment[0])
    purge.start()
    work_off(purge)

    moment[0] = NOW + 7.1 * DAY
    work_off(purge)
    assert spool.original(first).exists(), "nobody asked, and a day is not over"
    assert asked(site, purge, "purge") == {"done": 1}
    assert not spool.original(first).exists()
    moment[0] = NOW + 8.1 * DAY
    work_off(purge)
    assert spool.original(second).exists()
    moment[0] = NOW + 7.1 * DAY + LATEST_S
    work_off(purge)
    purge.stop()

    assert not spool.original(second).exists()


def test_a_disk_too_full_for_the_answer_is_purged_all_the_same_and_answered_then(site, spool, monkeypatch):
    spool_id, out = delivered(spool, 1)
    spool.delivered([out], NOW)
    moment = [NOW + 6.9 * DAY]
    purge = PurgeInside(site, clock=lambda: moment[0])
    purge.start()
    work_off(purge)
    moment[0] = NOW + 7.1 * DAY

    def full(*_):
        raise SpoolFull("full")

    with monkeypatch.context() as patched:
        patched.setattr(Requests, "answer", full)
        assert asked(site, purge, "purge") is None
    assert not spool.original(spool_id).exists()
    work_off(purge)
    purge.stop()

    assert Requests(site.state / "requests").take("purge-inside") == []


@pytest.mark.parametrize("half", [PurgeInside, PurgeOutside])
def test_a_purging_service_can_be_asked_for_nothing_else(site, half):
    purge = half(site, clock=lambda: NOW)
    purge.start()

    answer = asked(site, purge, "rebuild")
    purge.stop()

    assert "nothing was changed" in answer["error"]


def test_what_is_undelivered_quarantined_or_waiting_is_kept_for_ever(site, spool):
    undelivered, _ = delivered(spool, 1)
    waiting = arrive(spool, make.ct(SOPInstanceUID="1.2.3.8"))
    quarantined = arrive(spool, make.ct(SOPInstanceUID="1.2.3.9"))
    (instance,) = [each for each in spool.claim(9, NOW, set()) if each.id == quarantined]
    spool.quarantine(instance, Reason.NO_PATIENT_ID, "")

    purged(site, NOW + 10_000 * DAY)

    assert all(spool.original(each).exists() for each in (undelivered, waiting, quarantined))


def test_a_discarded_original_goes_after_its_own_days(site, spool):
    spool_id = arrive(spool, make.ct())
    (instance,) = spool.claim(1, NOW, set())
    spool.exclude(instance, Reason.DUPLICATE, "")

    purged(site, NOW + 2.9 * DAY)
    assert spool.original(spool_id).exists()
    purged(site, NOW + 3.1 * DAY)

    assert not spool.original(spool_id).exists()


def test_rows_are_forgotten_last(site, spool):
    spool_id, out = delivered(spool, 1)
    spool.delivered([out], NOW)

    purged(site, NOW + 29 * DAY)
    assert spool.trace(spool_id)
    purged(site, NOW + 31 * DAY)

    assert not spool.trace(spool_id)


def test_the_daily_look_asks_the_owner_to_rebuild_what_is_damaged_and_leaves_alone_what_is_sound(site, spool):
    for number in range(300):
        arrive(spool, make.ct(SOPInstanceUID=f"1.2.3.{number}"))
    requests = Requests(site.state / "requests")
    check = FullCheck(spool.journal.database, "deidentify", requests)
    _look(check, NOW)
    assert requests.take("deidentify") == []
    assert check.step(NOW + DAY - 1) is False, "not before a day is over"

    _spoil(spool.journal.database)
    _look(check, NOW + DAY)

    assert [request.verb for request in requests.take("deidentify")] == ["rebuild"]


def _look(check, now):
    while check.step(now):
        time.sleep(0.01)


def _spoil(database):
    """Overwrite the last pages, as a dying disk does."""
    with database.reading() as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    database.close()
    with database.path.open("r+b") as file:
        file.seek(-size * 6, 2)
        file.write(os.urandom(size * 6))


@pytest.mark.parametrize(("half", "other"), [(PurgeInside, "outside"), (PurgeOutside, "inside")])
def test_each_half_opens_its_own_side_only(site, half, other):
    service = half(site, clock=lambda: NOW)
    service.start()
    while service.step():
        pass
    service.stop()

    assert [path.name for path in site.state.glob(f"{other}/*.db")] == []


def test_the_halves_together_do_what_purge_does(site, spool):
    spool_id, out = delivered(spool, 1)
    spool.delivered([out], NOW)

    for half in (PurgeInside, PurgeOutside):
        service = half(site, clock=lambda: NOW + 31 * DAY)
        service.start()
        while service.step():
            pass
        service.stop()

    assert not spool.trace(spool_id)


class Disk:
    """So much is free, and every original that goes gives 10 GiB."""

    def __init__(self, free_gb, folder):
        self._full = free_gb
        self._folder = folder
        self._before = self._count()

    def _count(self):
        return sum(1 for _ in self._folder.rglob("*.dcm"))

    def __call__(self, _):
        return (self._full + 10 * (self._before - self._count())) * 1024**3


def filling(site, at, free_gb):
    purge = PurgeInside(site, clock=lambda: at, free=Disk(free_gb, site.state / "inside"))
    purge.start()
    while purge.step():
        pass
    purge.stop()


@pytest.fixture
def early(tmp_path):
    return configured(tmp_path, "retention: {originals_days: 7, rows_days: 30, early_below_gb: 45}\n")


def test_while_the_disk_fills_delivered_originals_go_the_longest_ago_first_and_no_more_than_needed(early, spool):
    ids = []
    for number in (1, 2, 3, 4):
        spool_id, out = delivered(spool, number)
        spool.delivered([out], NOW + number)
        ids.append(spool_id)

    filling(early, NOW + DAY, free_gb=30)

    assert [spool.original(each).exists() for each in ids] == [False, False, True, True]


def test_however_full_the_disk_is_nothing_goes_early_that_was_not_delivered(early, spool):
    undelivered, _ = delivered(spool, 1)
    waiting = arrive(spool, make.ct(SOPInstanceUID="1.2.3.8"))
    discarded = arrive(spool, make.ct(SOPInstanceUID="1.2.3.9"))
    (instance,) = [each for each in spool.claim(9, NOW, set()) if each.id == discarded]
    spool.exclude(instance, Reason.DUPLICATE, "")

    filling(early, NOW + DAY, free_gb=0)

    assert all(spool.original(each).exists() for each in (undelivered, waiting, discarded))


def test_with_room_enough_or_without_the_setting_originals_stay_for_their_days(early, site, spool):
    spool_id, out = delivered(spool, 1)
    spool.delivered([out], NOW)

    filling(early, NOW + DAY, free_gb=46)
    filling(site, NOW + DAY, free_gb=0)

    assert spool.original(spool_id).exists()
