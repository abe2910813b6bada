"""``appliance pixels``: an image before and after, side by side, and what was hidden and why."""

import json
import stat

import imagecodecs
import pytest

from appliance.cli.main import main
from tests.make import make

OUTLINE = (255, 64, 64)


@pytest.fixture
def draw(tmp_path, capsys):
    """Draw an instance; exit status, what was told, the picture if there is one."""

    def drawn(data, *words, syntax=make.EXPLICIT):
        make.stored(tmp_path / "in.dcm", data, syntax)
        target = tmp_path / "out.png"
        status = main(["pixels", str(tmp_path / "in.dcm"), "-o", str(target), *words])
        picture = imagecodecs.png_decode(target.read_bytes()) if target.exists() else None
        return status, capsys.readouterr().out, picture

    return drawn


def test_before_and_after_stand_side_by_side_with_the_boxes_outlined(draw, tmp_path):
    status, told, picture = draw(make.us(size=64))

    assert status == 0 and picture.shape == (64, 64 + 8 + 64, 3)
    assert (picture[2, :64] == OUTLINE).all(), "just below the two rows outside of the region"
    assert (picture[:2, 72:] == 0).all() and (picture[4:, 72:] == picture[4:, :64]).all()
    assert "outside of the ultrasound regions" in told and "delivered. Frame 1 is drawn in" in told
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o600


def test_an_image_at_which_nobody_need_look_says_so(draw):
    status, told, picture = draw(make.ct(size=32))

    assert status == 0 and picture.shape == (32, 72, 3)
    assert "Nobody needs to look at its pixels" in told


def test_for_programs_it_tells_boxes_and_causes_and_no_value_of_the_patient(draw):
    status, told, _ = draw(make.us(size=64), "--json")

    answer = json.loads(told)
    assert (status, answer["outcome"], answer["frame"]) == (0, "delivered", 1)
    assert answer["pixels"]["hidden"][0] == {
        "frame": 0, "box": [0, 0, 64, 2], "cause": "outside of the ultrasound regions"
    }  # fmt: skip
    assert answer["pixels"]["frames"] == answer["pixels"]["searched"] == 1
    assert "Invented" not in told and "P000123" not in told


def test_what_cannot_be_decoded_would_be_withheld_and_is_not_drawn(draw):
    status, told, picture = draw(make.us(size=16), syntax=make.JPEG_BASELINE)

    assert status == 2 and picture is None
    assert "withheld: pixels-undecodable" in told and "It cannot be drawn." in told


def test_a_frame_that_is_not_there_is_not_drawn(draw):
    status, told, picture = draw(make.us(frames=2, size=16), "--frame", "3")

    assert status == 0 and picture is None and "It cannot be drawn." in told


def test_a_missing_file_is_told(tmp_path, capsys):
    status = main(["pixels", str(tmp_path / "none.dcm"), "-o", str(tmp_path / "out.png")])

    assert status == 1 and "cannot be read: No such file" in capsys.readouterr().err
