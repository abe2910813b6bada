"""Text under its character sets: the Standard's own examples, pydicom's files, and what is not as it says."""

import io
import os
from pathlib import Path

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.dicom import part10
from appliance.dicom.element import DataSet, Element
from appliance.dicom.text import charset_names, decode, encode, is_known_charset, values

# PS3.5 Annexes H, I, J, K
JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
JAPANESE_13 = b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
KOREAN = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="
CHARSET_FILES = sorted((Path(pydicom.__file__).parent / "data" / "charset_files").glob("*.dcm"))


@pytest.mark.parametrize(
    ("value", "charsets", "text"),
    [
        (b"Buc^J\xe9r\xf4me", ("ISO_IR 100",), "Buc^Jérôme"),
        (b"\xc4neas^R\xfcdiger", ("ISO_IR 100",), "Äneas^Rüdiger"),
        (b"\xbb\xee\xda", ("ISO_IR 144",), "Люк"),
        ("山田".encode("euc_jp"), ("ISO 2022 IR 87",), "山田"),
        ("홍".encode("euc_kr"), ("ISO 2022 IR 149",), "홍"),
        ("小东".encode("gbk"), ("GBK",), "小东"),
        ("é".encode(), ("UTF-8",), "é"),
        (b"\x1b$(D0!\x1b(B", ("", "ISO 2022 IR 159"), "丂"),
        (JAPANESE, ("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (JAPANESE_13, ("ISO 2022 IR 13", "ISO 2022 IR 87"), "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
        (KOREAN, ("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
        (CHINESE, ("", "ISO 2022 IR 58"), "Zhang^XiaoDong=张^小东="),
        ("Wang^XiaoDong=王^小東".encode(), ("ISO_IR 192",), "Wang^XiaoDong=王^小東"),
        ("Wang^XiaoDong=王^小东".encode("gb18030"), ("GB18030",), "Wang^XiaoDong=王^小东"),
        (b"\x1b-F\xc4\xe9\xef\xed", ("ISO 2022 IR 100", "ISO 2022 IR 126"), "Διον"),
        (b"\x1b-F\xc4^\xe9", ("ISO 2022 IR 100", "ISO 2022 IR 126"), "Δ^é"),
    ],
)
def test_a_text_is_decoded_as_its_character_sets_say(value: bytes, charsets: tuple[str, ...], text: str) -> None:
    assert decode(value, "PN", charsets) == (text, True)


@pytest.mark.parametrize(
    ("value", "charsets", "text"),
    [
        (b"M\xfcller", (), "Müller"),
        ("Müller".encode(), (), "Müller"),
        ("Müller".encode(), ("ISO_IR 999",), "Müller"),
        (b"M\xfcller", ("ISO_IR 192",), "Müller"),
        (JAPANESE, (), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (b"\x1b(Zab", ("", "ISO 2022 IR 87"), "ab"),
    ],
)
def test_bytes_that_are_not_as_announced_become_readable_and_that_is_told(
    value: bytes, charsets: tuple[str, ...], text: str
) -> None:
    assert decode(value, "PN", charsets) == (text, False)


@pytest.mark.parametrize("path", CHARSET_FILES, ids=lambda path: path.name)
def test_the_names_in_pydicoms_files_are_read_as_pydicom_reads_them(path: Path) -> None:
    data = part10.read(io.BytesIO(path.read_bytes())).dataset
    expected = pydicom.dcmread(path)

    if "PatientName" in expected:
        assert [name.rstrip("=") for name in values(data.elements[0x00100010], data)] == [str(expected.PatientName)]
    assert all(is_known_charset(name) for name in data.charsets)


@pytest.mark.parametrize(
    "charset", ["ISO_IR 100", "ISO IR 100", "ISO-IR 100", "ISO_IR_100", "iso_ir 100", "ISO 2022 IR 100"]
)
def test_a_charset_is_known_however_its_name_is_spelt(charset: str) -> None:
    assert decode(b"\xe9", "LO", (charset,)) == ("é", True)


def test_a_code_is_read_in_the_default_repertoire_whatever_the_character_set() -> None:
    assert decode(b"\xe9", "CS", ("ISO_IR 100",)).exact is False


@pytest.mark.parametrize(
    ("vr", "value", "expected"),
    [
        ("LO", b"", []),
        ("LO", b"  ", []),
        ("LO", b"a\\ b \\", ["a", "b", ""]),
        ("UI", b"1.2\\1.3\0", ["1.2", "1.3"]),
        ("LT", b" a\\b ", [" a\\b"]),
        ("US", b"\1\0", []),
        ("LO", "王\\小".encode("gb18030"), ["王", "小"]),
    ],
)
def test_a_value_field_is_split_as_its_vr_says(vr: str, value: bytes, expected: list[str]) -> None:
    assert values(Element(0x00091001, vr, value), DataSet(charsets=("GB18030",))) == expected


@pytest.mark.parametrize(
    ("text", "charsets", "value"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", ("", "ISO 2022 IR 87"), JAPANESE),
        ("Hong^Gildong=洪^吉洞=홍^길동", ("", "ISO 2022 IR 149"), KOREAN),
        ("Zhang^XiaoDong=张^小东=", ("", "ISO 2022 IR 58"), CHINESE),
        ("Äneas", ("ISO_IR 100",), b"\xc4neas"),
        ("Äneas", ("ISO_IR 192",), "Äneas".encode()),
        ("plain", (), b"plain"),
    ],
)
def test_a_text_is_encoded_with_the_escapes_of_the_standard(text: str, charsets: tuple[str, ...], value: bytes) -> None:
    assert encode(text, "PN", charsets) == (value, True)


def test_a_letter_that_no_character_set_has_becomes_a_question_mark_and_that_is_told() -> None:
    assert encode("Ä山", "LO", ("ISO_IR 100",)) == (b"\xc4?", False)
    assert encode("Ä山홍", "LO", ("ISO 2022 IR 100", "ISO 2022 IR 87")).exact is False


_SETS = [
    ("ISO_IR 192",), ("GB18030",), ("ISO_IR 100",), ("", "ISO 2022 IR 87"), ("ISO 2022 IR 100", "ISO 2022 IR 87"),
    ("", "ISO 2022 IR 149"), ("ISO 2022 IR 13", "ISO 2022 IR 87", "ISO 2022 IR 159"),
    ("ISO 2022 IR 100", "ISO 2022 IR 126", "ISO 2022 IR 144"),
]  # fmt: skip


@settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "300")))
@given(st.text(alphabet="ab^=\\ éüßΔжשﾔ山田ま홍길洪", max_size=12), st.sampled_from(_SETS))
def test_what_was_encoded_exactly_is_decoded_as_the_same(text: str, charsets: tuple[str, ...]) -> None:
    encoded = encode(text, "PN", charsets)

    if encoded.exact:
        assert decode(encoded.value, "PN", charsets) == (text, True)


@given(st.binary(), st.sampled_from([*_SETS, (), ("nonsense",)]), st.sampled_from(["PN", "LO", "UT", "CS"]))
def test_any_bytes_are_decoded(value: bytes, charsets: tuple[str, ...], vr: str) -> None:
    assert isinstance(decode(value, vr, charsets).text, str)


@given(st.text(), st.sampled_from([*_SETS, (), ("nonsense",)]))
def test_any_text_is_encoded(text: str, charsets: tuple[str, ...]) -> None:
    assert isinstance(encode(text, "LO", charsets).value, bytes)


def test_an_empty_character_set_is_the_default_repertoire() -> None:
    assert charset_names(b"") == ()
    assert charset_names(b" ") == ()
    assert charset_names(b"\\ISO 2022 IR 87") == ("", "ISO 2022 IR 87")
