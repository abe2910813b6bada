"""Text in pictures is found, turned, faint and small too; what cannot be looked at is an error, not an empty answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from appliance.deid.pixels import find_text, text_models
from appliance.deid.pixels.box import Box
from appliance.deid.pixels.find_text import TextFinder
from appliance.deid.pixels.outline import Outline
from appliance.deid.pixels.read_text import Reading
from appliance.deid.pixels.see_text import Proposal
from appliance.errors import CannotLook
from tests.make import burned_in, phantoms

NAME = "DOE, JANE 1956"


@pytest.fixture(scope="module")
def finder():
    return TextFinder()


def with_text(words=NAME, *, size=14, behind=20, ink=230, turned=0, shape=(160, 256), at=(60, 40)):
    """A grey picture with one line, and the box of its ink."""
    glyphs = np.rot90(phantoms.drawn(words, "", size), turned // 90)
    picture = np.full(shape, behind, dtype=np.uint8)
    top, left = at
    area = picture[top : top + glyphs.shape[0], left : left + glyphs.shape[1]]
    area[...] = np.rint(behind + (ink - float(behind)) * glyphs)
    return picture, Box(left, top, left + glyphs.shape[1], top + glyphs.shape[0])


def share_hidden(found, box):
    hidden = np.zeros((box.bottom, box.right), dtype=bool)
    for text in found:
        hidden[max(0, text.box.top) : text.box.bottom, max(0, text.box.left) : text.box.right] = True
    return hidden[box.top :, box.left :].mean()


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({}, id="light on dark"),
        pytest.param({"behind": 235, "ink": 15}, id="dark on light"),
        pytest.param({"behind": 20, "ink": 60}, id="faint"),
        pytest.param({"size": 9}, id="small"),
        pytest.param({"size": 48, "shape": (200, 512)}, id="large"),
        pytest.param({"turned": 90, "shape": (256, 160), "at": (40, 60)}, id="running up"),
        pytest.param({"turned": 270, "shape": (256, 160), "at": (40, 60)}, id="running down"),
        pytest.param({"at": (0, 0)}, id="in the corner"),
    ],
)
def test_a_line_of_text_is_found_whole(finder, how):
    picture, box = with_text(**how)

    assert share_hidden(finder.find(picture), box) > 0.95


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"words": "R", "size": 20}, id="light"),
        pytest.param({"words": "L", "size": 16, "behind": 20, "ink": 55}, id="faint"),
        pytest.param({"words": "L", "size": 56, "behind": 200, "ink": 160}, id="large"),
        pytest.param({"words": "R", "size": 16, "turned": 270, "ink": 60}, id="running down"),
    ],
)
def test_a_letter_that_stands_alone_is_found(finder, how):
    picture, box = with_text(**how)

    assert share_hidden(finder.find(picture), box) > 0.95


def test_a_faint_name_in_noise_is_found_whole(finder):
    picture, box = with_text("ROSSI^MARIA", size=14, behind=120, ink=160)
    noise = np.random.default_rng(3).normal(0, 6, picture.shape)
    noise[box.top : box.bottom, box.left : box.right] *= picture[box.top : box.bottom, box.left : box.right] < 140
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)

    assert share_hidden(finder.find(noisy), box) > 0.95


def test_speckle_beside_a_name_is_not_hidden_with_it(finder):
    shown = burned_in.picture(320, 240, [("ZWIRNLEIN, QUASIMODO", 40, 100)], seed=5)

    (name,) = finder.find(shown)

    assert (name.box.top, name.box.bottom) == pytest.approx((98, 114), abs=4)


def test_what_is_found_is_read(finder):
    picture, _ = with_text()

    assert NAME.replace(" ", "") in [text.text.replace(" ", "") for text in finder.find(picture)]


def test_text_in_colour_is_found(finder):
    picture, box = with_text()
    coloured = np.stack([picture, picture // 2, 255 - picture], axis=2)

    assert share_hidden(finder.find(coloured), box) > 0.95


def test_the_same_picture_gives_the_same_answer(finder):
    picture = phantoms.phantom("XA", 0).pictures[0][:200, :200]

    assert finder.find(picture) == TextFinder().find(picture.copy())


def test_a_picture_is_not_changed_by_looking_at_it(finder):
    picture, _ = with_text()
    before = picture.copy()

    finder.find(picture)

    assert (picture == before).all()


def test_noise_is_not_taken_for_text(finder):
    noise = np.random.default_rng(1).integers(0, 256, (256, 256), dtype=np.uint8)

    found = finder.find(noise)

    assert sum(text.box.area for text in found) < 0.02 * noise.size


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (3, 5, 3), (0, 0), (0, 7)])
def test_pictures_of_hardly_any_pixels_hold_no_text(finder, shape):
    assert finder.find(np.full(shape, 90, dtype=np.uint8)) == []


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((4, 4), np.uint16),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(finder, picture):
    with pytest.raises(CannotLook, match="cannot be looked at"):
        finder.find(picture)


def test_a_picture_beyond_all_measure_is_refused_before_it_costs_memory(finder):
    side = int(find_text.LARGEST**0.5) + 1

    with pytest.raises(CannotLook, match="too large"):
        finder.find(np.broadcast_to(np.uint8(0), (side, side)))


MODELS = (text_models.SEEING, text_models.READING, text_models.INK)


@pytest.mark.parametrize("model", MODELS)
def test_without_one_of_its_models_nothing_is_looked_at(model):
    with pytest.raises(CannotLook, match="missing"):
        text_models.Network(replace(model, package="no_such_package"), threads=1)


def test_without_the_package_of_its_models_nothing_is_looked_at(monkeypatch):
    monkeypatch.setattr(text_models, "_CARRIER", "no_such_package")

    with pytest.raises(CannotLook, match="missing"):
        TextFinder()


@pytest.mark.parametrize("model", MODELS)
def test_a_model_that_is_not_the_tested_one_is_not_used(model):
    with pytest.raises(CannotLook, match="SHA-256"):
        text_models.Network(replace(model, sha256="0" * 64), threads=1)


def test_the_report_can_name_the_engine_and_its_versions(finder):
    assert finder.name == "PP-OCRv6-small and ink"
    assert finder.version.startswith("rapidocr ") and text_models.INK.sha256[:8] in finder.version


def test_what_runs_the_networks_holds_no_word_to_its_maker():
    """onnxruntime 1.30 and newer write a database when they are imported, and send it to their maker."""
    libraries = [file for file in Path(onnxruntime.__file__).parent.rglob("*.so*") if file.is_file()]

    assert libraries
    assert [file.name for file in libraries if b"OneCollector" in file.read_bytes()] == []


class Half:
    """Reads DOB 1948 from its first letter on, unless the clutter behind it is in the box, too."""

    def read(self, picture, box):
        if box.right > 110:
            return Reading("", 0.0)
        words = "DOB 1948"[max(0, (box.left - 20) // 10) :]
        return Reading(words, 0.95)


def test_a_line_is_read_on_at_either_end_where_clutter_stands_at_the_other():
    finder = TextFinder.__new__(TextFinder)
    finder._reader = Half()
    picture = np.zeros((60, 200), dtype=np.uint8)
    picture[20:30, 20:100:4] = 200
    end = Box(60, 20, 100, 30)

    found = finder._whole_line(picture, Proposal(end, end, 0.9), Reading("1948", 0.95), Outline(picture))

    assert found.text == "B 1948" and found.box.left <= 40


class Foot:
    """Sees the lower third of what stands in a box."""

    def __init__(self, box):
        self.box = Box(box.left - 1, box.bottom - box.height // 3, box.right + 1, box.bottom + 1)

    def proposals(self, picture):
        yield Proposal(self.box, self.box, 0.9)


def test_a_letter_of_which_the_network_saw_the_foot_is_hidden_whole():
    picture, letter = with_text("L", size=20)
    finder = TextFinder()
    finder._seer = Foot(letter)

    assert share_hidden(finder.find(picture), letter) == 1


class Cluttered:
    """Reads a line, and with anything beyond it a letter more, of which it is not sure."""

    def __init__(self, doubt):
        self.doubt = doubt

    def read(self, picture, box):
        if box.right <= 100:
            return Reading("DOB 1948", 0.98, 0, 0.05, 0.95, tuple((0.98, 0.05 + 0.12 * n) for n in range(8)))
        signs = (*((0.98, 0.05 + 0.08 * n) for n in range(8)), (self.doubt, 0.95))
        return Reading("DOB 1948X", sum(share for share, _ in signs) / 9, 0, 0.05, 0.95, signs)


@pytest.mark.parametrize(("doubt", "text", "hidden_to"), [(0.2, "DOB 1948", 102), (0.9, "DOB 1948X", 120)])
def test_clutter_that_reads_as_half_a_letter_makes_no_line_longer(doubt, text, hidden_to):
    finder = TextFinder.__new__(TextFinder)
    finder._reader = Cluttered(doubt)
    picture = np.zeros((60, 200), dtype=np.uint8)
    picture[20:30, 20:140:4] = 200
    line = Box(20, 20, 100, 30)

    found = finder._whole_line(picture, Proposal(line, line, 0.9), Reading("DOB 1948", 0.98), Outline(picture))

    assert found.text == text and found.box.right == pytest.approx(hidden_to, abs=3)
