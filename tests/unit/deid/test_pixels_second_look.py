"""What one frame of a cine left in doubt is searched for again in the mean of all that show it, or stays there."""

import numpy as np
import pytest

from appliance.deid.pixels import second_look
from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.places import bounded, place, to_hide
from appliance.deid.pixels.second_look import looked_at_twice

BAR = Box(60, 30, 80, 36)
WHOLE = Box(0, 0, 128, 64)
LOOKS = [(number, WHOLE) for number in range(8)]


def frames(count=8, *, noise=0):
    """Frames with a bar in each."""
    random = np.random.default_rng(7)
    made = np.full((count, 64, 128), 40.0)
    made[:, BAR.top : BAR.bottom, BAR.left : BAR.right] = 90
    made += random.normal(0, noise, made.shape) if noise else 0
    return list(np.clip(made, 0, 255).astype(np.uint8))


class Clear:
    """Finds bars of 90 greys on 40, if there is no noise about them; remembers what it was shown."""

    name, version = "clear", "1"

    def __init__(self):
        self.shown = []

    def find(self, picture):
        self.shown.append(picture)
        rows, columns = np.nonzero(picture > 65)
        quiet = picture[picture <= 65].std() < 6
        if not rows.size or not quiet:
            return []
        return [Found(Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1), "DOE, JANE", 0.95)]


def found_in(pictures, box, text, confidence, *, number=3):
    return bounded(place(number, Found(box, text, confidence), pictures[number]), LOOKS)


def test_what_is_not_found_again_is_hidden_only_where_it_was_found():
    pictures = frames()
    nothing = Box(8, 8, 28, 16)
    speckle = found_in(pictures, nothing, "25", 0.7)

    places = looked_at_twice([speckle], pictures, Clear())

    assert [to_hide(places, number, pictures[number]) for number in (2, 3, 4)] == [[], [nothing], []]


@pytest.mark.parametrize(("text", "confidence"), [("DCE, JANE", 0.7), ("", 0.0), ("25", 0.97)])
def test_what_is_found_again_where_the_grain_is_gone_is_hidden_in_every_frame_that_shows_it(text, confidence):
    pictures = frames(noise=12)
    wide = BAR.grown(6)
    finder = Clear()
    name = found_in(pictures, wide, text, confidence)

    places = looked_at_twice([name], pictures, finder)

    assert finder.find(pictures[2]) == []  # no single frame would have shown it
    assert wide in to_hide(places, 3, pictures[3])
    assert all(to_hide(places, number, pictures[number]) == [BAR] for number in (0, 1, 2, 4, 7))


def test_what_was_read_well_is_hidden_in_other_frames_whatever_a_second_look_might_say():
    pictures, finder = frames(), Clear()
    name = found_in(pictures, BAR.grown(2), "DOE, JANE", 0.95)

    places = looked_at_twice([name], iter(()), finder)

    assert places == [name] and not finder.shown
    assert to_hide(places, 6, pictures[6]) == [BAR.grown(2)]


def test_frames_that_do_not_show_the_place_are_no_part_of_the_mean():
    pictures = frames()
    for number in (0, 1, 2):
        pictures[number][...] = 200
    finder = Clear()

    looked_at_twice([found_in(pictures, BAR.grown(2), "DOE", 0.7)], pictures, finder)

    (mean,) = finder.shown
    assert mean.max() == 90


def test_what_there_is_no_memory_for_is_hidden_in_every_frame_that_shows_it(monkeypatch):
    monkeypatch.setattr(second_look, "_MOST", 0)
    pictures, finder = frames(), Clear()

    places = looked_at_twice([found_in(pictures, BAR, "25", 0.7)], pictures, finder)

    assert to_hide(places, 6, pictures[6]) == [BAR] and not finder.shown


def test_the_worker_is_told_before_each_search():
    pictures, told = frames(), []
    doubtful = [found_in(pictures, BAR, "DOE", 0.7), found_in(pictures, BAR, "", 0.0, number=5)]

    looked_at_twice(doubtful, pictures, Clear(), lambda: told.append(1))

    assert len(told) == 2
