"""What was found in one frame of a cine is hidden in every other that shows it, and in none that does not."""

import numpy as np
import pytest

from appliance.deid.pixels.box import Box, Found
from appliance.deid.pixels.places import bounded, place, to_hide
from tests.make import phantoms

NAME = "DOE, JANE M"
WHOLE = Box(0, 0, 200, 60)


def frame(*, ink=None, behind=20, noise=0.0, seed=1):
    """A frame with the name or, without ink, none, and the box about it."""
    picture = np.full((60, 200), behind, dtype=float)
    glyphs = phantoms.drawn(NAME, "opencv", 18, smooth=False)
    box = Box(20, 20, 20 + glyphs.shape[1], 20 + glyphs.shape[0])
    if ink is not None:
        area = picture[box.top : box.bottom, box.left : box.right]
        area[...] = area * (1 - glyphs) + ink * glyphs
    picture += np.random.default_rng(seed).normal(0, noise, picture.shape) if noise else 0
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), box.grown(2)


def found_in(picture, box, text=NAME, confidence=0.95, *, number=0, looks=()):
    return bounded(place(number, Found(box, text, confidence), picture), looks)


@pytest.mark.parametrize("ink", [50, 230])
@pytest.mark.parametrize("noise", [0, 10])
def test_a_text_is_hidden_in_another_frame_that_shows_it(ink, noise):
    picture, box = frame(ink=ink, noise=noise)
    other, _ = frame(ink=ink, noise=noise, seed=2)

    name = found_in(picture, box, number=5)

    assert to_hide([name], 2, other) == [box]


@pytest.mark.parametrize("noise", [0, 10])
@pytest.mark.parametrize("ink", [50, 230])
def test_a_frame_that_does_not_show_a_text_however_faint_is_not_touched(noise, ink):
    picture, box = frame(ink=ink, noise=noise)
    without, _ = frame(noise=noise, seed=2)

    name = found_in(picture, box, number=5)

    assert to_hide([name], 2, without) == []


def test_a_bright_text_is_hidden_where_what_is_behind_it_has_become_bright_too():
    picture, box = np.full((60, 200), 20, dtype=np.uint8), Box(20, 20, 120, 36)
    picture[22:34, 24:116:6] = 230  # strokes
    over_bone = np.where(picture == 20, 190, picture).astype(np.uint8)

    name = found_in(picture, box, number=5)

    assert to_hide([name], 2, over_bone) == [box]


def test_a_text_is_hidden_until_its_place_is_searched_again():
    picture, box = frame(ink=230)
    without, _ = frame()

    name = found_in(picture, box, looks=[(0, WHOLE), (3, WHOLE)])

    assert to_hide([name], 2, without) == [box] and to_hide([name], 3, without) == []


def test_a_box_of_another_frame_is_left_out_where_the_search_of_this_one_read_as_much():
    picture, box = frame(ink=230)
    looks = [(0, WHOLE), (1, WHOLE)]
    wide = found_in(picture, WHOLE, looks=looks)
    tight = found_in(picture, box, number=1, looks=looks)

    assert to_hide([wide, tight], 1, picture) == [box]
    assert WHOLE in to_hide([wide, tight], 0, picture)


@pytest.mark.parametrize(("text", "confidence"), [("DOE, JAN", 0.95), (NAME, 0.7), ("", 0.0)])
def test_a_box_of_another_frame_stays_where_the_search_of_this_one_read_less_or_was_not_sure(text, confidence):
    picture, box = frame(ink=230)
    looks = [(0, WHOLE), (1, WHOLE)]
    wide = found_in(picture, WHOLE, looks=looks)
    tight = found_in(picture, box, text, confidence, number=1, looks=looks)

    assert to_hide([wide, tight], 1, picture) == [box, WHOLE]
