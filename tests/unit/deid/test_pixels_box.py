"""Boxes are half open, are clipped to their frame, and meet only where they share a pixel."""

from appliance.deid.pixels.box import Box


def test_a_box_counts_the_pixels_within_it():
    assert (Box(2, 3, 5, 7).width, Box(2, 3, 5, 7).height, Box(2, 3, 5, 7).area) == (3, 4, 12)


def test_a_box_that_is_turned_inside_out_has_no_area():
    assert Box(5, 7, 2, 3).area == 0


def test_a_box_is_clipped_to_its_frame():
    assert Box(-4, -1, 700, 20).within(rows=10, columns=640) == Box(0, 0, 640, 10)
    assert Box(650, 0, 700, 20).within(rows=10, columns=640).area == 0


def test_boxes_side_by_side_share_no_pixel():
    assert not Box(0, 0, 10, 10).touches(Box(10, 0, 20, 10))
    assert Box(0, 0, 10, 10).touches(Box(9, 9, 20, 20))


def test_a_box_grows_around_others():
    assert Box(5, 5, 6, 6).around([Box(0, 8, 2, 9)]) == Box(0, 5, 6, 9)
    assert Box(5, 5, 6, 6).grown(2) == Box(3, 3, 8, 8)
