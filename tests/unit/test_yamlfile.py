from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance import yamlfile
from appliance.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    text: str = ""
    number: int = 0
    ratio: float = 0.0
    on: bool = False


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    several: tuple[Inner, ...] = ()
    named: dict[str, Inner] = field(default_factory=dict)
    folder: Path | None = None


def bound(tmp_path, text):
    file = tmp_path / "f.yaml"
    file.write_text(text, encoding="utf-8")
    return yamlfile.read(Outer, file)


def complaint(tmp_path, text):
    with pytest.raises(ConfigError) as caught:
        bound(tmp_path, text)
    return caught.value


def test_a_file_becomes_nested_dataclasses(tmp_path):
    found = bound(
        tmp_path,
        "inner: {text: a, number: 3, ratio: 2, on: yes}\nseveral: [{text: b}]\n"
        "named: {x: {number: 1}}\nfolder: sub/o\n",
    )

    assert found == Outer(Inner("a", 3, 2.0, True), (Inner("b"),), {"x": Inner("", 1)}, tmp_path / "sub/o")


def test_an_empty_file_means_the_defaults(tmp_path):
    assert bound(tmp_path, "# nothing yet\n") == Outer()


def test_a_file_saved_by_a_windows_editor_is_read(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"\xef\xbb\xbfinner:\r\n  text: a\r\n")

    assert yamlfile.read(Outer, tmp_path / "f.yaml").inner.text == "a"


@pytest.mark.parametrize("spelling", ["007", "0o17", "0x1F", "1_000", "1:30", "2026-11-20"])
def test_numbers_that_yaml_would_read_in_a_surprising_way_stay_texts(tmp_path, spelling):
    assert bound(tmp_path, f"inner: {{text: {spelling}}}\n").inner.text == spelling
    assert "must be a whole number, not a text" in str(complaint(tmp_path, f"inner: {{number: {spelling}}}\n"))


@pytest.mark.parametrize(("spelling", "value"), [("0", 0), ("-3", -3), ("17", 17)])
def test_plain_whole_numbers_are_numbers(tmp_path, spelling, value):
    assert bound(tmp_path, f"inner: {{number: {spelling}}}\n").inner.number == value


@pytest.mark.parametrize(
    ("spelling", "value"), [("0.5", 0.5), (".5", 0.5), ("2.", 2.0), ("1.5e+3", 1500.0), ("4", 4.0)]
)
def test_plain_decimal_numbers_are_numbers(tmp_path, spelling, value):
    assert bound(tmp_path, f"inner: {{ratio: {spelling}}}\n").inner.ratio == value


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("inner:\n  text: [a\n", 3, "not valid YAML"),
        ("inner:\n\ttext: a\n", 2, "not valid YAML"),
        ("inner:\n  textt: a\n", 2, "'inner.textt' is not a known setting. Did you mean 'text'?"),
        ("inner:\n  zzz: a\n", 2, "Known here: number, on, ratio, text."),
        ("inner:\n  on: 1\n", 2, "'inner.on' must be true or false, not a number."),
        ("inner:\n  number: true\n", 2, "'inner.number' must be a whole number, not yes/no."),
        ("several:\n  - text: a\n  - text: [b]\n", 3, "'several[1].text' must be a text, not a list."),
        ("several: {text: a}\n", 1, "'several' must be a list, not a mapping."),
        ("named:\n  x: 1\n", 2, "a mapping (key: value) is needed here, not a number."),
        ("inner:\n  <<: {text: a}\n", 2, "a key must be a plain word."),
        ("inner:\n  ? [a]\n  : b\n", 2, "a key must be a plain word."),
        ("inner:\n  text: !!python/object:os.system a\n", 2, "the tag"),
        ("inner: {}\n---\ninner: {}\n", 2, "not valid YAML"),
        ("[" * 5000, None, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path, text, line, says):
    error = complaint(tmp_path, text)

    assert says in str(error)
    assert error.line == line


def test_a_file_that_is_no_text_is_told(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"inner: \xff\xfe\n")

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        yamlfile.read(Outer, tmp_path / "f.yaml")


def test_a_character_that_yaml_forbids_is_told(tmp_path):
    (tmp_path / "f.yaml").write_bytes(b"inner: \x00\n")

    with pytest.raises(ConfigError, match="characters that YAML forbids"):
        yamlfile.read(Outer, tmp_path / "f.yaml")


def test_the_tree_keeps_the_line_of_each_key_for_a_language_of_its_own(tmp_path):
    root = yamlfile.parse("a: 1\nb:\n  - c\n  - d: x\n", tmp_path / "rules.yaml")

    assert root.key_lines == {"a": 1, "b": 2}
    assert [node.line for node in root.value["b"].value] == [3, 4]
    assert str(root.value["a"].wrong("no")).endswith("rules.yaml line 1: no")
