"""Each frame that shows something new is looked at; what was seen before, or is only other noise, is not."""

from itertools import pairwise

import numpy as np
import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.changed_frames import EVERY, frames_to_look_at
from tests.make import phantoms


def still(frames=6, *, noise=0.0, level=60.0):
    random = np.random.default_rng(5)
    ground = np.full((120, 200), level)
    return [np.clip(ground + random.normal(0, noise, ground.shape), 0, 255).astype(np.uint8) for _ in range(frames)]


def write(picture, words="DOE", *, size=9, ink=100, at=(50, 70)):
    glyphs = phantoms.drawn(words, "", size)
    top, left = at
    area = picture[top : top + glyphs.shape[0], left : left + glyphs.shape[1]]
    area[...] = np.rint(area * (1 - glyphs) + ink * glyphs)
    return Box(left, top, left + glyphs.shape[1], top + glyphs.shape[0])


def test_the_first_frame_is_looked_at_whole_and_its_repeats_are_not():
    assert list(frames_to_look_at(still())) == [(0, Box(0, 0, 200, 120))]


@pytest.mark.parametrize("noise", [1.0, 6.0, 15.0])
def test_noise_alone_needs_hardly_any_look(noise):
    looks = list(frames_to_look_at(still(noise=noise)))

    assert sum(region.area for _, region in looks[1:]) < 200 * 120


def test_a_text_that_comes_is_looked_at_once_and_its_leaving_too():
    frames = still()
    boxes = [write(frames[number]) for number in (2, 3)]

    looks = list(frames_to_look_at(frames))

    assert [number for number, _ in looks] == [0, 2, 4]
    region = looks[1][1]
    assert region.around([boxes[0]]) == region


@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_the_faintest_text_that_a_reader_could_read_is_a_change(noise):
    frames = still(noise=noise)
    write(frames[3], "DOE, JANE", ink=60 + phantoms.LEAST_CONTRAST)

    assert 3 in [number for number, _ in frames_to_look_at(frames)]


def test_a_clock_that_runs_is_looked_at_in_each_frame():
    frames = still()
    for number, frame in enumerate(frames):
        write(frame, f"14:22:0{number}")

    assert [number for number, _ in frames_to_look_at(frames)] == [0, 1, 2, 3, 4, 5]


def test_a_change_by_small_steps_does_not_creep_past():
    """Compared is what was looked at, not the frame before."""
    frames = still()
    for number, frame in enumerate(frames):
        write(frame, ink=60 + 6 * number)

    assert len(list(frames_to_look_at(frames))) > 1


def test_a_frame_of_another_size_is_looked_at_whole():
    frames = [np.zeros((40, 40), np.uint8), np.zeros((20, 50, 3), np.uint8)]

    assert list(frames_to_look_at(frames)) == [(0, Box(0, 0, 40, 40)), (1, Box(0, 0, 50, 20))]


def test_only_two_frames_are_held_at_a_time():
    looks = frames_to_look_at(iter(still()))

    assert next(looks)[0] == 0
    assert list(frames_to_look_at([])) == []


def moving(frames=24):
    """Speckle that is another in each frame, as a beating heart's is."""
    random = np.random.default_rng(8)
    return [phantoms.grounds.cloud(random, 120, 200, 60) * 90 for _ in range(frames)]


def as_bytes(frames):
    return [np.clip(frame, 0, 255).astype(np.uint8) for frame in frames]


def test_what_always_moves_is_not_looked_at_in_each_frame():
    looks = list(frames_to_look_at(as_bytes(moving())))

    assert sum(region.area for _, region in looks) < 12 * 200 * 120


def test_a_bright_text_on_what_moves_is_looked_at_in_the_only_frame_that_has_it():
    frames = as_bytes(moving())
    box = write(frames[13], "DOE, JANE", size=14, ink=255)

    regions = [region for number, region in frames_to_look_at(frames) if number == 13]

    assert [region.around([box]) for region in regions] == regions != []


def test_what_moves_is_looked_at_again_in_every_eighth_frame():
    """So that a text over it, however faint, is seen if it stays for as long."""
    looks = frames_to_look_at(as_bytes(moving(40)))

    whole = [number for number, region in looks if region.area > 200 * 120 // 2]

    assert max(later - earlier for earlier, later in pairwise([*whole, 40])) <= EVERY


@pytest.mark.parametrize("words", ["DOE", "MMMMMMMM"])
def test_text_on_a_ground_of_another_brightness_is_a_change(words):
    """All of the block differs then: that is no noise."""
    frames = still(2, level=20.0) + still(2, level=240.0)
    for frame in frames[2:]:
        write(frame, words, size=16, ink=0)

    assert [number for number, _ in frames_to_look_at(frames)] == [0, 2]
