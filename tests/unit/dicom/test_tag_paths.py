"""Tag paths and patterns: what they choose, and what is refused because it could choose nothing."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.dicom import part10
from appliance.dicom.dictionary import KEYWORDS, tag_of
from appliance.dicom.element import DataSet, tag_text
from appliance.dicom.tagpath import BadPath, Step, TagPath, holders, parse_path, parse_pattern, walk
from tests.make import make


@pytest.fixture(scope="module")
def data_set() -> DataSet:
    """Private block 0029,10 with a text, a sequence holding a name, and bytes; references with UIDs."""
    data = make.with_private(make.ct())
    data.add_new(0x60020010, "US", 4)
    return part10.read(io.BytesIO(make.file(data))).dataset


def chosen(data_set: DataSet, text: str) -> list[str]:
    pattern = parse_pattern(text)
    return [".".join(tag_text(level.element.tag) for level in way) for way in walk(data_set) if pattern.matches(way)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("PatientName", ["(0010,0010)"]),
        ("00100010", ["(0010,0010)"]),
        ("*/PatientName", ["(0010,0010)", "(0029,1002).(0010,0010)"]),
        ("+/PatientName", ["(0029,1002).(0010,0010)"]),
        ("*/{PN}", ["(0008,0090)", "(0010,0010)", "(0029,1002).(0010,0010)"]),
        ("{PN}", ["(0008,0090)", "(0010,0010)"]),
        (
            "Patient*",
            ["(0010,0010)", "(0010,0020)", "(0010,0030)", "(0010,0040)", "(0010,1010)", "(0010,1040)", "(0018,5100)"],
        ),
        ("*/XXX@XXXX", ["(0029,0010)", "(0029,1001)", "(0029,1002)", "(0029,1003)"]),
        ("*/0029{PHANTOM PRIVATE}XX", ["(0029,1001)", "(0029,1002)", "(0029,1003)"]),
        ("0029{PHANTOM PRIVATE}03", ["(0029,1003)"]),
        ("XXX@{PHANTOM PRIVATE}0@", ["(0029,1001)", "(0029,1003)"]),
        ("*/0029{phantom private}XX", []),
        ("*/0029{OTHER}XX", []),
        ("0029{PHANTOM PRIVATE}02.PatientName", ["(0029,1002).(0010,0010)"]),
        ("*/ReferencedImageSequence.*", ["(0008,1140).(0008,1150)", "(0008,1140).(0008,1155)"]),
        ("*/Referenced*.Referenced*UID", ["(0008,1140).(0008,1150)", "(0008,1140).(0008,1155)"]),
        ("ReferencedImageSequence", ["(0008,1140)"]),
        ("ReferencedImageSequence.PatientName", []),
        ("OverlayRows", ["(6002,0010)"]),
        ("60XX0010", ["(6002,0010)"]),
        ("0018XXXX.PatientName", []),
    ],
)
def test_a_pattern_chooses(data_set: DataSet, pattern: str, expected: list[str]) -> None:
    assert chosen(data_set, pattern) == expected


def test_a_star_at_any_depth_chooses_every_element(data_set: DataSet) -> None:
    assert len(chosen(data_set, "*/*")) == len(list(walk(data_set)))


@pytest.mark.parametrize(
    "text",
    [
        "", "*/", "PatientNam", "patientname", "Patient Name", "0010001", "0010001g", "{ZZ}", "{pn}", "0028{X}10",
        "0029{}10", "a..b", "PatientName.", ".PatientName", "**/PatientName", "*/Foo*Bar", "-/PatientName", "0029{A}1",
        "PatientName[0]",
    ],
)  # fmt: skip
def test_what_could_choose_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadPath):
        parse_pattern(text)


def test_elements_may_be_removed_on_the_walk(data_set: DataSet) -> None:
    copy = part10.read(io.BytesIO(make.file(make.with_private(make.ct())))).dataset

    for way in walk(copy):
        way[-1].holder.remove(way[-1].element.tag)

    assert not copy.elements


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("PatientName", (Step(0x00100010),)),
        ("00100010", (Step(0x00100010),)),
        ("RequestAttributesSequence[0].00400009", (Step(0x00400275, 0), Step(0x00400009))),
        ("RequestAttributesSequence[%].00400009", (Step(0x00400275), Step(0x00400009))),
        ("00291002[12].PatientName", (Step(0x00291002, 12), Step(0x00100010))),
    ],
)
def test_a_path_is_parsed(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_path(text) == TagPath(steps)


@pytest.mark.parametrize(
    "text", ["", "PatientNam", "PatientName[-1]", "PatientName[]", "A.B", "*/PatientName", "0010001X"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(BadPath):
        parse_path(text)


_steps = st.builds(
    Step,
    st.sampled_from(KEYWORDS).map(tag_of) | st.integers(0, 0xFFFFFFFF),
    st.none() | st.integers(0, 999_999),
)


@given(st.lists(_steps, min_size=1, max_size=4).map(tuple).map(TagPath))
def test_a_path_that_was_written_down_is_read_as_the_same(path: TagPath) -> None:
    assert parse_path(str(path)) == path


@given(
    st.sampled_from(["", "*/", "+/"]),
    st.lists(st.sampled_from(["PatientName", "00XX@010", "0029{A B.C}1X", "{DA}", "*Date", "*"]), min_size=1),
)
def test_a_pattern_that_was_written_down_is_read_as_the_same(prefix: str, parts: list[str]) -> None:
    text = prefix + ".".join(parts)

    assert str(parse_pattern(text)) == text
    assert parse_pattern(str(parse_pattern(text))) == parse_pattern(text)


@given(st.text())
def test_any_text_is_a_pattern_or_refused(text: str) -> None:
    for parse in (parse_pattern, parse_path):
        try:
            parse(text)
        except BadPath:
            continue


def test_a_path_leads_to_the_data_sets_that_hold_its_last_element(data_set: DataSet) -> None:
    assert holders(data_set, parse_path("PatientName")) == [data_set]
    assert (
        holders(data_set, parse_path("ReferencedImageSequence[0].PatientName")) == data_set.elements[0x00081140].items
    )
    with pytest.raises(IndexError):
        holders(data_set, parse_path("ReferencedImageSequence[1].PatientName"))
    with pytest.raises(KeyError):
        holders(data_set, parse_path("SourceImageSequence.PatientName"))
