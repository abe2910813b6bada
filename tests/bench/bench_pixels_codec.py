"""Seconds a frame and memory of reading, hiding and writing pixels, in three sizes; and a cine of 500 MB.

Figures are of the machine; that memory stays below its bound is not.
"""

import io
import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.mask import paint
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import FrameWriter
from appliance.dicom.element import PIXEL_DATA, Bulk, Element
from appliance.dicom.meta import FileMeta
from tests.make import images, make

SIZES = {
    "512x512, 12 bit": {"shape": (512, 512), "allocated": 16, "stored": 12},
    "1024x768 RGB": {"shape": (768, 1024), "photometric": "RGB"},
    "4096x3328, 12 bit": {"shape": (4096, 3328), "allocated": 16, "stored": 12},
}
SYNTAXES = {
    "uncompressed": make.EXPLICIT,
    "RLE": make.RLE,
    "JPEG": make.JPEG_BASELINE,
    "JPEG lossless": images.JPEG_LOSSLESS_SV1,
    "JPEG-LS": images.JPEG_LS,
    "JPEG 2000": make.JPEG_2000,
    "HTJ2K": images.HTJ2K_LOSSLESS,
}
CINE = 500_000_000  # bytes of pixels
MOST_KIB = 512 * 1024  # that the process may have had at its peak

# In a process of its own, whose memory is measured.
MASKING = """
import json, sys, tempfile, time
from pathlib import Path
from appliance.deid.pixels.box import Box
from appliance.deid.pixels.mask import mask
from appliance.dicom import part10
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.meta import FileMeta
begun = time.perf_counter()
with open(sys.argv[1], "rb") as file, tempfile.TemporaryFile(dir=Path(sys.argv[2]).parent) as scratch:
    original = part10.read(file)
    done = mask(FrameReader(original), lambda number: [Box(0, 0, 1024, 60)], scratch)
    done.apply(original.dataset)
    with open(sys.argv[2], "wb") as out:
        meta = FileMeta.of(original.meta.elements)
        part10.write(meta, original.dataset, done.transfer_syntax, original.source, out)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([time.perf_counter() - begun, int(peak.split()[1])]))
"""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def write_in_syntax(original: part10.Part10, syntax: str, scratch: BinaryIO, out: BinaryIO) -> None:
    """Write the file in that syntax, by our own writer."""
    if syntax != original.transfer_syntax:
        reader = FrameReader(original)
        writer = FrameWriter(reader, scratch, syntax)
        for number in range(reader.form.frames):
            writer.keep(number)
        writer.finish().apply(original.dataset)
    part10.write(FileMeta.of(original.meta.elements), original.dataset, syntax, original.source, out)


def in_syntax(image: images.Image, syntax: str) -> bytes:
    out = io.BytesIO()
    write_in_syntax(part10.read(io.BytesIO(make.file(image.data))), syntax, io.BytesIO(), out)
    return out.getvalue()


@pytest.mark.parametrize("size", SIZES)
def test_seconds_a_frame(size: str) -> None:
    image = images.image(**SIZES[size])  # type: ignore[arg-type]
    say(f"\n{size}\n  {'':14} {'decode':>8} {'picture':>8} {'mask':>8} {'encode':>8}   ms; MB")
    for name, syntax in SYNTAXES.items():
        if syntax == make.JPEG_BASELINE and image.data.BitsStored > 8:
            continue
        body = in_syntax(image, syntax)
        took = best(body)
        say(f"  {name:14} " + " ".join(f"{part * 1000:8.1f}" for part in took) + f"   {len(body) / 1e6:.1f}")


def best(body: bytes) -> list[float]:
    rounds = []
    for _ in range(2):
        reader = FrameReader(part10.read(io.BytesIO(body)))
        marks = [time.perf_counter()]
        frame = reader.frame(0)
        marks.append(time.perf_counter())
        reader.picture(0)
        marks.append(time.perf_counter())
        painted = paint(frame, [Box(10, 10, 400, 60)], reader.black(0))
        marks.append(time.perf_counter())
        writer = FrameWriter(reader, io.BytesIO())
        writer.put(0, painted)
        marks.append(time.perf_counter())
        rounds.append([later - earlier for earlier, later in pairwise(marks)])
    return [min(parts) for parts in zip(*rounds, strict=True)]


@pytest.mark.parametrize("name", ["uncompressed", "RLE", "JPEG", "JPEG-LS"])
def test_a_cine_of_500_mb_is_masked_within_512_mb(name: str, tmp_path: Path) -> None:
    file, out = tmp_path / "cine.dcm", tmp_path / "out.dcm"
    frames = write_cine(file, SYNTAXES[name])

    ran = subprocess.run([sys.executable, "-c", MASKING, file, out], capture_output=True, check=True)

    seconds, peak_kib = json.loads(ran.stdout)
    say(
        f"\n{name} cine, {frames} frames, file of {file.stat().st_size / 1e6:.0f} MB: "
        f"{seconds / frames * 1000:.1f} ms a frame, {peak_kib / 1024:.0f} MiB at the peak"
    )
    assert out.stat().st_size > 0 and peak_kib < MOST_KIB


def write_cine(file: Path, syntax: str) -> int:
    """Write an ultrasound cine of that size when uncompressed; return its frames."""
    image = images.image("RGB", shape=(768, 1024))
    one = image.frames[0].tobytes()
    frames = CINE // len(one)
    original = part10.read(io.BytesIO(make.file(image.data)))
    with (file.parent / "raw").open("w+b") as raw, (file.parent / "scratch").open("w+b") as scratch:
        for _ in range(frames):
            raw.write(one)
        original.dataset.put(Element(0x00280008, "IS", str(frames).encode().ljust(4)))
        original.dataset.put(Element(PIXEL_DATA, "OB", Bulk(0, frames * len(one), source=raw)))
        with file.open("wb") as out:
            write_in_syntax(original, syntax, scratch, out)
    return frames
