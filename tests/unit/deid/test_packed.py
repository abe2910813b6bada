"""What is packed in bytes is found wherever it begins, however often it is wrapped, and no bomb is unpacked."""

import base64
import gzip
import zlib

import pytest

from appliance.deid.packed import MOST, unpacked
from appliance.deid.romanised import romanised

TEXT = b"the name of nobody at all"


@pytest.mark.parametrize(
    "value",
    [
        gzip.compress(TEXT, mtime=0),
        b"GE\0\0" + zlib.compress(TEXT, 1) + b"\0",
        zlib.compress(TEXT, 9),
        base64.b64encode(TEXT),
        b'<a b="' + base64.encodebytes(TEXT * 4) + b'"/>',
        base64.b64encode(gzip.compress(base64.b64encode(TEXT), mtime=0)),
        base64.urlsafe_b64encode(b"\xfb\xff\xfe" + TEXT),
        b"0x" + TEXT.hex().encode(),
        TEXT.hex(" ").upper().encode(),
        b"text " + TEXT.hex(":").encode() + b"g",
    ],
)
def test_what_is_packed_is_found(value):
    assert any(TEXT in inside for inside in unpacked(value))


def test_what_only_looks_packed_is_nothing():
    assert list(unpacked(b"\x78\x9c no stream")) == []
    assert list(unpacked(b"\x1f\x8b\x08 no stream")) == []
    assert list(unpacked(zlib.compress(b""))) == []
    assert list(unpacked(b"ABCD" * 5 + b"E")) != []  # a letter too many is left out
    assert list(unpacked(b"")) == []


def test_unpacking_ends():
    bomb = zlib.compress(bytes(8 * MOST))
    many = b"".join(zlib.compress(bytes([n])) for n in range(200))
    letters = b" ".join(base64.b64encode(bytes([n]) * 30) for n in range(200))

    assert [len(inside) for inside in unpacked(bomb)] == [MOST]
    assert len([inside for inside in unpacked(many, 1) if len(inside) == 1]) == 64
    assert len([inside for inside in unpacked(letters, 1) if len(inside) == 30]) == 64


def test_a_mebibyte_of_letters_takes_no_longer_for_each_letter():
    for letters in (b"x", b"ab ", b"0f", b"A-", b"=41", b"x\x9c"):
        assert all(unpacked(letters * (MOST // len(letters))))


@pytest.mark.parametrize(
    ("written", "latin"),
    [("попов", "popov"), ("щукин", "shchukin"), ("παπας", "papas"), ("김민준", "gimminjun"), ("やまだ", "yamada"),
     ("シマズ", "shimazu"), ("muller", "muller"), ("王", "王"), ("한a", "hana")],
)  # fmt: skip
def test_names_of_other_scripts_are_written_in_latin_letters(written, latin):
    assert romanised(written) == latin
