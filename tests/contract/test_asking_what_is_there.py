"""Asking what a destination has: scripted archive and real Orthanc pass the same assertions."""

import pytest

from appliance.config import Destination
from appliance.outlet import inventory
from appliance.outlet.destination import Unavailable
from appliance.outlet.inventory import Absent, NotAnswered
from tests.make.parcels import parcels


@pytest.fixture
def asking():
    """Opens a way to ask a cloud."""
    opened = []

    def to(cloud):
        opened.append(inventory.connect(Destination("research", url=cloud.dicomweb, timeout_s=5)))
        return opened[-1]

    yield to
    for each in opened:
        each.close()


@pytest.fixture
def stored(connect, outbound):
    """Delivers so many instances of one study to a cloud; returns the study, and their UIDs in order."""

    def store(cloud, count):
        made = parcels(outbound, count=count)
        connect(cloud).deliver(made)
        return made[0].study, sorted(each.sop_instance for each in made)

    return store


def test_what_it_has_is_not_absent_and_what_it_never_had_is(keeping, asking, stored):
    study, uids = stored(keeping, 5)

    assert asking(keeping).absent(study, uids) == Absent(frozenset())
    assert asking(keeping).absent(study, [*uids, "2.25.4711"]) == Absent(frozenset({"2.25.4711"}))
    assert asking(keeping).absent("2.25.4712", ["2.25.4713"]) == Absent(frozenset({"2.25.4713"}))


def test_a_study_larger_than_a_page_is_asked_for_page_by_page(keeping, asking, stored, monkeypatch):
    monkeypatch.setattr(inventory, "PAGE", 2)
    study, uids = stored(keeping, 5)

    assert asking(keeping).absent(study, [*uids, "2.25.4711"]) == Absent(frozenset({"2.25.4711"}))


def test_a_study_is_one_request_where_nothing_is_missing(cloud, asking, stored):
    study, uids = stored(cloud, 5)

    asking(cloud).absent(study, uids)

    assert cloud.archive.asked == [f"GET /dicom-web/studies/{study}/instances?limit=200&offset=0"]


def test_an_archive_that_cuts_its_lists_is_asked_on(cloud, asking, stored):
    study, uids = stored(cloud, 5)
    cloud.archive.most = 2

    assert asking(cloud).absent(study, uids) == Absent(frozenset())


@pytest.mark.parametrize("status", [400, 403, 404, 501])
def test_where_a_study_is_not_listed_each_instance_is_searched_for(cloud, asking, stored, status):
    study, uids = stored(cloud, 3)
    cloud.archive.studies = status
    del cloud.stored[uids[1]]

    assert asking(cloud).absent(study, uids) == Absent(frozenset({uids[1]}))


@pytest.mark.parametrize("status", [403, 404, 501])
def test_an_archive_that_lets_nobody_search_is_never_said_to_have_lost_anything(cloud, asking, stored, status):
    study, uids = stored(cloud, 2)
    cloud.archive.studies = cloud.archive.search = status

    assert asking(cloud).absent(study, uids) == NotAnswered()


def test_an_answer_about_something_else_proves_no_absence(cloud, asking, stored):
    study, uids = stored(cloud, 2)
    cloud.archive.studies, cloud.archive.ignores_what_is_asked = 404, True

    assert asking(cloud).absent(study, ["2.25.4711"]) == NotAnswered()
    assert uids


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_a_destination_in_trouble_is_asked_again_later(cloud, asking, stored, status):
    study, uids = stored(cloud, 2)
    cloud.archive.scripted["GET"] = [status, status]

    assert isinstance(asking(cloud).absent(study, uids), Unavailable)


def test_a_destination_that_cannot_be_reached_is_asked_again_later(cloud, asking, stored):
    study, uids = stored(cloud, 2)
    cloud.stop()

    assert isinstance(asking(cloud).absent(study, uids), Unavailable)
