"""What a look into a clinic's folder finds."""

import time
from pathlib import Path

import pytest

from appliance.intake.beneath import Beneath
from appliance.intake.scan import DEEPEST, LOOSE, look


def put(folder, *names, body=b"x"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def files(seen):
    return {"/".join(parts) for parts in seen.files}


def test_each_top_level_folder_is_an_item_and_loose_files_form_one(tmp_path):
    put(tmp_path, "one/a", "one/deep/er/b", "two/c", "loose1", "loose2.dcm")

    found = look(Beneath(tmp_path))

    assert {key: files(seen) for key, seen in found.items()} == {
        "one": {"one/a", "one/deep/er/b"},
        "two": {"two/c"},
        LOOSE: {"loose1", "loose2.dcm"},
    }


def test_a_loose_archive_is_an_item_of_its_own(tmp_path):
    put(tmp_path, "a.ZIP", "b.tar.gz", "c")

    assert set(look(Beneath(tmp_path))) == {"a.ZIP", "b.tar.gz", LOOSE}


def test_our_own_folders_are_never_looked_into(tmp_path):
    put(tmp_path, "_processed/x", "_failed/x", "_receipts/x", "_other/x")

    assert set(look(Beneath(tmp_path))) == {"_other"}


@pytest.mark.parametrize(
    "name", ["a.part", "a.PART", "a.partial", "a.crdownload", "a~", ".hidden", "~$a", "a.tmp", "a.filepart"]
)
def test_unfinished_names_are_left_alone(tmp_path, name):
    put(tmp_path, f"item/{name}")

    seen = look(Beneath(tmp_path))["item"]

    assert not seen.files
    assert list(seen.unfinished) == [("item", name)]


@pytest.mark.parametrize("name", ["Thumbs.db", ".DS_Store", "desktop.ini", "__MACOSX/x", "._a", "@eaDir/x"])
def test_litter_is_told_apart(tmp_path, name):
    put(tmp_path, f"item/{name}")

    seen = look(Beneath(tmp_path))["item"]

    assert not seen.files
    assert seen.litter == [("item", name.split("/")[0])]


def test_hidden_folders_are_left_alone(tmp_path):
    put(tmp_path, ".snapshot/a", "item/.hidden/a", "item/b")

    found = look(Beneath(tmp_path))

    assert set(found) == {"item"}
    assert files(found["item"]) == {"item/b"}


def test_ready_counts_in_the_items_own_folder_only(tmp_path):
    put(tmp_path, "one/a", "one/READY", "two/sub/READY", "READY")

    found = look(Beneath(tmp_path))

    assert found["one"].ready == ("one", "READY")
    assert files(found["one"]) == {"one/a"}
    assert found["two"].ready is None
    assert found[LOOSE].ready == ("READY",)


def test_ready_put_before_the_files_is_told_from_one_put_last(tmp_path):
    put(tmp_path, "one/READY", "a.zip", "READY")
    time.sleep(0.05)  # the file system's clock ticks in milliseconds
    put(tmp_path, "one/a")

    found = look(Beneath(tmp_path))

    assert found["one"].ready is None and found["one"].ready_file
    assert found["a.zip"].ready == ("READY",)


def test_links_are_seen_as_things_not_as_what_they_point_to(tmp_path):
    (tmp_path / "outside").mkdir()
    put(tmp_path, "outside/secret")
    clinic = tmp_path / "clinic"
    clinic.mkdir()
    (clinic / "link").symlink_to(tmp_path / "outside")
    (clinic / "item").mkdir()
    (clinic / "item" / "link").symlink_to(tmp_path / "outside")

    found = look(Beneath(clinic))

    assert {key: files(seen) for key, seen in found.items()} == {LOOSE: {"link"}, "item": {"item/link"}}


def test_a_folder_too_deep_is_told_and_not_entered(tmp_path):
    deep = tmp_path.joinpath("item", *["d"] * (DEEPEST + 5))
    deep.mkdir(parents=True)
    (deep / "a").touch()

    seen = look(Beneath(tmp_path))["item"]

    assert not seen.files
    assert len(seen.too_deep) == 1


def test_a_clinic_folder_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with pytest.raises(OSError):
        look(Beneath(tmp_path / "link"))


def test_a_scan_leaves_no_descriptor_open(tmp_path):
    put(tmp_path, "one/a/b/c/d", "two/x")
    before = len(list(Path("/proc/self/fd").iterdir()))

    look(Beneath(tmp_path))

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_twenty_thousand_names_are_scanned_in_well_under_a_second(tmp_path):
    (tmp_path / "item").mkdir()
    for number in range(20_000):
        (tmp_path / "item" / f"{number:06d}").touch()

    began = time.perf_counter()
    seen = look(Beneath(tmp_path))["item"]

    assert len(seen.files) == 20_000
    assert time.perf_counter() - began < 2.0  # 0.1 s alone on the machine
