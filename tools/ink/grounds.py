"""Grounds to learn from: what stands in medical pictures besides text. Made of chance, with nobody in them.

They are other grounds than those of tests/make/phantoms_grounds.py, which the finder is measured on.
"""

from collections.abc import Callable

import cv2
import numpy as np

Picture = np.ndarray  # float32 (side, side), greys from 0 to 255
Random = np.random.Generator


def ground(random: Random, side: int) -> Picture:
    """Return a picture without text: a level, textures on it, and shapes that are no letters."""
    picture = _level(random, side)
    for _ in range(int(random.integers(0, 3))):
        picture = _chosen(random, _TEXTURES)(random, picture)
    for _ in range(int(random.integers(0, 4)) if random.random() < 0.8 else 0):
        picture = _chosen(random, _ANATOMY)(random, picture)
    if random.random() < 0.5:
        picture = _grain(random, picture)
    if random.random() < 0.25:
        picture = _shutter(random, picture)
    for _ in range(int(random.integers(0, 6)) if random.random() < 0.7 else 0):
        picture = _chosen(random, _DRAWN)(random, picture)
    return np.clip(picture, 0, 255).astype(np.float32)


def cloud(random: Random, side: int, grains: float) -> Picture:
    """Smooth chance from 0 to 1 with so many waves across."""
    few = max(2, int(grains) + 2)
    return cv2.resize(random.random((few, few)).astype(np.float32), (side, side), interpolation=cv2.INTER_CUBIC)


def _chosen(random: Random, ways: tuple) -> Callable:
    return ways[int(random.integers(len(ways)))]


def _level(random: Random, side: int) -> Picture:
    if random.random() < 0.35:
        return np.full((side, side), float(random.choice((0, 0, 255, random.integers(0, 256)))), dtype=np.float32)
    low, high = random.uniform(0, 255, 2)
    if random.random() < 0.5:
        return low + (high - low) * cloud(random, side, random.uniform(0, 4))
    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    turn = random.uniform(0, 2 * np.pi)
    return (low + (high - low) * (0.5 + 0.5 * np.sin(turn + across * np.cos(turn) + down * np.sin(turn)))).astype(
        np.float32
    )


def _grain(random: Random, picture: Picture) -> Picture:
    """What a detector adds: fine or coarse, everywhere alike or more where it is bright."""
    side = len(picture)
    noise = random.normal(0, 1, (side, side)).astype(np.float32)
    if random.random() < 0.5:
        noise = cv2.GaussianBlur(noise, (0, 0), float(random.uniform(0.4, 1.8)))
        noise /= noise.std() + 1e-6
    strength = float(np.exp(random.uniform(np.log(0.7), np.log(16))))
    return picture + noise * strength * (np.sqrt(np.maximum(picture, 0) / 128 + 0.1) if random.random() < 0.3 else 1.0)


def _fractal(random: Random, picture: Picture) -> Picture:
    side, strength = len(picture), random.uniform(5, 70)
    for scale in (3, 7, 15, 31, 63)[: int(random.integers(2, 6))]:
        picture = picture + strength * (cloud(random, side, scale) - 0.5)
        strength *= random.uniform(0.4, 0.9)
    return picture


def _speckle(random: Random, picture: Picture) -> Picture:
    """Waves that meet: grains some pixels long, in logarithms, as echoes are shown."""
    side = len(picture)
    deep, wide = int(random.integers(1, 5)), int(random.integers(1, 9))
    grains = random.rayleigh(0.8, (side // deep + 2, side // wide + 2)).astype(np.float32)
    grains = cv2.resize(grains, (side, side), interpolation=cv2.INTER_CUBIC)
    return picture + random.uniform(10, 45) * np.log(np.maximum(grains, 0.05))


def _counts(random: Random, picture: Picture) -> Picture:
    """Few events in coarse pixels."""
    side, enlarged = len(picture), int(random.integers(1, 5))
    rate = random.uniform(0.1, 12) * cloud(random, side // enlarged + 1, random.uniform(1, 9)) ** 2
    counts = random.poisson(np.maximum(rate, 0)).repeat(enlarged, axis=0).repeat(enlarged, axis=1)
    return picture * 0.3 + counts[:side, :side].astype(np.float32) * random.uniform(3, 20)


def _waves(random: Random, picture: Picture) -> Picture:
    """Ribs, a grid's lines, interference."""
    y, x = np.mgrid[0 : len(picture), 0 : len(picture)].astype(np.float32)
    turn, length = random.uniform(0, np.pi), random.uniform(3, 60)
    bent = random.uniform(0, 0.01) * (x - random.uniform(0, len(picture))) ** 2
    return picture + random.uniform(4, 40) * np.sin((x * np.cos(turn) + y * np.sin(turn) + bent) * 2 * np.pi / length)


def _vessels(random: Random, picture: Picture) -> Picture:
    """Bent tubes that branch and end, soft or sharp, lighter or darker."""
    side = len(picture)
    drawn = np.zeros((side, side), dtype=np.float32)
    for _ in range(int(random.integers(1, 9))):
        at, heading = random.uniform(0, side, 2), random.uniform(0, 2 * np.pi)
        width, step = random.uniform(1, 14), random.uniform(3, 14)
        for _ in range(int(random.integers(2, 40))):
            heading += random.normal(0, 0.35)
            to = at + step * np.array([np.cos(heading), np.sin(heading)])
            cv2.line(drawn, _point(at), _point(to), 1.0, max(1, int(width)), cv2.LINE_AA)
            at, width = to, width * random.uniform(0.93, 1.01)
    return picture + _softened(random, drawn) * _step(random)


def _rounds(random: Random, picture: Picture) -> Picture:
    """Cysts, bones, markers: ellipses, filled or with a wall."""
    side = len(picture)
    drawn = np.zeros((side, side), dtype=np.float32)
    for _ in range(int(random.integers(1, 8))):
        axes = np.exp(random.uniform(np.log(2), np.log(side / 2), 2)).astype(int) + 1
        thick = -1 if random.random() < 0.5 else int(random.integers(1, 6))
        begin, end = (0, 360) if random.random() < 0.7 else sorted(random.uniform(0, 360, 2))
        cv2.ellipse(
            *(drawn, _point(random.uniform(0, side, 2)), tuple(int(a) for a in axes)),
            *(float(random.uniform(0, 180)), float(begin), float(end), 1.0, thick, cv2.LINE_AA),
        )
    return picture + _softened(random, drawn) * _step(random)


def _specks(random: Random, picture: Picture) -> Picture:
    """Calcifications, dust, dead pixels."""
    drawn, side = np.zeros_like(picture), len(picture)
    for _ in range(int(random.integers(1, 60))):
        row, column = random.integers(0, side, 2)
        high, wide = random.integers(1, 7, 2)
        drawn[row : row + high, column : column + wide] = 1.0
    return picture + (_softened(random, drawn) if random.random() < 0.6 else drawn) * _step(random)


def _edges(random: Random, picture: Picture) -> Picture:
    """Areas of another level, with sharp borders: implants, shutters, panels."""
    drawn, side = np.zeros_like(picture), len(picture)
    for _ in range(int(random.integers(1, 4))):
        corners = random.uniform(-0.3 * side, 1.3 * side, (int(random.integers(3, 7)), 2)).astype(np.int32)
        cv2.fillPoly(drawn, [corners], 1.0, cv2.LINE_AA)
    return picture + _softened(random, drawn) * _step(random)


def _shutter(random: Random, picture: Picture) -> Picture:
    """Nothing outside of a circle, a sector, or a rectangle."""
    side = len(picture)
    inside = np.zeros((side, side), dtype=np.float32)
    form, middle = random.random(), _point(random.uniform(-0.3 * side, 1.3 * side, 2))
    if form < 0.4:
        cv2.circle(inside, middle, int(random.uniform(0.3, 1.5) * side), 1.0, -1)
    elif form < 0.6:
        begin = random.uniform(0, 360)
        axes = (int(random.uniform(0.3, 1.6) * side),) * 2
        cv2.ellipse(inside, middle, axes, 0, begin, begin + random.uniform(30, 120), 1.0, -1)
    else:
        left, top, right, bottom = (random.uniform(-0.5, 1.5, 4) * side).astype(int)
        inside[min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)] = 1.0
    outside = float(random.choice((0, 0, 0, 6, 235, 255)))
    return np.where(inside > 0, picture, outside).astype(np.float32)


def _lines(random: Random, picture: Picture) -> Picture:
    """Straight lines, level, upright or slanting, whole or dashed."""
    side = len(picture)
    shade = _shade(random)
    for _ in range(int(random.integers(1, 6))):
        one, other = random.uniform(-10, side + 10, 2), random.uniform(-10, side + 10, 2)
        if random.random() < 0.7:
            axis = int(random.integers(2))
            other[axis] = one[axis]
        thick = int(random.choice((1, 1, 1, 2, 3)))
        if random.random() < 0.3:
            pieces = max(2, int(np.hypot(*(other - one)) / random.uniform(3, 12)))
            along = np.linspace(one, other, 2 * pieces)
            for begin, end in zip(along[::2], along[1::2], strict=True):
                cv2.line(picture, _point(begin), _point(end), shade, thick)
        else:
            cv2.line(picture, _point(one), _point(other), shade, thick, cv2.LINE_AA)
    return picture


def _frames(random: Random, picture: Picture) -> Picture:
    """Buttons, panels, tables, regions of interest."""
    side, shade = len(picture), _shade(random)
    left, top = (int(value) for value in random.integers(-20, side - 8, 2))
    wide, high = (int(value) for value in np.exp(random.uniform(np.log(6), np.log(side), 2)))
    if random.random() < 0.3:
        picture[max(0, top) : max(0, top + high), max(0, left) : max(0, left + wide)] = random.uniform(0, 255)
    thick = int(random.choice((1, 1, 2, 3)))
    down, across = (int(value) for value in random.integers(1, 6 if random.random() < 0.4 else 2, 2))
    for row in range(down):
        for column in range(across):
            corner = (left + column * wide, top + row * high)
            cv2.rectangle(picture, corner, (corner[0] + wide, corner[1] + high), shade, thick)
    return picture


def _ruler(random: Random, picture: Picture) -> Picture:
    """Ticks side by side, every some longer, with a line or without."""
    side, shade, upright = len(picture), _shade(random), random.random() < 0.6
    shown = picture.T if upright else picture
    base, gap = int(random.integers(0, side)), float(random.uniform(3, 30))
    short, long, every = int(random.integers(1, 9)), int(random.integers(4, 16)), int(random.choice((2, 4, 5, 10, 99)))
    thick = int(random.choice((1, 1, 2, 3)))
    way = 1 if random.random() < 0.5 else -1
    for number, at in enumerate(np.arange(random.uniform(0, gap), side, gap)):
        ends = sorted((base, base + way * (long if number % every == 0 else short)))
        shown[max(0, ends[0]) : max(0, ends[1]), int(at) : int(at) + thick] = shade
    if random.random() < 0.5:
        shown[base : base + thick] = shade
    return picture


def _marks(random: Random, picture: Picture) -> Picture:
    """Calipers, arrows, focus marks, dots between them."""
    side, shade = len(picture), _shade(random)
    for _ in range(int(random.integers(1, 7))):
        x, y = (int(value) for value in random.integers(0, side, 2))
        size, thick = int(random.integers(2, 12)), int(random.choice((1, 1, 2)))
        form = random.random()
        if form < 0.3:
            cv2.line(picture, (x - size, y), (x + size, y), shade, thick)
            cv2.line(picture, (x, y - size), (x, y + size), shade, thick)
        elif form < 0.45:
            cv2.line(picture, (x - size, y - size), (x + size, y + size), shade, thick)
            cv2.line(picture, (x - size, y + size), (x + size, y - size), shade, thick)
        elif form < 0.6:
            to = (x + int(random.integers(-40, 41)), y + int(random.integers(-40, 41)))
            cv2.arrowedLine(picture, (x, y), to, shade, thick, cv2.LINE_AA, tipLength=float(random.uniform(0.1, 0.6)))
        elif form < 0.8:
            corners = np.array([x, y]) + random.integers(-size, size + 1, (3, 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], shade)
        else:
            to = np.array([x, y]) + random.integers(-60, 61, 2)
            for at in np.linspace((x, y), to, int(random.integers(4, 20))):
                cv2.circle(picture, _point(at), thick - 1, shade, -1)
    return picture


def _curve(random: Random, picture: Picture) -> Picture:
    """A trace, an outline drawn by hand, a graph."""
    side, shade = len(picture), _shade(random)
    across = np.arange(0, side, int(random.integers(1, 5)))
    values = np.cumsum(random.normal(0, random.uniform(0.3, 4), len(across)))
    if random.random() < 0.5:
        values += random.uniform(5, 40) * np.maximum(0, np.sin(across / random.uniform(3, 20))) ** 9
    points = np.stack([across, values + random.uniform(0, side)], axis=1).astype(np.int32)
    points = points[:, ::-1] if random.random() < 0.3 else points
    cv2.polylines(picture, [np.ascontiguousarray(points)], False, shade, int(random.choice((1, 1, 2))), cv2.LINE_AA)
    return picture


def _bar(random: Random, picture: Picture) -> Picture:
    """A wedge of greys."""
    side = len(picture)
    high, wide = int(random.uniform(20, side)), int(random.uniform(3, 24))
    top, left = (int(value) for value in random.integers(0, side, 2))
    steps = np.linspace(255, 0, int(random.choice((high, 8, 16))))
    wedge = np.tile(
        cv2.resize(steps.astype(np.float32)[:, None], (1, high), interpolation=cv2.INTER_NEAREST), (1, wide)
    )
    wedge = wedge[::-1] if random.random() < 0.3 else wedge
    shown = picture.T if random.random() < 0.3 else picture
    place = shown[top : top + high, left : left + wide]
    place[...] = wedge[: place.shape[0], : place.shape[1]]
    return picture


def _shade(random: Random) -> float:
    return float(random.choice((0, 255, 200, 128, random.uniform(0, 255))))


def _step(random: Random) -> float:
    return float(random.choice((-1, 1)) * np.exp(random.uniform(np.log(8), np.log(160))))


def _softened(random: Random, drawn: Picture) -> Picture:
    return drawn if random.random() < 0.3 else cv2.GaussianBlur(drawn, (0, 0), float(random.uniform(0.5, 4)))


def _point(at: np.ndarray) -> tuple[int, int]:
    return int(at[0]), int(at[1])


_TEXTURES = (_fractal, _fractal, _speckle, _speckle, _counts, _waves, _grain)
_ANATOMY = (_vessels, _vessels, _rounds, _rounds, _specks, _edges)
_DRAWN = (_lines, _lines, _frames, _frames, _ruler, _ruler, _marks, _marks, _curve, _bar)
