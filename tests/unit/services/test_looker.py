"""Looking at pixels in a worker ends within its bounds, and leaves nothing behind whatever ends it."""

import io
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from appliance.bounds import Pixels
from appliance.cli.deidentify import recipe_for
from appliance.cli.offline import WITHHELD, Fate, Offline
from appliance.deid.pixels.looking import Ask
from appliance.deid.pixels.policy import Task, Text
from appliance.dicom import part10
from appliance.reasons import Reason
from appliance.services.looker import OVERRAN, Looker
from appliance.services.pool import Died
from tests.make import images, make
from tests.make.arrive import arrive
from tests.unit.services.test_deidentify import reason_of, running, site, spool, work_off  # noqa: F401 - fixtures

ROOT = Path(__file__).resolve().parents[3]


def in_a_process(code, *arguments):
    """Run ``code`` in a Python of its own."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_new_pixel_data_have_no_name_and_are_gone_whatever_ends_the_process(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from appliance.bounds import Pixels\n"
        "from appliance.services.looker import Looker\n"
        "with Looker(Pixels()).beside(Path(sys.argv[1])) as look:\n"
        "    file = look.scratch(); file.write(bytes(10_000_000)); file.flush()\n"
        "    beside = os.fstat(file.fileno()).st_dev == os.stat(sys.argv[1]).st_dev\n"
        "    print(os.listdir(sys.argv[1]), beside, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )

    ended = in_a_process(code, str(tmp_path))

    assert (ended.returncode, ended.stdout.strip()) == (-signal.SIGKILL, "[] True"), ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_new_pixel_data_are_closed_when_the_result_is_written(tmp_path):
    with Looker(Pixels()).beside(tmp_path) as look:
        file = look.scratch()

    assert file.closed


def test_a_look_that_takes_too_long_ends_its_process_though_a_library_in_c_is_at_work():
    code = (
        "import time; from appliance.services.looker import _ended_after\n"
        "with _ended_after(0.2):\n"
        "    max(range(10**12))\n"
    )

    assert in_a_process(code).returncode == OVERRAN


def test_a_look_that_is_done_in_time_ends_nothing():
    code = (
        "import time; from appliance.services.looker import _ended_after\n"
        "with _ended_after(0.2):\n"
        "    pass\n"
        "time.sleep(0.5)\n"
    )

    assert in_a_process(code).returncode == 0


LOOKING = """
import sys, time
from pathlib import Path
from appliance.bounds import Pixels
from appliance.services.looker import Looker
from tests.unit.services.test_looker import look_at
class Slow:
    name, version = "slow", "1"
    def find(self, picture):
        time.sleep(float(sys.argv[2]))
        return []
signs = []
looker = Looker(Pixels(timeout_s=1.0), lambda: signs.append(1), Slow())
print(look_at(looker, Path(sys.argv[1])).looked.frames, len(signs))
"""


def look_at(looker, folder):
    """Look at a cine of eight frames, each quite another."""
    random = np.random.default_rng(1)
    data = images.image(shape=(128, 128), frames=8).data
    data.PixelData = random.integers(0, 255, (8, 16, 16), "u1").repeat(8, axis=1).repeat(8, axis=2).tobytes()
    original = part10.read(io.BytesIO(make.file(data)))
    ask = Ask(Task(regions=False, text=Text.ALL, rule="All are looked at."), (), judge=None, prove=False)
    with looker.beside(folder) as look:
        return look.clean(original, ask)


def test_a_cine_may_take_longer_than_a_frame_and_each_frame_is_told(tmp_path):
    ended = in_a_process(LOOKING, str(tmp_path), "0.3")

    assert ended.stdout.split() == ["8", "8"], ended.stderr


def test_a_frame_that_takes_longer_than_a_frame_may_ends_the_process(tmp_path):
    assert in_a_process(LOOKING, str(tmp_path), "1.5").returncode == OVERRAN


def test_a_worker_has_no_more_memory_than_it_may_have():
    code = (
        "from appliance.services.looker import limit_memory; import numpy\n"
        "limit_memory(512)\n"
        "kept = numpy.ones(200_000_000, dtype='u1')\n"
        "try:\n"
        "    numpy.ones(600_000_000, dtype='u1')\n"
        "except MemoryError:\n"
        "    print('refused')\n"
    )

    ended = in_a_process(code)

    assert ended.stdout.strip() == "refused", ended.stderr


def test_an_image_whose_look_overran_is_quarantined_at_once_and_says_so(site, spool):  # noqa: F811
    slow = arrive(spool, make.ct(SOPInstanceUID="1.2.3.4"))
    with running(site) as service:
        take = service._pool.take

        def overrun(timeout_s):
            return [Died(each.job, OVERRAN) for each in take(timeout_s)]

        service._pool.take = overrun
        work_off(service)

    assert reason_of(spool, slow) == Reason.PIXELS_TOOK_TOO_LONG.value


def test_an_image_whose_look_overran_offline_is_withheld_at_once_and_says_so(tmp_path):
    file = make.stored(tmp_path / "slow.dcm", make.ct())
    with Offline(recipe_for(None, None, None), tmp_path / "out", 1) as run:
        take = run._pool.take
        run._pool.take = lambda timeout_s: [Died(each.job, OVERRAN) for each in take(timeout_s)]
        run.run([file], "site", lambda: None)

    assert list(run.fates.values()) == [Fate(file, WITHHELD, Reason.PIXELS_TOOK_TOO_LONG.value)]
