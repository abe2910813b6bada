"""kill -9 of a worker while it looks at pixels, hides them or puts them into another transfer syntax."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.lifecycle import State
from appliance.spool.inside import Spool
from tests.make import burned_in, images
from tests.make.arrive import arrive
from tests.make.phantoms import drawn
from tests.make.site import configured
from tests.peers.patience import until
from tests.unit.services.test_deidentify import running, states, work_off

NAME = "ZWIRNLEIN, QUASIMODO"
INK = drawn(NAME, "dejavu/DejaVuSans.ttf", burned_in.SIZE) > 0.4
PLACE = np.s_[:, 100 : 100 + INK.shape[0], 40 : 40 + INK.shape[1]]
FRAMES = 6


def named_cine():
    """Speckle that moves, and a name in front of it."""
    shown = [burned_in.picture(320, 240, [(NAME, 40, 100)], seed=number) for number in range(FRAMES)]
    return burned_in.us(shown, seed="cine", patient="Zwirnlein^Quasimodo")


def plain_cine():
    """Nobody looks at it; it takes a second to be put into another transfer syntax."""
    return images.image(frames=150, shape=(512, 512)).data


def searches(worker, folder):
    """Whether the search engine's library is loaded, and nothing is hidden yet: it searches, or is about to."""
    return "onnxruntime" in maps(worker) and not new_pixels(worker, folder)


def new_pixels(worker, folder):
    """Whether a file without a name is open in ``folder`` and has something in it."""
    for file in Path(f"/proc/{worker}/fd").iterdir():
        try:
            path = str(file.readlink())
            if path.startswith(str(folder)) and path.endswith("(deleted)") and file.stat().st_size:
                return True
        except FileNotFoundError:
            continue  # closed meanwhile
    return False


def maps(worker):
    return Path(f"/proc/{worker}/maps").read_text()


def killed_while(service, stage):
    """Hand out what there is and kill its worker when it has come to that stage."""
    assert until(lambda: service.step() and service._in_hand)
    worker = service._pool._workers[0].process.pid
    deadline = time.monotonic() + 60
    while not stage(worker, service._making.folder):
        assert time.monotonic() < deadline, "it never came there"
    os.kill(worker, signal.SIGKILL)


@pytest.fixture
def site(tmp_path, made):
    """One worker; all is put into JPEG-LS."""
    rules = tmp_path / "rules.yaml"
    looked_at = "" if made is named_cine else "Pixels: []\n"
    rules.write_text(f"Transformations: [{{Scope: {{Labels: ALL}}, Transcode: {images.JPEG_LS}}}]\n{looked_at}")
    return configured(tmp_path, f"deidentify: {{workers: 1}}\nrules: {rules}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("made", "stage"),
    [
        pytest.param(named_cine, searches, id="it searches for text"),
        pytest.param(named_cine, new_pixels, id="it hides and proves"),
        pytest.param(plain_cine, new_pixels, id="it puts pixels into another transfer syntax"),
    ],
)
def test_what_a_killed_worker_had_in_hand_is_done_again_and_nothing_is_left_of_it(made, stage, site):
    spool, original = Spool(site.state / "inside", reserve_bytes=0), made()
    arrive(spool, original)
    with running(site) as service:
        killed_while(service, stage)
        work_off(service)
        left = list(service._making.folder.iterdir())

    assert states(spool) == {State.PASSED: 1} and left == []
    spool.close()
    [file] = (site.state / "outside" / "ready").rglob("*.dcm")
    with file.open("rb") as body:
        result = FrameReader(part10.read(body))
        pixels = np.stack([result.frame(number) for number in range(result.form.frames)])
    assert result.original.transfer_syntax == images.JPEG_LS
    expected = np.frombuffer(original.PixelData, np.uint8).reshape(pixels.shape).copy()
    if made is named_cine:
        assert not pixels[PLACE][:, INK].any()
        expected[PLACE] = pixels[PLACE]
        assert (pixels == expected).mean() > 0.97  # speckle may read as a letter
    else:
        assert np.array_equal(pixels, expected)
