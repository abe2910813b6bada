"""A place that was seen twice is one; of boxes within boxes the tight ones stay; a box ends where its ink does."""

import numpy as np
import pytest

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.outline import Outline
from appliance.deid.pixels.read_text import Reading
from appliance.deid.pixels.see_text import Proposal
from appliance.deid.pixels.text_boxes import each_once, merged, stretched


def test_what_was_seen_twice_is_one_place_as_large_as_the_surer_says_and_holds_both_cores():
    first = Proposal(Box(2, 2, 48, 8), Box(0, 0, 50, 12), 0.4)
    second = Proposal(Box(4, 3, 48, 9), Box(3, 1, 49, 11), 0.9)

    assert merged([first, second]) == [Proposal(Box(2, 2, 48, 9), Box(2, 1, 49, 11), 0.9)]


def test_two_lines_that_only_touch_stay_two():
    lines = [Proposal(box, box, 0.9) for box in (Box(0, 0, 50, 10), Box(0, 9, 50, 19))]

    assert len(merged(lines)) == 2


def test_a_box_whose_parts_read_as_much_is_left_out():
    tight, wide = Found(Box(10, 10, 60, 20), "DOE JANE", 0.9), Found(Box(0, 0, 90, 60), "DOEJANE", 0.8)

    assert each_once([wide, tight]) == [tight]


def test_a_box_that_reads_more_than_its_parts_is_kept_and_they_are_not():
    part, whole = Found(Box(10, 10, 60, 20), "DOE", 0.9), Found(Box(8, 8, 99, 22), "DOE JANE", 0.8)

    assert each_once([part, whole]) == [whole]


def test_a_place_that_nobody_can_read_is_never_left_out_for_another():
    line, unread = Found(Box(10, 10, 60, 20), "DOE", 0.9), Found(Box(50, 5, 120, 25), "", 0.0)

    assert set(each_once([line, unread])) == {line, unread}


@pytest.mark.parametrize(
    ("box", "before", "behind", "longer"),
    [
        (Box(10, 10, 60, 20), 2.0, 2.0, Box(-10, 10, 80, 20)),
        (Box(10, 10, 20, 60), 2.0, 2.0, Box(10, -10, 20, 80)),
        (Box(10, 10, 60, 20), 2.0, 0.0, Box(-10, 10, 60, 20)),
        (Box(10, 10, 20, 60), 0.0, 2.0, Box(10, 10, 20, 80)),
    ],
)
def test_a_line_is_stretched_the_way_it_runs(box, before, behind, longer):
    assert stretched(box, before, behind) == longer


def test_a_box_is_cut_to_its_ink():
    picture = np.zeros((60, 120), dtype=np.uint8)
    picture[20:30, 40:80:4] = 200

    fitted = Outline(picture).fitted(Box(10, 5, 110, 55), Box(42, 22, 70, 28))

    assert fitted.around([Box(40, 20, 77, 30)]) == fitted
    assert fitted.area < 50 * 20


def test_a_box_is_never_cut_within_its_core():
    """A word that fades is as much a word."""
    picture = np.zeros((60, 120), dtype=np.uint8)
    picture[20:30, 20:50:4] = 40
    picture[20:30, 50:100:4] = 220
    core = Box(22, 22, 96, 28)

    fitted = Outline(picture).fitted(Box(15, 15, 105, 35), core)

    assert fitted.around([core]) == fitted


@pytest.mark.parametrize(
    ("turn", "span"),
    [(0, Box(30, 0, 70, 10)), (1, Box(30, 0, 70, 10)), (3, Box(30, 0, 70, 10))],
)
def test_the_letters_of_a_reading_are_found_again_in_the_box_whichever_way_it_ran(turn, span):
    box = Box(0, 0, 100, 10) if turn == 0 else Box(0, 0, 10, 100)
    reading = Reading("DOE", 0.9, turn, first=0.35, last=0.65)

    found = reading.span(box, 0.5)

    along = (found.left, found.right) if turn == 0 else (found.top, found.bottom)
    assert along == (span.left, span.right)
