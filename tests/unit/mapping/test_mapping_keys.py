"""The key is found, or made where that is allowed; never guessed."""

import stat
from pathlib import Path

import pytest

from appliance.config import Mapping
from appliance.errors import CannotStart
from appliance.mapping import keys
from appliance.mapping.keys import key_in, key_place, load_key


def test_a_missing_key_file_is_made_once_in_development(tmp_path):
    mapping = Mapping(tmp_path / "secrets" / "pseudonym.key")

    made = load_key(mapping, make=True)

    assert len(made) == 32
    assert load_key(mapping, make=False) == made == load_key(mapping, make=True)
    assert stat.S_IMODE(mapping.key_file.stat().st_mode) == 0o600


def test_a_missing_key_file_of_a_service_is_refused_with_the_way_to_make_one(tmp_path):
    with pytest.raises(CannotStart, match="openssl rand") as refused:
        load_key(Mapping(tmp_path / "no.key"), make=False)

    assert "every patient a stranger" in str(refused.value)
    assert not (tmp_path / "no.key").exists()


def test_without_a_key_file_the_credential_of_systemd_is_used(tmp_path):
    (tmp_path / "pseudonym-key").write_bytes(b"\x01" * 32)

    assert load_key(Mapping(), make=False, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"\x01" * 32


def test_a_missing_credential_is_never_made(tmp_path):
    with pytest.raises(CannotStart, match="does not exist"):
        load_key(Mapping(), make=True, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []


def test_nobody_saying_where_is_refused(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)

    assert key_place(Mapping()) is None
    with pytest.raises(CannotStart, match="no pseudonym key"):
        load_key(Mapping(), make=True)


def test_an_unreadable_key_is_refused(tmp_path):
    with pytest.raises(CannotStart, match="cannot be read"):
        load_key(Mapping(tmp_path), make=True)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        (b"00" * 32 + b"\n", bytes(32)),
        (b"a pass phrase that is long\r\n", b"a pass phrase that is long"),
        (b"\xff\x00" * 16 + b"\n", b"\xff\x00" * 16 + b"\n"),
        (b"abcdef0123456789", b"abcdef0123456789"),
    ],
)
def test_a_line_end_is_no_part_of_a_text_key_and_hexadecimal_is_read_as_such(content, key):
    assert key_in(content, Path("x.key")) == key


@pytest.mark.parametrize("content", [b"", b"short", b"\xff\xfe\x00"])
def test_a_short_key_is_refused(content):
    with pytest.raises(CannotStart, match="shorter than 16 bytes"):
        key_in(content, Path("x.key"))


def test_of_two_that_make_a_key_at_once_both_use_the_first(tmp_path):
    place = tmp_path / "k.key"

    first = keys._made(place, b"\x01" * 32)

    assert keys._made(place, b"\x02" * 32) == first == b"\x01" * 32


def test_the_credential_of_a_service_goes_before_a_file_that_only_root_may_read(tmp_path):
    (tmp_path / "pseudonym-key").write_bytes(b"\x01" * 32)
    mapping = Mapping(tmp_path / "of-root" / "key")
    mapping.key_file.parent.mkdir()
    mapping.key_file.write_bytes(b"\x02" * 32)

    assert load_key(mapping, make=False, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"\x01" * 32
    assert load_key(mapping, make=False, environment={}) == b"\x02" * 32


def test_a_service_without_that_credential_reads_the_file(tmp_path):
    mapping = Mapping(tmp_path / "key")
    mapping.key_file.write_bytes(b"\x02" * 32)

    assert load_key(mapping, make=False, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"\x02" * 32
