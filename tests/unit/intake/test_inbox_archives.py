"""What is found in zips and tars, and what is not let out of them."""

import bz2
import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest

from appliance.config import Archives, MiB
from appliance.errors import SpoolFull
from appliance.intake.archives import Bad, Litter, Member, Scratch, members
from appliance.intake.kinds import HEAD, Kind, kind_of
from appliance.intake.refusals import NotTaken, Refusal

IMAGE = bytes(128) + b"DICM" + b"image" * 1000


def zip_of(files, method=zipfile.ZIP_DEFLATED):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return body.getvalue()


def tar_of(files, *, mode="w", form=tarfile.PAX_FORMAT):
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode=mode, format=form) as archive:
        for name, content in files:
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return body.getvalue()


def opened(body, tmp_path, limits=None, read=None):
    """Return what is found: path -> content, or the refusal's code, or None for litter."""
    found = {}
    kind = kind_of(body[:HEAD])
    for each in members(io.BytesIO(body), kind, len(body), limits or Archives(), Scratch(tmp_path, 0)):
        name = "/".join(each.path)
        match each:
            case Member():
                try:
                    pieces = []
                    while piece := each.read(read or 64 * 1024):
                        pieces.append(piece)
                    found[name] = b"".join(pieces)
                except NotTaken as error:
                    if error.why is Refusal.ARCHIVE_LIMIT:
                        raise
                    found[name] = error.why
            case Bad():
                found[name] = each.why
            case Litter():
                found[name] = None
    return found


MAKERS = {
    "zip": zip_of,
    "stored zip": lambda files: zip_of(files, zipfile.ZIP_STORED),
    "tar": tar_of,
    "gnu tar": lambda files: tar_of(files, form=tarfile.GNU_FORMAT),
    "ustar": lambda files: tar_of(files, form=tarfile.USTAR_FORMAT),
    "tar.gz": lambda files: gzip.compress(tar_of(files)),
}


@pytest.fixture(params=list(MAKERS))
def make(request):
    return MAKERS[request.param]


def test_every_file_comes_out_byte_for_byte_under_its_path(make, tmp_path):
    files = [("a", IMAGE), ("folder/b.dcm", IMAGE * 300), ("./c", IMAGE + b"x"), ("folder/empty", b"")]

    found = opened(make(files), tmp_path)

    assert found == {
        "a": IMAGE,
        "folder/b.dcm": IMAGE * 300,
        "c": IMAGE + b"x",
        "folder/empty": Refusal.EMPTY,
    }


def test_reading_in_small_pieces_gives_the_same(make, tmp_path):
    assert opened(make([("a", IMAGE)]), tmp_path, read=7) == {"a": IMAGE}


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_foreign_names_survive_a_tar(form, tmp_path):
    name = "/".join(["Ordner mit Umläuten äöü"] * 12) + "/b"

    assert opened(tar_of([(name, IMAGE), ("c", IMAGE)], form=form), tmp_path) == {name: IMAGE, "c": IMAGE}


def test_litter_is_told_and_not_read(make, tmp_path):
    files = [("__MACOSX/a", b"x"), ("b/.DS_Store", b"x"), ("Thumbs.db", b"x"), ("a", IMAGE)]

    assert opened(make(files), tmp_path) == {"__MACOSX/a": None, "b/.DS_Store": None, "Thumbs.db": None, "a": IMAGE}


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../b", "..\\a", "C:\\a", "\\\\server\\a"])
def test_a_path_that_escapes_is_refused_and_its_neighbours_are_not(make, name, tmp_path):
    found = opened(make([(name, IMAGE), ("good", IMAGE)]), tmp_path)

    assert found.pop("good") == IMAGE
    assert list(found.values()) == [Refusal.ESCAPES]


def test_folders_parted_by_backslashes_are_folders(tmp_path):
    assert opened(tar_of([("study\\series\\a", IMAGE)]), tmp_path) == {"study/series/a": IMAGE}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, Refusal.LINK),
        (tarfile.LNKTYPE, Refusal.LINK),
        (tarfile.FIFOTYPE, Refusal.SPECIAL),
        (tarfile.CHRTYPE, Refusal.SPECIAL),
        (tarfile.BLKTYPE, Refusal.SPECIAL),
    ],
)
def test_links_and_special_files_in_a_tar_are_refused(kind, why, tmp_path):
    info = tarfile.TarInfo("bad")
    info.type, info.linkname = kind, "/etc/passwd"

    assert opened(tar_of([(info, b""), ("good", IMAGE)]), tmp_path) == {"bad": why, "good": IMAGE}


def test_a_link_in_a_zip_is_refused(tmp_path):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        link = zipfile.ZipInfo("bad")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good", IMAGE)

    assert opened(body.getvalue(), tmp_path) == {"bad": Refusal.LINK, "good": IMAGE}


def test_archives_in_archives_are_opened(make, tmp_path):
    inner = zip_of([("x", IMAGE)])
    middle = gzip.compress(tar_of([("inner.zip", inner), ("y", IMAGE)]))

    found = opened(make([("middle.tgz", middle), ("z", IMAGE)]), tmp_path)

    assert found == {"middle.tgz/inner.zip/x": IMAGE, "middle.tgz/y": IMAGE, "z": IMAGE}


def test_archives_deeper_than_allowed_are_refused_and_the_rest_is_taken(make, tmp_path):
    body = zip_of([("x", IMAGE)])
    for _ in range(3):
        body = zip_of([("in.zip", body)])

    found = opened(make([("in.zip", body), ("z", IMAGE)]), tmp_path, Archives(max_depth=3))

    assert found == {"in.zip/in.zip/in.zip": Refusal.ARCHIVE_LIMIT, "z": IMAGE}


def test_too_many_files_are_refused(make, tmp_path):
    body = make([(f"{number}", b"x") for number in range(11)])

    with pytest.raises(NotTaken, match="more than 10 files") as raised:
        opened(body, tmp_path, Archives(max_files=10))
    assert raised.value.why is Refusal.ARCHIVE_LIMIT


def test_too_many_folders_and_links_count_as_well(tmp_path):
    entries = []
    for number in range(11):
        info = tarfile.TarInfo(f"d{number}")
        info.type = tarfile.DIRTYPE
        entries.append((info, b""))

    with pytest.raises(NotTaken, match="more than 10 files"):
        opened(tar_of(entries), tmp_path, Archives(max_files=10))


def test_more_bytes_than_allowed_are_refused(make, tmp_path):
    body = make([("a", bytes(MiB)), ("b", bytes(MiB))])

    with pytest.raises(NotTaken, match="unpacks to more") as raised:
        opened(body, tmp_path, Archives(max_gb=1.5 / 1024))
    assert raised.value.why is Refusal.ARCHIVE_LIMIT


def test_a_zip_that_says_it_is_too_large_is_refused_before_anything_is_taken(tmp_path):
    body = zip_of([("a", bytes(MiB)), ("b", bytes(MiB))])
    found = members(io.BytesIO(body), Kind.ZIP, len(body), Archives(max_gb=1.5 / 1024), Scratch(tmp_path, 0))

    with pytest.raises(NotTaken):
        next(found)


def test_a_bomb_is_stopped_by_its_ratio_in_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.intake.archives.RATIO_COUNTS_FROM", 4 * MiB)
    body = zip_of([("bomb", bytes(64 * MiB))])

    tracemalloc.start()
    with pytest.raises(NotTaken, match="times its size"):
        for member in members(io.BytesIO(body), Kind.ZIP, len(body), Archives(max_ratio=20), Scratch(tmp_path, 0)):
            while member.read(64 * 1024):
                pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 3 * MiB


def test_an_ordinary_black_image_is_no_bomb(tmp_path):
    assert opened(zip_of([("black", IMAGE + bytes(8 * MiB))]), tmp_path)["black"][-1:] == b"\0"


def test_damage_to_one_member_of_a_zip_spares_the_others(tmp_path):
    body = bytearray(zip_of([("bad", IMAGE), ("good", IMAGE + b"x")], zipfile.ZIP_STORED))
    body[body.index(b"imageimage") + 5] ^= 1

    assert opened(bytes(body), tmp_path) == {"bad": Refusal.ARCHIVE_BROKEN, "good": IMAGE + b"x"}


def test_a_zip_cut_short_is_refused_as_a_whole(tmp_path):
    body = zip_of([("a", IMAGE), ("b", IMAGE)])

    with pytest.raises(NotTaken, match="ends early") as raised:
        opened(body[:-30], tmp_path)
    assert raised.value.why is Refusal.ARCHIVE_BROKEN


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["tar", "tar.gz"])
def test_a_tar_cut_short_gives_what_is_whole_and_says_so(pack, kept, tmp_path):
    noise = zlib.compress(bytes(range(256)) * 2000)  # cannot be compressed further
    body = pack(tar_of([(str(number), IMAGE + noise) for number in range(20)]))

    with pytest.raises(NotTaken) as raised:
        opened(body[: int(len(body) * kept)], tmp_path)
    assert raised.value.why is Refusal.ARCHIVE_BROKEN


def test_a_gzip_with_a_wrong_checksum_is_told(tmp_path):
    body = bytearray(gzip.compress(tar_of([("a", IMAGE)])))
    body[-8] ^= 1

    with pytest.raises(NotTaken) as raised:
        opened(bytes(body), tmp_path)
    assert raised.value.why is Refusal.ARCHIVE_BROKEN


def test_an_encrypted_member_is_refused_with_advice(tmp_path):
    body = bytearray(zip_of([("a", IMAGE)]))
    body[6] |= 1  # general purpose flag, local and central
    body[body.index(b"PK\x01\x02") + 8] |= 1

    assert opened(bytes(body), tmp_path) == {"a": Refusal.ARCHIVE_ENCRYPTED}


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_without_bound_are_refused(method, tmp_path):
    assert opened(zip_of([("a", IMAGE)], method), tmp_path) == {"a": Refusal.ARCHIVE_KIND}


@pytest.mark.parametrize(
    "head", [b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x00", bz2.compress(b"x"), b"\xfd7zXZ\x00", gzip.compress(IMAGE)]
)
def test_other_archives_are_named(head):
    with pytest.raises(NotTaken) as raised:
        kind_of(head)
    assert raised.value.why is Refusal.ARCHIVE_KIND


def test_an_extended_header_of_a_gigabyte_is_not_read(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    body = info.tobuf() + bytes(1024)

    with pytest.raises(NotTaken) as raised:
        opened(body, tmp_path)
    assert raised.value.why is Refusal.ARCHIVE_LIMIT


def test_a_file_with_holes_is_refused(tmp_path):
    info = tarfile.TarInfo("holes")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99999999999"}

    assert opened(tar_of([(info, b"x"), ("good", IMAGE)]), tmp_path) == {
        "holes": Refusal.ARCHIVE_KIND,
        "good": IMAGE,
    }


def test_a_zip_directory_that_lies_about_its_count_is_counted(tmp_path):
    body = bytearray(zip_of([(f"{number}", b"x") for number in range(50)]))
    end = body.rindex(b"PK\x05\x06")
    struct.pack_into("<HH", body, end + 8, 1, 1)

    with pytest.raises(NotTaken) as raised:
        opened(bytes(body), tmp_path, Archives(max_files=10))
    assert raised.value.why is Refusal.ARCHIVE_LIMIT


def test_a_zip64_is_read(tmp_path):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive, archive.open("a", "w", force_zip64=True) as member:
        member.write(IMAGE)
    many = zip_of([(str(number), b"") for number in range(66_000)], zipfile.ZIP_STORED)

    assert opened(body.getvalue(), tmp_path) == {"a": IMAGE}
    assert len(opened(many, tmp_path)) == 66_000


def test_an_empty_zip_is_read(tmp_path):
    assert opened(zip_of([]), tmp_path) == {}


def test_unpacking_below_the_reserve_waits(tmp_path):
    body = zip_of([("in.zip", zip_of([("a", IMAGE)]))])

    with pytest.raises(SpoolFull):
        list(members(io.BytesIO(body), Kind.ZIP, len(body), Archives(), Scratch(tmp_path, 1 << 60)))


def test_nested_archives_leave_nothing_behind(tmp_path):
    opened(zip_of([("in.zip", zip_of([("a", IMAGE)]))]), tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_ends_in_a_refusal_never_in_another_error(make, seed, tmp_path):
    body = bytearray(make([("a", IMAGE), ("b/c", IMAGE * 3), ("in.zip", zip_of([("x", IMAGE)]))]))
    for step in range(1 + seed % 5):
        at = (seed * 7919 + step * 104729) % len(body)
        body[at] ^= 1 << (seed % 8)

    try:
        found = opened(bytes(body), tmp_path)
    except NotTaken:
        return
    assert all(isinstance(each, bytes | Refusal | type(None)) for each in found.values())
