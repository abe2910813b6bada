"""What a dying disk does to a file in ready is seen before the file leaves."""

from dataclasses import replace

import pytest

from appliance.outlet.intact import is_intact
from tests.make.parcels import parcels, spoil


@pytest.fixture
def parcel(tmp_path):
    return parcels(tmp_path, count=1)[0]


def intact(parcel):
    with parcel.file.open("rb") as file:
        return is_intact(file, parcel)


def test_what_was_written_is_intact(parcel):
    assert intact(parcel)


def test_one_bit_anywhere_that_counts_is_seen(parcel):
    whole = parcel.file.read_bytes()
    data_set = 144 + int.from_bytes(whole[140:144], "little")
    names = [whole.index(uid.encode()) for uid in (parcel.sop_class, parcel.sop_instance, parcel.transfer_syntax)]
    for at in (0, 127, 128, 140, *names, data_set, (data_set + len(whole)) // 2, len(whole) - 1):
        parcel.file.write_bytes(whole)
        spoil(parcel.file, at)

        assert not intact(parcel), at


def test_a_file_that_became_shorter_longer_or_another_s_is_seen(parcel, tmp_path):
    whole = parcel.file.read_bytes()
    for body in (whole[:-2], whole + b"\0\0", b"", bytes(len(whole))):
        parcel.file.write_bytes(body)
        assert not intact(parcel)
    parcel.file.write_bytes(whole)
    other = parcels(tmp_path, count=1, patient="edge-BBBB")[0]
    assert not intact(replace(parcel, file=other.file))


def test_what_the_disk_does_not_give_back_is_not_intact(parcel):
    class Dying:
        def __init__(self, file):
            self.fileno, self.seek = file.fileno, file.seek

        def read(self, _count=-1):
            raise OSError(5, "Input/output error")

    with parcel.file.open("rb") as file:
        assert not is_intact(Dying(file), parcel)
