"""Strokes that stand out are put in rows as letters are, level or turned; grain is none."""

import cv2
import numpy as np
import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.strokes import strokes
from tests.make import phantoms


def picture_of(words, *, behind=30, ink=120, turned=False, size=16):
    glyphs = phantoms.drawn(words, "", size)
    if turned:
        glyphs = np.rot90(glyphs)
    picture = np.full((220, 220), behind, dtype=np.uint8)
    top, left = 50, 50
    area = picture[top : top + glyphs.shape[0], left : left + glyphs.shape[1]]
    area[...] = np.rint(behind + (float(ink) - behind) * glyphs)
    return picture, Box(left, top, left + glyphs.shape[1], top + glyphs.shape[0])


@pytest.mark.parametrize(("behind", "ink"), [(30, 120), (220, 90), (10, 40)])
@pytest.mark.parametrize("turned", [False, True])
def test_letters_side_by_side_are_one_row(behind, ink, turned):
    picture, box = picture_of("SMITH 47", behind=behind, ink=ink, turned=turned)

    rows = [each for each in strokes(picture) if each.letters > 1 and each.box.touches(box)]

    assert any(_alike(each.box, box) for each in rows)


def test_a_letter_alone_on_a_plain_ground_is_clear():
    picture, box = picture_of("R", size=24)

    assert any(each.clear and _alike(each.box, box) for each in strokes(picture))


def test_a_letter_beside_another_shape_is_not_clear():
    picture, box = picture_of("R", size=24)
    picture[:, box.right : box.right + 3] = 120

    assert not any(each.clear and each.letters == 1 and _alike(each.box, box) for each in strokes(picture))


def test_a_plain_picture_and_a_smooth_one_have_no_strokes():
    ramp = np.linspace(0, 255, 300).astype(np.uint8)[None, :].repeat(200, axis=0)

    assert list(strokes(np.full((200, 300), 90, dtype=np.uint8))) == []
    assert [each for each in strokes(ramp) if each.letters > 1] == []


def test_grain_has_hardly_any_strokes_however_strong_it_is():
    grain = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, (256, 256)), (0, 0), 1.5)
    picture = (100 + 20 * grain / grain.std()).clip(0, 255).astype(np.uint8)

    assert len([each for each in strokes(picture) if each.letters > 1 or each.clear]) < 10


@pytest.mark.parametrize("shape", [(1, 1), (1, 200), (200, 1), (2, 3, 3)])
def test_pictures_of_hardly_any_pixels_have_no_strokes(shape):
    assert list(strokes(np.full(shape, 90, dtype=np.uint8))) == []


def _alike(box, other):
    return box.around([other]).area <= 1.35 * other.area and other.around([box]).area <= 1.35 * box.area
