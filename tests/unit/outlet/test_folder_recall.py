"""Taking back from a folder."""

import pytest

from appliance.lifecycle import RecallState
from appliance.model import Recall
from appliance.outlet.destination import Unavailable
from appliance.outlet.folder import Folder
from appliance.outlet.folder_recall import FolderRecall
from appliance.outlet.taken_back import Asked, Gone, NotPossible
from tests.make.parcels import parcels


@pytest.fixture
def shelf(tmp_path):
    folder = tmp_path / "shelf"
    folder.mkdir()
    return folder


@pytest.fixture
def delivered(shelf, tmp_path):
    made = parcels(tmp_path / "ready", count=2)
    Folder(shelf, existing="kept").deliver(made)
    return made


def of(parcel, *, series=None, state=RecallState.REQUESTED):
    series = parcel.series if series is None else series
    return Recall(parcel.sop_instance, "shelf", parcel.out, parcel.study, series, state)


def test_the_file_is_removed_and_its_neighbours_stay(shelf, delivered):
    taken, left = delivered

    assert FolderRecall(shelf).take_back(of(taken)) == Asked()
    assert FolderRecall(shelf).take_back(of(taken)) == Gone()
    assert [path.stem for path in shelf.rglob("*.dcm")] == [left.sop_instance]


def test_folders_that_are_empty_then_go_too(shelf, delivered):
    for parcel in delivered:
        FolderRecall(shelf).take_back(of(parcel))

    assert list(shelf.iterdir()) == []


def test_a_series_that_is_not_known_any_more_is_looked_for(shelf, delivered):
    assert FolderRecall(shelf).take_back(of(delivered[0], series="")) == Asked()
    assert FolderRecall(shelf).take_back(of(delivered[0], series="")) == Gone()


def test_half_a_file_that_a_crash_left_goes_too(shelf, delivered):
    [parcel, _] = delivered
    half = shelf / parcel.study / parcel.series / f".{parcel.out}.part"
    half.write_bytes(b"half an image")

    FolderRecall(shelf).take_back(of(parcel))

    assert not half.exists()


def test_a_share_that_went_away_proves_nothing(shelf, delivered):
    shelf.rename(shelf.with_name("away"))

    assert isinstance(FolderRecall(shelf).take_back(of(delivered[0])), Unavailable)


def test_a_link_is_not_followed(shelf, delivered, tmp_path):
    [parcel, _] = delivered
    elsewhere = tmp_path / "elsewhere"
    (shelf / parcel.study).rename(elsewhere)
    (shelf / parcel.study).symlink_to(elsewhere)

    assert isinstance(FolderRecall(shelf).take_back(of(parcel)), NotPossible)
    assert (elsewhere / parcel.series / f"{parcel.sop_instance}.dcm").exists()


def test_something_else_under_the_name_of_the_file_is_left_and_told(shelf, delivered):
    [parcel, _] = delivered
    path = shelf / parcel.study / parcel.series / f"{parcel.sop_instance}.dcm"
    path.unlink()
    path.symlink_to("/etc/hostname")

    assert isinstance(FolderRecall(shelf).take_back(of(parcel)), NotPossible)
    assert path.is_symlink()


def test_a_study_that_is_not_known_any_more_is_never_called_absent(shelf, delivered):
    unknown = Recall(delivered[0].sop_instance, "shelf", delivered[0].out, "", "", RecallState.REQUESTED)

    assert isinstance(FolderRecall(shelf).take_back(unknown), NotPossible)


def test_what_a_person_has_to_delete_is_only_looked_for(shelf, delivered):
    impossible = of(delivered[0], state=RecallState.IMPOSSIBLE)

    assert FolderRecall(shelf).take_back(impossible) == NotPossible("")
    FolderRecall(shelf).take_back(of(delivered[0]))
    assert FolderRecall(shelf).take_back(impossible) == Gone()
