"""Whose pixels are looked at: the ``Pixels`` and ``Devices`` of the rules, and every slip in them."""

import io

import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.devices import packaged_devices
from appliance.deid.pixels.policy import Text
from appliance.deid.scopes import readable
from appliance.dicom import part10
from appliance.errors import ConfigError
from tests.make import make
from tests.make.deidentified import rules_from


@pytest.fixture
def rules(tmp_path):
    return lambda text: rules_from(text, tmp_path)


def task(rules, data, syntax=make.EXPLICIT):
    """What is to be done with the pixels of an instance."""
    original = part10.read(io.BytesIO(make.file(data, syntax)))
    return rules.task_for(rules.labels_of(original.dataset, original.meta), original.dataset, original.meta)


SLICE = "Labels: [{Name: mr, DICOMQueryFilter: Modality StrEquals MR}, {Name: all}]\n"


def test_the_first_entry_that_applies_decides(rules):
    read = rules(
        SLICE + "Pixels:\n- {Labels: mr, Text: mask-identifying-text, Regions: false, Why: first}\n"
        "- {Labels: all, Why: second}\n"
    )

    first, second = task(read, make.mr()), task(read, make.ct())

    assert (first.text, first.regions, first.rule) == (Text.IDENTIFYING, False, "By rule, line 3: first.")
    assert (second.text, second.regions, second.rule) == (Text.ALL, True, "By rule, line 4: second.")


def test_who_is_meant_by_no_entry_is_not_looked_at(rules):
    assert task(rules(SLICE + "Pixels: [{Labels: mr, Why: w}]"), make.ct()) is None
    assert task(rules("Pixels: []"), make.us()) is None
    assert task(rules("Profile: none"), make.us()) is None


def test_transformations_hide_besides_what_an_entry_hides(rules):
    text = (
        SLICE + "%s\nTransformations:\n- Scope: {Labels: mr}\n  RemoveBurnedInAnnotations:\n"
        "  - {Type: Manual, BoxCoordinates: [[0, 0, 5, 5]]}\n%s"
    )
    manual, found = "", "  - {Type: OCR}\n"

    alone = task(rules(text % ("Pixels: []", manual)), make.mr())
    both = task(rules(text % ("Pixels: [{Labels: mr, Text: mask-identifying-text, Why: w}]", manual)), make.mr())
    ocr = task(rules(text % ("Pixels: []", found)), make.mr())

    assert (alone.text, alone.regions) == (Text.NONE, False)
    assert alone.boxes == (("RemoveBurnedInAnnotations, line 6", Box(0, 0, 5, 5)),)
    assert (both.text, both.regions, both.boxes) == (Text.IDENTIFYING, True, alone.boxes)
    assert (ocr.text, ocr.boxes) == (Text.ALL, alone.boxes)


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("Pixels: {}", "Pixels must be a list, not a mapping"),
        ("Pixels: [{Labels: ALL}]", "line 1: Why is missing"),
        ("Pixels: [{Why: w}]", "Labels is missing"),
        ("Pixels: [{Labels: ALL, Why: w, Txt: none}]", "'Txt' is not known here. Did you mean 'Text'?"),
        ("Pixels: [{Labels: ALL, Why: w, Text: mask-all}]", "Text cannot be 'mask-all'"),
        ("Pixels: [{Labels: ALL, Why: w, Regions: 'yes'}]", "Regions must be true or false"),
        ("Pixels: [{Labels: ALL, Why: w, Regions: false, Text: none}]", "nothing would be hidden"),
        ("Options: [CleanPixelData]", "pixels are cleaned as 'Pixels' says"),
        ("Devices: [{Name: x, Boxes: [[0, 0, 1, 1]]}]", "a signature is missing"),
        ("Devices: [{Name: x, Model: y}]", "Boxes is missing"),
        ("Devices: [{Name: x, Model: y, Boxes: []}]", "Boxes are missing"),
        ("Devices: [{Name: x, Model: y, Boxes: [[0, 0, 0, 1]]}]", "a box is empty"),
        ("Devices: [{Name: x, Model: '*', Boxes: [[0, 0, 1, 1]]}]", "'*' alone means every device"),
        ("Devices: [{Name: x, SopClass: US, Boxes: [[0, 0, 1, 1]]}]", "SopClass must be a SOP Class UID"),
        ("Devices: [{Name: x, Rows: 0, Boxes: [[0, 0, 1, 1]]}]", "Rows must be a whole number"),
        ("Devices: [{Name: x, DICOMQueryFilter: Rws NbEquals 1, Boxes: [[0, 0, 1, 1]]}]", "there is no 'Rws'"),
        (
            "Devices: [{Name: x, Model: y, Boxes: [[0, 0, 1, 1]]}, {Name: x, Model: z, Boxes: [[0, 0, 1, 1]]}]",
            "stands here twice",
        ),
    ],
)
def test_a_slip_is_an_error_with_its_line(slip, says, rules):
    with pytest.raises(ConfigError) as raised:
        rules(slip)

    assert says in str(raised.value)


def test_a_site_s_device_counts_besides_the_packaged_ones(rules):
    read = rules(
        "Devices:\n- {Name: ours, Manufacturer: 'phantom*', Model: Model P, Software: '1.*', Modality: US, Rows: 16, "
        "Columns: 16,\n   SopClass: 1.2.840.10008.5.1.4.1.1.6.1, Boxes: [[0, 0, 16, 3]]}\n"
    )
    ours = next(device for device in read.devices if device.name == "ours")
    data, other = make.us(SoftwareVersions="1.7"), make.us(SoftwareVersions="2.0")

    assert len(read.devices) == len(packaged_devices()) + 1
    assert ours.boxes == (Box(0, 0, 16, 3),)
    for each, known in ((data, True), (other, False)):
        original = part10.read(io.BytesIO(make.file(each)))
        assert ours.matches(readable(original.dataset), original.meta) is known


def test_each_packaged_device_says_what_it_is_and_boxes_that_lie_in_its_picture():
    names = [device.name for device in packaged_devices()]

    assert len(names) > 80 and len(set(names)) == len(names)
    assert all(0 < box.area < 2_000_000 for device in packaged_devices() for box in device.boxes)


def test_the_devices_of_the_field_are_known_by_what_their_images_say():
    data = make.us(Manufacturer="Philips Medical Systems", ManufacturerModelName="iU22", size=16)
    data.Rows, data.Columns = 768, 1024
    original = part10.read(io.BytesIO(make.file(data)))

    known = [device for device in packaged_devices() if device.matches(readable(original.dataset), original.meta)]

    assert [device.name for device in known] == ["Philips iU22, 768 rows"]
    assert known[0].boxes == (Box(0, 0, 1024, 75),)
