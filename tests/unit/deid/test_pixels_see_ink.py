"""Letters are told from what is none, in pixels: faint, small, alone, beside borders; ticks and borders are no text."""

import cv2
import numpy as np
import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.see_ink import InkSeer
from tests.make import phantoms

SURE = 0.4


@pytest.fixture(scope="module")
def seer():
    return InkSeer(threads=1)


def ground(behind=60, *, grain=0.0, shape=(192, 256)):
    return behind + np.random.default_rng(4).normal(0, grain, shape) if grain else np.full(shape, float(behind))


def written(picture, words, *, size, contrast, at, turned=0):
    glyphs = np.rot90(phantoms.drawn(words, "", size), turned // 90)
    top, left = at
    picture[top : top + glyphs.shape[0], left : left + glyphs.shape[1]] += contrast * glyphs
    return Box(left, top, left + glyphs.shape[1], top + glyphs.shape[0])


def finished(picture):
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def sure_boxes(seer, picture):
    return [line.box for line in seer.lines(finished(picture)) if line.score >= SURE]


def hold(boxes, text):
    return any(box.around([text]) == box or box.shared(text) >= 0.95 * text.area for box in boxes)


@pytest.mark.parametrize("turned", [0, 90, 270])
@pytest.mark.parametrize("letter", ["R", "P"])
def test_a_faint_letter_alone_beside_a_border_is_seen(seer, letter, turned):
    picture = ground(60)
    picture[40:150, 30:32] = picture[40:42, 30:200] = 130
    text = written(picture, letter, size=14, contrast=30, at=(50, 42), turned=turned)

    assert hold(sure_boxes(seer, picture), text)


def test_a_small_faint_line_in_grain_is_seen_whole(seer):
    picture = ground(110, grain=6)
    text = written(picture, "ROSSI^MARIA 1948", size=12, contrast=35, at=(80, 40))

    assert hold(sure_boxes(seer, picture), text)


def test_lines_close_to_each_other_stay_apart_and_are_cut_to_their_ink(seer):
    picture = ground(20)
    texts = [written(picture, "Klinikum Nord 47", size=12, contrast=180, at=(40 + 16 * n, 40)) for n in range(4)]

    boxes = sure_boxes(seer, picture)

    assert all(hold(boxes, text) for text in texts)
    assert all(box.height <= texts[0].height + 5 for box in boxes)


def test_the_ticks_of_a_ruler_a_grid_and_a_curve_are_no_text(seer):
    picture = ground(30)
    for number, at in enumerate(range(10, 180, 8)):
        picture[at : at + 2, 230 : 242 if number % 5 else 250] = 200
    picture[100:190:20, 20:160] = picture[100:190, 20:160:28] = 120
    along = np.arange(10, 220, 2)
    points = np.stack([along, 50 + 25 * np.sin(along / 17)], axis=1).astype(np.int32)
    cv2.polylines(picture, [points], False, 170.0, 1, cv2.LINE_AA)

    assert sure_boxes(seer, picture) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5, 3)])
def test_pictures_of_hardly_any_pixels_have_no_lines(seer, shape):
    assert list(seer.lines(np.full(shape, 90, dtype=np.uint8))) == []
