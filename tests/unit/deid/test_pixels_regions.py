"""Known regions: what the device writes where, and exactly what no ultrasound region covers."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.devices import Device
from appliance.deid.pixels.regions import OUTSIDE, known_regions, outside
from appliance.deid.scopes import readable
from appliance.dicom import part10
from appliance.dicom.query import parse_query
from tests.make import make

ROWS, COLUMNS = 30, 40


def covered(boxes):
    """True where a box is."""
    there = np.zeros((ROWS, COLUMNS), dtype=int)
    for box in boxes:
        there[box.top : box.bottom, box.left : box.right] += 1
    return there


def region(left, top, right, bottom):
    """An ultrasound region; its last column and row belong to it."""
    item = Dataset()
    item.RegionLocationMinX0, item.RegionLocationMinY0 = left, top
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = right, bottom
    return item


def known(*regions, devices=(), syntax=make.EXPLICIT):
    data = make.us(SequenceOfUltrasoundRegions=Sequence(regions) if regions else None)
    original = part10.read(io.BytesIO(make.file(data, syntax)))
    return known_regions(readable(original.dataset), original.meta, devices, rows=ROWS, columns=COLUMNS)


edges = st.integers(0, 45)
boxes = st.builds(
    lambda left, top, width, height: Box(left, top, left + width, top + height).within(rows=ROWS, columns=COLUMNS),
    edges,
    edges,
    st.integers(1, 45),
    st.integers(1, 45),
)


@given(st.lists(boxes, max_size=5))
def test_what_no_region_covers_is_covered_exactly_once(regions):
    regions = [box for box in regions if box.area]

    there = covered(outside(regions, rows=ROWS, columns=COLUMNS))

    assert np.array_equal(there == 1, covered(regions) == 0)
    assert there.max(initial=0) <= 1


@pytest.mark.parametrize("syntax", [make.EXPLICIT, make.IMPLICIT, make.BIG_ENDIAN])
def test_all_outside_of_the_ultrasound_regions_is_known_in_every_byte_order(syntax):
    found = known(region(0, 4, 39, 29), region(5, 1, 10, 3), syntax=syntax)

    assert {cause for cause, _ in found} == {OUTSIDE}
    inside = covered(box for _, box in found) == 0
    assert inside[4:, :].all() and inside[1:4, 5:11].all() and inside.sum() == 26 * 40 + 3 * 6


def test_a_region_that_reaches_beyond_the_picture_is_clipped_and_one_of_nonsense_protects_nothing():
    wide = known(region(0, 4, 4_000_000_000, 5000), region(20, 3, 10, 2))
    lost = known(region(20, 3, 10, 2))

    assert [box for _, box in wide] == [Box(0, 0, COLUMNS, 4)]
    assert [box for _, box in lost] == [Box(0, 0, COLUMNS, ROWS)]


def test_a_picture_without_regions_and_of_no_known_device_has_no_known_regions():
    assert known() == ()


def test_every_device_that_matches_counts():
    us = Device("one", parse_query("Modality StrEquals US"), (Box(0, 0, 3, 3),))
    ct = Device("two", parse_query("Modality StrEquals CT"), (Box(0, 0, 5, 5),))
    maker = Device("three", parse_query("Manufacturer StrEquals Phantom*"), (Box(4, 4, 5, 5), Box(50, 50, 60, 60)))

    assert known(devices=(us, ct, maker)) == (
        ("device one", Box(0, 0, 3, 3)),
        ("device three", Box(4, 4, 5, 5)),
        ("device three", Box(50, 50, 60, 60)),
    )
