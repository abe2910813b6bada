"""The network: of each pixel, whether it is ink, and whether it lies in a line of text."""

import torch
from torch import Tensor, nn

BLOCK = 16  # pixels: sides of what it is shown are multiples of it
_WIDTHS = (24, 48, 64, 80)  # channels at a half, a quarter, an eighth and a sixteenth of the picture's size


def _seen(before: int, behind: int, step: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, behind, 3, step, 1, bias=False), nn.BatchNorm2d(behind), nn.ReLU(inplace=True)
    )


class Ink(nn.Module):
    """(N, 2, R, C) to (N, 2, R, C): the picture from -1 to 1 and evened out, to ink and line as logits.

    Four pixels are put side by side as channels, so none is lost, and all work is done at half the size.
    """

    def __init__(self) -> None:
        super().__init__()
        half, quarter, eighth, least = _WIDTHS
        self.first = nn.Sequential(nn.PixelUnshuffle(2), _seen(8, half), _seen(half, half))
        self.second = nn.Sequential(_seen(half, quarter, 2), _seen(quarter, quarter))
        self.third = nn.Sequential(_seen(quarter, eighth, 2), _seen(eighth, eighth), _seen(eighth, eighth))
        self.fourth = nn.Sequential(_seen(eighth, least, 2), _seen(least, least), _seen(least, least))
        self.narrow = nn.ModuleList(
            [nn.Conv2d(least, eighth, 1), nn.Conv2d(eighth, quarter, 1), nn.Conv2d(quarter, half, 1)]
        )
        self.joined = nn.ModuleList([_seen(eighth, eighth), _seen(quarter, quarter), _seen(half, half)])
        self.last = nn.Sequential(nn.Conv2d(half, 8, 3, 1, 1), nn.PixelShuffle(2))
        self.larger = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, shown: Tensor) -> Tensor:
        levels = [self.first(shown)]
        for step in (self.second, self.third, self.fourth):
            levels.append(step(levels[-1]))
        below = levels.pop()
        for narrow, joined in zip(self.narrow, self.joined, strict=True):
            below = joined(self.larger(narrow(below)) + levels.pop())
        return self.last(below)


class Sure(nn.Module):
    """As it is run: shares from 0 to 1 in place of logits."""

    def __init__(self, network: Ink) -> None:
        super().__init__()
        self.network = network

    def forward(self, shown: Tensor) -> Tensor:
        return torch.sigmoid(self.network(shown))
