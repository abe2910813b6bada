import numpy as np
import pytest

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.search_region import search_region

PICTURE = (200, 600)
LINE = Box(100, 90, 500, 110)


class Bars:
    """Finds the lit columns and rows as one line; remembers how large each part was."""

    name, version = "bars", "1"

    def __init__(self):
        self.searched = []

    def find(self, picture):
        self.searched.append(picture.shape)
        down, across = np.flatnonzero(picture.any(axis=1)), np.flatnonzero(picture.any(axis=0))
        if not down.size:
            return []
        return [Found(Box(int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1), "x", 1.0)]


def picture(line):
    made = np.zeros(PICTURE, dtype=np.uint8)
    made[line.top : line.bottom, line.left : line.right] = 255
    return made


def turned(box):
    return Box(box.top, box.left, box.bottom, box.right)


@pytest.mark.parametrize("region", [Box(240, 60, 320, 140), Box(60, 60, 160, 140), Box(480, 95, 560, 100)])
def test_a_line_that_the_region_cuts_is_found_whole(region):
    finder = Bars()

    [found], searched = search_region(finder, picture(LINE), region)

    assert found.box == LINE
    assert searched.around([LINE, region]) == searched


def test_a_line_that_runs_downwards_is_found_whole_too():
    [found], _ = search_region(Bars(), picture(LINE).T, turned(Box(240, 60, 320, 140)))

    assert found.box == turned(LINE)


def test_a_region_that_cuts_nothing_is_searched_once():
    finder, region = Bars(), Box(60, 60, 540, 140)

    [found], searched = search_region(finder, picture(LINE), region)

    assert (found.box, searched, finder.searched) == (LINE, region, [(80, 480)])


def test_a_line_at_the_edge_of_the_picture_goes_on_nowhere():
    finder, line = Bars(), Box(0, 0, 600, 20)

    [found], searched = search_region(finder, picture(line), Box(0, 0, 600, 60))

    assert (found.box, searched, len(finder.searched)) == (line, Box(0, 0, 600, 60), 1)


def test_where_nothing_is_found_no_more_is_searched():
    finder = Bars()

    assert search_region(finder, picture(Box(0, 0, 0, 0)), Box(240, 60, 320, 140)) == ([], Box(240, 60, 320, 140))
    assert len(finder.searched) == 1
