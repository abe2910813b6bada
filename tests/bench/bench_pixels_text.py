"""How much of the text that a reader could read is found, what else is hidden, what it costs, and what is missed.

Measured on images that the finder was tuned on, and on blocks that are held out: see phantoms.py.
A text counts as hidden when at least 95 % of its ink lies within what was found. What else is touched is counted to the
pixel, margins included, as a share of all that is neither text nor the label that it stands on.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from appliance.deid.pixels.box import Box
from appliance.deid.pixels.changed_frames import frames_to_look_at
from appliance.deid.pixels.find_text import TextFinder
from appliance.deid.pixels.places import Place, bounded, place, to_hide
from appliance.deid.pixels.search_region import search_region
from appliance.deid.pixels.second_look import looked_at_twice
from tests.make import phantoms
from tests.make.phantoms import FAMILIAR, OTHER, Phantom, Style, Text

HIDDEN = 0.95  # of a text's ink
SEEDS = {"MG": 2, "DX": 2, "CR": 2}
OTHERWISE = 4
SIZES = (8, 10, 12, 16, 24, 1000)


ROOT = Path(__file__).resolve().parents[2]

A_LOOK = """
import json, sys, time
from appliance.bounds import Pixels
from appliance.deid.pixels.find_text import TextFinder
from appliance.services.looker import limit_memory
from tests.make import phantoms
limit_memory(Pixels().memory_mb)
finder, picture = TextFinder(), phantoms.phantom(sys.argv[1], 1).pictures[0]
begun = time.thread_time()
found = finder.find(picture)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "seconds": time.thread_time() - begun,
    "places": len(found),
    "peak_kib": int(peak.split()[1]),
    "shape": picture.shape[:2],
}))
"""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


@pytest.fixture(scope="module")
def finder() -> TextFinder:
    return TextFinder()


@dataclass(slots=True)
class Score:
    """``texts`` holds each text of each phantom once, with the share of its ink that is hidden where least is."""

    texts: list[tuple[Text, float]] = field(default_factory=list)
    touched: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    frames: int = 0

    @property
    def hidden(self) -> int:
        return sum(share >= HIDDEN for _, share in self.texts)

    def add(self, picture: np.ndarray, texts: list[Text], boxes: list[Box]) -> Iterator[tuple[Text, float]]:
        """Count what one frame has touched; yield how much of each text is hidden in it."""
        covered, text_area = (np.zeros(picture.shape[:2], dtype=bool) for _ in range(2))
        for box in boxes:
            covered[max(0, box.top) : box.bottom, max(0, box.left) : box.right] = True
        for text in texts:
            place = np.s_[text.box.top : text.box.bottom, text.box.left : text.box.right]
            text_area[text.field.top : text.field.bottom, text.field.left : text.field.right] = True
            yield text, float((covered[place] & text.ink).sum() / text.ink.sum())
        self.touched.append(float((covered & ~text_area).sum() / (~text_area).sum()))


def looked_at(kind: str, finder: TextFinder, style: Style, first: int) -> Score:
    score = Score()
    for seed in range(first, first + SEEDS.get(kind, OTHERWISE)):
        made = phantoms.phantom(kind, seed, style)
        started = time.thread_time()
        looks, places = searched(made, finder)
        score.seconds.append((time.thread_time() - started) / len(made.pictures))
        score.frames += looks
        judge(score, made, places)
    return score


def searched(made: Phantom, finder: TextFinder) -> tuple[int, list[Place]]:
    """Return how many frames were looked at, and what is to be hidden; as ``Cleaner`` does."""
    looks: list[tuple[int, Box]] = []
    places: list[Place] = []
    for number, region in frames_to_look_at(made.pictures):
        there, searched_at_last = search_region(finder, made.pictures[number], region)
        looks.append((number, searched_at_last))
        places += [place(number, found, made.pictures[number]) for found in there]
    places = [bounded(each, looks) for each in places]
    return len(looks), looked_at_twice(places, made.pictures, finder) if len(looks) > 1 else places


def judge(score: Score, made: Phantom, places: list[Place]) -> None:
    """What is found in one frame of a cine is hidden wherever it stands; a text is hidden if it is in all frames."""
    least: dict[int, tuple[Text, float]] = {}
    for number, (picture, texts) in enumerate(zip(made.pictures, made.texts, strict=True)):
        for text, share in score.add(picture, texts, to_hide(places, number, picture)):
            least[id(text)] = text, min(share, least.get(id(text), (text, 1.0))[1])
    score.texts += least.values()


@pytest.mark.parametrize(
    ("style", "first"),
    [
        pytest.param(FAMILIAR, 0, id="tuned on"),
        pytest.param(OTHER, 300, id="held out"),
        pytest.param(OTHER, 400, id="held out, new"),
        pytest.param(FAMILIAR, 310, id="held out, more"),
    ],
)
def test_nearly_every_text_is_found_and_nearly_nothing_else_is_touched(
    finder: TextFinder, style: Style, first: int, request: pytest.FixtureRequest
) -> None:
    kinds = (*phantoms.KINDS, "multi-frame")

    scores = {kind: looked_at(kind, finder, style, first) for kind in kinds}

    say(f"\n{finder.name} ({finder.version}), one thread: {request.node.callspec.id}")
    say("class        texts  hidden  recall  touched (mean, most)  s a frame  looks")
    for kind, score in scores.items():
        say(
            f"{kind:12} {len(score.texts):5}  {score.hidden:6}  {score.hidden / len(score.texts):6.1%}"
            f"   {np.mean(score.touched):7.2%} {max(score.touched):8.2%}"
            f"    {np.mean(score.seconds):9.2f}  {score.frames:5}"
        )
    texts = [each for score in scores.values() for each in score.texts]
    for what, told in (("size", _by_size), ("contrast", _by_contrast), ("direction", _by_turn), ("face", _by_face)):
        say(f"by {what}: " + ", ".join(f"{name} {hidden}/{count}" for name, hidden, count in _counted(texts, told)))
    say("missed:")
    for kind, score in scores.items():
        for text, share in score.texts:
            if share < HIDDEN:
                say(
                    f"  {kind:12} {share:4.0%} hidden: {text.words!r}, {text.size} px, contrast {text.contrast}, "
                    f"turned {text.turned}, {text.face}"
                )
    touched = {kind: float(np.mean(score.touched)) for kind, score in scores.items()}
    say(f"classes with more than 2 % touched: {', '.join(kind for kind in touched if touched[kind] > 0.02) or 'none'}")
    # Floors against growing worse, the second for each class. The target is every text, and at most 2 %: the most of a
    # class was 1.92 %, but for cines of the newest block, 2.50 % before and after the network for ink.
    assert sum(score.hidden for score in scores.values()) >= 0.97 * len(texts)
    assert touched.pop("multi-frame") <= 0.027 and max(touched.values()) <= 0.02


def _counted(
    texts: list[tuple[Text, float]], told: Callable[[Text], tuple[int, str]]
) -> Iterator[tuple[str, int, int]]:
    for group in sorted({told(text) for text, _ in texts}):
        shares = [share for text, share in texts if told(text) == group]
        yield group[1], sum(share >= HIDDEN for share in shares), len(shares)


def _by_size(text: Text) -> tuple[int, str]:
    least = max(size for size in SIZES if size <= text.size)
    return least, f"from {least} px"


def _by_contrast(text: Text) -> tuple[int, str]:
    return text.contrast // 64, f"from {max(phantoms.LEAST_CONTRAST, text.contrast // 64 * 64)}"


def _by_turn(text: Text) -> tuple[int, str]:
    return text.turned, f"{text.turned} degrees"


def _by_face(text: Text) -> tuple[int, str]:
    return 0, text.face.rpartition("/")[2].removesuffix(".ttf")


@pytest.mark.parametrize(("kind", "rows", "columns"), [("XA", 512, 512), ("US", 768, 1024), ("MG", 4096, 3328)])
def test_what_a_look_costs(kind: str, rows: int, columns: int) -> None:
    """In a process of its own, bounded as a worker is."""
    ran = subprocess.run([sys.executable, "-c", A_LOOK, kind], capture_output=True, check=True, text=True, cwd=ROOT)

    told = json.loads(ran.stdout)
    say(
        f"{columns}x{rows} {kind}: {told['seconds']:.2f} s of one core, {told['places']} places, "
        f"{told['peak_kib'] // 1024} MiB at the peak"
    )
    assert told["shape"] == [rows, columns] and told["places"]
