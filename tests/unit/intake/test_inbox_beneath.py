"""What may be done below a folder that others can write to."""

import os
import socket
import stat
import tempfile
from pathlib import Path

import pytest

from appliance.errors import Unsafe
from appliance.intake.beneath import Beneath
from appliance.intake.refusals import NotTaken, Refusal


@pytest.fixture
def clinic(tmp_path):
    (tmp_path / "clinic" / "item").mkdir(parents=True)
    (tmp_path / "clinic" / "item" / "a.dcm").write_bytes(b"abc")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"secret")
    return tmp_path / "clinic"


def why_not(clinic, *parts):
    with pytest.raises(NotTaken) as raised:
        Beneath(clinic).open(parts).close()
    return raised.value.why


def test_a_regular_file_is_opened(clinic):
    with Beneath(clinic).open(("item", "a.dcm")) as file:
        assert file.read() == b"abc"


def test_links_pipes_sockets_and_devices_are_refused_without_waiting(clinic):
    (clinic / "item" / "link").symlink_to(clinic / "item" / "a.dcm")
    os.mkfifo(clinic / "item" / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(clinic / "item" / "socket"))

        assert why_not(clinic, "item", "link") is Refusal.LINK
        assert why_not(clinic, "item", "pipe") is Refusal.SPECIAL
        assert why_not(clinic, "item", "socket") is Refusal.SPECIAL


def test_a_file_with_a_second_name_is_refused(clinic):
    os.link(clinic / "item" / "a.dcm", clinic / "b.dcm")

    assert why_not(clinic, "item", "a.dcm") is Refusal.HARD_LINK


def test_a_folder_swapped_for_a_link_is_not_followed(clinic):
    (clinic / "swapped").symlink_to(clinic.parent / "outside")
    below = Beneath(clinic)

    with pytest.raises(OSError):
        below.open(("swapped", "secret"))
    with pytest.raises(OSError):
        below.move(("swapped", "secret"), ("_processed", "x"))
    with pytest.raises(OSError):
        below.move(("item", "a.dcm"), ("swapped", "x"))
    with pytest.raises(OSError):
        below.put(("swapped", "x"), b"")
    assert [path.name for path in (clinic.parent / "outside").iterdir()] == ["secret"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b"])
def test_no_part_may_lead_elsewhere(clinic, name):
    with pytest.raises(Unsafe):
        Beneath(clinic).open(("item", name))
    with pytest.raises(Unsafe):
        Beneath(clinic).put((name, "x"), b"")


def test_moving_never_overwrites(clinic):
    below = Beneath(clinic)
    for content in (b"1", b"2", b"3"):
        (clinic / "x.dcm").write_bytes(content)
        below.move(("x.dcm",), ("_processed", "day", "x.dcm"))

    shelf = clinic / "_processed" / "day"
    assert {path.name: path.read_bytes() for path in shelf.iterdir()} == {
        "x.dcm": b"1",
        "x (2).dcm": b"2",
        "x (3).dcm": b"3",
    }


def test_a_name_as_long_as_names_can_be_gets_its_suffix_too(clinic):
    below = Beneath(clinic)
    name = "ü" * 127
    for _ in range(2):
        (clinic / name).touch()
        below.move((name,), ("_processed", name))

    assert len(list((clinic / "_processed").iterdir())) == 2


def test_folders_made_have_the_mode_of_their_parent(clinic):
    clinic.chmod(0o2775)

    Beneath(clinic).put(("_receipts", "deep", "x"), b"")

    assert stat.S_IMODE((clinic / "_receipts" / "deep").stat().st_mode) == 0o2775
    assert stat.S_IMODE((clinic / "_receipts" / "deep" / "x").stat().st_mode) == 0o664


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_is_made_belongs_to_the_group_of_the_folder(clinic):
    os.chown(clinic, -1, 12345)

    Beneath(clinic).put(("_receipts", "x"), b"")

    assert (clinic / "_receipts" / "x").stat().st_gid == 12345


def test_a_link_planted_under_a_name_of_ours_is_replaced_not_followed(clinic):
    (clinic / "_receipts").mkdir()
    (clinic / "_receipts" / "x").symlink_to(clinic.parent / "outside" / "secret")
    (clinic / "_receipts" / ".x.making").symlink_to(clinic.parent / "outside" / "secret")
    (clinic / "_receipts" / "log").symlink_to(clinic.parent / "outside" / "secret")

    Beneath(clinic).put(("_receipts", "x"), b"new")
    with pytest.raises(OSError):
        Beneath(clinic).append(("_receipts", "log"))

    assert (clinic / "_receipts" / "x").read_bytes() == b"new"
    assert (clinic.parent / "outside" / "secret").read_bytes() == b"secret"


def test_of_our_own_files_only_small_regular_ones_are_read(clinic):
    (clinic / "big").write_bytes(bytes(11))
    (clinic / "link").symlink_to("item/a.dcm")
    below = Beneath(clinic)

    assert below.read(("item", "a.dcm"), 10) == b"abc"
    assert [below.read((name,), 10) for name in ("big", "link", "item", "none")] == [None] * 4


def test_a_folder_with_something_in_it_is_not_removed(clinic):
    below = Beneath(clinic)

    assert not below.remove_folder(("item",))
    below.remove(("item", "a.dcm"))
    assert below.remove_folder(("item",))
    assert below.remove_folder(("item",))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_folder_that_others_own_is_known_to_be_closed_to_us():
    with tempfile.TemporaryDirectory() as name:
        clinic = Path(name)
        clinic.chmod(0o755)
        os.seteuid(65534)
        try:
            writable = Beneath(clinic).writable(())
        finally:
            os.seteuid(0)

        assert not writable
        assert Beneath(clinic).writable(())


def test_no_descriptor_stays_open(clinic):
    below = Beneath(clinic)
    (clinic / "link").symlink_to("item")
    before = len(list(Path("/proc/self/fd").iterdir()))

    for parts in (("link",), ("item", "none"), ("link", "a.dcm")):
        with pytest.raises((OSError, NotTaken)):
            below.open(parts)
    below.put(("a", "b", "c"), b"")
    below.move(("a", "b", "c"), ("d", "e"))

    assert len(list(Path("/proc/self/fd").iterdir())) == before
