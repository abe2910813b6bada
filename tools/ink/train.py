"""Train the network that sees ink, and write it as ONNX: python -m tools.ink.train FOLDER --minutes 60

What it takes, and which fonts: tools/ink/README.md. Every few minutes FOLDER gets ink.onnx, ink.pt and a line in
log.txt; a run that is started with the same FOLDER goes on from there.
"""

import argparse
import contextlib
import math
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from appliance.deid.pixels.evened import shown
from tools.ink.network import BLOCK, Ink, Sure
from tools.ink.samples import sample

_BATCH = 12
_FIRST, _NEW = 200, 9  # pictures before the first batch, and at most before each
_HELD = 1500  # pictures that chance picks from; each is seen some times until it is replaced
_RATE = 3e-3
_SAVE_S = 240.0
_CHECKED = 96  # pictures that the log's figures are of


def _made(seed: int, queue: "multiprocessing.Queue[tuple[np.ndarray, ...]]") -> None:
    os.nice(3)
    cv2.setNumThreads(1)
    random = np.random.default_rng(seed)
    while True:
        queue.put(sample(random))


def _batches(random: np.random.Generator, queue: "multiprocessing.Queue") -> Iterator[tuple[Tensor, Tensor]]:
    held: list[tuple[np.ndarray, ...]] = []
    while True:
        while len(held) < _FIRST:
            held.append(queue.get())
        for new in _arrived(queue):
            if len(held) < _HELD:
                held.append(new)
            else:
                held[int(random.integers(_HELD))] = new
        yield _stacked([_varied(random, held[int(at)]) for at in random.integers(0, len(held), _BATCH)])


def _arrived(queue: "multiprocessing.Queue") -> Iterator[tuple[np.ndarray, ...]]:
    """Yield some new ones. A queue says that it is empty while the next one is on its way: a moment is waited."""
    with contextlib.suppress(Empty):
        for _ in range(_NEW):
            yield queue.get(timeout=0.02)


def _varied(random: np.random.Generator, one: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    picture, *marks = one
    if random.random() < 0.5:
        low, high = sorted(random.uniform(0, 255, 2)) if random.random() < 0.3 else (0.0, 255.0)
        if high - low > 150:
            picture = np.rint(low + picture * ((high - low) / 255)).astype(np.uint8)
        picture = 255 - picture if random.random() < 0.5 else picture
    if random.random() < 0.3:
        return picture[::-1, ::-1], *(mark[::-1, ::-1] for mark in marks)
    return picture, *marks


def _stacked(ones: list[tuple[np.ndarray, ...]]) -> tuple[Tensor, Tensor]:
    pictures = np.stack([shown(np.ascontiguousarray(picture)) for picture, *_ in ones])
    marks = np.stack([np.stack(marks) for _, *marks in ones]).astype(np.float32)
    return torch.from_numpy(pictures), torch.from_numpy(marks)


def _loss(told: Tensor, marks: Tensor) -> Tensor:
    each = functional.binary_cross_entropy_with_logits(told, marks, reduction="none")
    hard = each.flatten(2).topk(each[0, 0].numel() // 10, dim=2).values.mean()
    sure = torch.sigmoid(told)
    shared = (sure * marks).sum(dim=(0, 2, 3))
    dice = 1 - (2 * shared + 1) / (sure.sum(dim=(0, 2, 3)) + marks.sum(dim=(0, 2, 3)) + 1)
    return each.mean() * 2 + hard * 0.5 + dice.mean()


def _checked(network: Ink, pictures: Tensor, marks: Tensor) -> str:
    network.eval()
    with torch.no_grad():
        told = torch.cat([torch.sigmoid(network(part)) for part in pictures.split(16)]) > 0.5
    network.train()
    figures = []
    for name, own, wanted in (("ink", told[:, 0], marks[:, 0] > 0), ("line", told[:, 1], marks[:, 1] > 0)):
        right = float((own & wanted).sum())
        figures.append(
            f"{name}: found {right / float(wanted.sum()):.3f}, right {right / max(1.0, float(own.sum())):.3f}"
        )
    return "; ".join(figures)


def _save(network: Ink, folder: Path) -> None:
    torch.save(network.state_dict(), folder / "ink.pt.new")
    (folder / "ink.pt.new").rename(folder / "ink.pt")
    export(network, folder / "ink.onnx")


def export(network: Ink, file: Path) -> None:
    """Write the network with any height and width."""
    network.eval()
    free = {0: "pictures", 2: "rows", 3: "columns"}
    torch.onnx.export(
        *(Sure(network), (torch.zeros(1, 2, 4 * BLOCK, 4 * BLOCK),), str(file)),
        input_names=["shown"],
        output_names=["sure"],
        dynamic_axes={"shown": free, "sure": free},
        opset_version=17,
        dynamo=False,
    )
    network.train()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(told.seed)
    told.folder.mkdir(parents=True, exist_ok=True)
    network = Ink().to(memory_format=torch.channels_last)
    if (told.folder / "ink.pt").is_file():
        network.load_state_dict(torch.load(told.folder / "ink.pt"))
    queue: multiprocessing.Queue = multiprocessing.Queue(maxsize=64)
    multiprocessing.Process(target=_made, args=(told.seed + int(time.time()), queue), daemon=True).start()
    chance = np.random.default_rng(99)
    checked = _stacked([sample(chance) for _ in range(_CHECKED)])
    batches = _batches(np.random.default_rng(told.seed), queue)
    learns = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-4)
    begun = saved = time.monotonic()
    steps, losses = 0, []
    while (share := (time.monotonic() - begun) / (60 * told.minutes)) < 1:
        for group in learns.param_groups:
            group["lr"] = _RATE * min(1.0, (steps + 1) / 100) * (0.02 + 0.98 * (0.5 + 0.5 * math.cos(math.pi * share)))
        pictures, marks = next(batches)
        loss = _loss(network(pictures.contiguous(memory_format=torch.channels_last)), marks)
        learns.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        learns.step()
        steps, losses = steps + 1, [*losses[-99:], loss.item()]
        if steps % 50 == 0:
            with (told.folder / "log.txt").open("a") as log:
                log.write(f"{time.monotonic() - begun:6.0f} s, {steps} steps, loss {np.mean(losses):.4f}\n")
        if time.monotonic() - saved > _SAVE_S:
            _save(network, told.folder)
            saved = time.monotonic()
            with (told.folder / "log.txt").open("a") as log:
                log.write(f"{saved - begun:6.0f} s, {steps} steps: {_checked(network, *checked)}\n")
    _save(network, told.folder)
    print(f"{steps} steps: {_checked(network, *checked)}")


if __name__ == "__main__":
    main()
