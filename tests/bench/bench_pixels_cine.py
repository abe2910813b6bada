"""A whole look at a cine of 500 MB in which everything moves: what it takes, and whether a name in it is hidden."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom

from appliance.dicom import part10
from appliance.dicom.element import PIXEL_DATA, Bulk, Element
from appliance.dicom.meta import FileMeta
from tests.make import make, phantoms, phantoms_grounds
from tests.make.phantoms import FAMILIAR, Phantom, Text

CINE = 500_000_000  # bytes of pixels
ROWS, COLUMNS = 768, 1024
MOST_KIB = 512 * 1024  # that the process may have had at its peak
NAMED_FROM = 100  # the first frame that bears the name
NAME = "DOE, JANE M"
HIDDEN = 0.95  # of its ink

# In a process of its own, bounded as a worker is, whose memory is measured.
LOOKING = """
import json, sys, time
from pathlib import Path
from appliance.cli.deidentify import recipe_for
from appliance.model import ONLY_PROJECT, Provenance
from appliance.services.worker import Job, equip_process, work
begun, told = time.perf_counter(), []
equipment = equip_process(recipe_for(None, None, None), lambda: told.append(time.perf_counter()), level="ERROR")
original, staged = map(Path, sys.argv[1:])
provenance = Provenance("US1", project=ONLY_PROJECT)
job = Job("20261126T120000000Z-US1-aaaaaa", 1, original, staged, provenance, ("", ""), frozenset(), "site")
result = work(equipment, job)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "result": type(result).__name__ + " " + getattr(result, "detail", ""),
    "seconds": time.perf_counter() - begun,
    "longest step": max(after - before for before, after in zip(told, told[1:])),
    "peak_kib": int(peak.split()[1]),
    "looks": result.pixels.searched,
    "places": len(result.pixels.hidden),
}))
"""


def test_a_cine_of_500_mb_is_looked_at_whole_within_512_mb(tmp_path: Path) -> None:
    file, out = tmp_path / "cine.dcm", tmp_path / "out.dcm"
    frames, name = write_cine(file)

    ran = subprocess.run([sys.executable, "-c", LOOKING, file, out], capture_output=True, check=True, text=True)

    told = json.loads(ran.stdout)
    hidden = hidden_from_the_first(out, name, frames)
    sys.stdout.write(
        f"\n{frames} frames of {COLUMNS}x{ROWS}, one core: {told['seconds']:.0f} s, the longest step "
        f"{told['longest step']:.1f} s, {told['looks']} looks, {told['places']} places, "
        f"{told['peak_kib'] / 1024:.0f} MiB at the peak; the name is hidden in {hidden} of "
        f"{frames - NAMED_FROM} frames\n"
    )
    assert told["peak_kib"] < MOST_KIB and hidden == frames - NAMED_FROM


def write_cine(file: Path) -> tuple[int, Text]:
    """Write an ultrasound of which only three texts stand still; return its frames, and the name from NAMED_FROM on."""
    random = np.random.default_rng(5)
    made = Phantom("US", [phantoms_grounds.ultrasound(random, ROWS, COLUMNS)], [[]])
    moves = made.pictures[0] > 0
    for _ in range(3):
        phantoms.burn(made, random, (10, 20))
    without = made.pictures[0].copy()
    phantoms.burn(made, random, (14, 15), FAMILIAR, words=NAME)
    for text in made.texts[0]:
        moves[text.box.top : text.box.bottom, text.box.left : text.box.right] = False
    frames = CINE // without.nbytes
    data = make.us(frames=2, SequenceOfUltrasoundRegions=None, PatientName="Doe^Jane^M")
    data.Rows, data.Columns, data.NumberOfFrames, data.PixelData = ROWS, COLUMNS, frames, b"\0\0"
    original = part10.read(io.BytesIO(make.file(data)))
    with (file.parent / "raw").open("w+b") as raw, file.open("wb") as target:
        for number in range(frames):
            still = made.pictures[0] if number >= NAMED_FROM else without
            grain = random.normal(0, 12, (ROWS, COLUMNS))[:, :, None] * moves
            raw.write(np.clip(still + grain, 0, 255).astype(np.uint8).tobytes())
        original.dataset.put(Element(PIXEL_DATA, "OB", Bulk(0, frames * without.nbytes, source=raw)))
        meta = FileMeta.of(original.meta.elements)
        part10.write(meta, original.dataset, original.transfer_syntax, original.source, target)
    return frames, made.texts[0][-1]


def hidden_from_the_first(out: Path, name: Text, frames: int) -> int:
    """Return in how many of the frames that bore the name its ink is black."""
    pixels = np.memmap(out, dtype=np.uint8, mode="r")
    whole = pydicom.dcmread(out, defer_size=1024, stop_before_pixels=True)
    assert (whole.Rows, whole.Columns, int(whole.NumberOfFrames)) == (ROWS, COLUMNS, frames)
    cine = pixels[-frames * ROWS * COLUMNS * 3 :].reshape(frames, ROWS, COLUMNS, 3)
    area = cine[NAMED_FROM:, name.box.top : name.box.bottom, name.box.left : name.box.right]
    return int(((area == 0).all(axis=-1)[:, name.ink].mean(axis=1) >= HIDDEN).sum())
