"""What an image looks like without any text: a ground for each kind, made of numbers, for texts to be burned into.

Each takes (generator, rows, columns) and returns uint8, (R, C) grey or (R, C, 3) colour. Nothing looks like a letter on
purpose, but ribs, vessels, ticks, tables and calcifications are there to be mistaken for some.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

Ground = Callable[[np.random.Generator, int, int], np.ndarray]


def ultrasound(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A sector of speckle on black, in colour: a grey bar, depth ticks, and in half of them a Doppler box."""
    y, x = _grid(rows, columns)
    depth, angle = np.hypot(x - 0.5, y - 0.04), np.arctan2(x - 0.5, y - 0.04)
    inside = (depth > 0.06) & (depth < 0.9) & (np.abs(angle) < random.uniform(0.4, 0.75))
    echo = 0.25 + 0.6 * cloud(random, rows, columns, 6) * np.exp(-0.8 * depth)
    for _ in range(3):  # cysts and organs: dark rounds with a bright wall
        far = np.hypot(x - random.uniform(0.35, 0.65), y - random.uniform(0.3, 0.7)) / random.uniform(0.05, 0.14)
        echo = np.where(far < 1, 0.08, np.where(far < 1.12, 0.8, echo))
    # Speckle is as long as a pulse and as wide as the beam: some pixels, wider than deep; then the log's squeeze.
    speckle = _resized(random.rayleigh(0.8, (rows // 2 + 1, columns // 5 + 1)), rows, columns)
    grey = _byte(inside * (110 + 75 * np.log(np.maximum(echo * speckle, 0.05))))
    picture = np.repeat(grey[:, :, None], 3, axis=2)
    if random.random() < 0.5:
        within = inside & (np.abs(x - 0.5) < 0.12) & (np.abs(y - 0.5) < 0.12)
        flow = cloud(random, rows, columns, 8) - 0.5
        picture[..., 0] = np.where(within & (flow > 0.08), 90 + 160 * flow, picture[..., 0])
        picture[..., 2] = np.where(within & (flow < -0.08), 90 - 160 * flow, picture[..., 2])
    edge = max(2, columns // 90)
    bar = np.linspace(255, 0, rows // 3).astype(np.uint8)[:, None, None]
    picture[rows // 8 : rows // 8 + len(bar), columns - 3 * edge : columns - 2 * edge] = bar
    for tick in range(rows // 10, rows - 4, rows // 12):
        picture[tick : tick + 2, columns - 6 * edge : columns - 5 * edge] = 200
    return picture


def radiograph(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A chest: two dark lungs, ribs, a spine, grain; collimated on some sides."""
    y, x = _grid(rows, columns)
    body = 190 - 120 * np.abs(x - 0.5) + 30 * (cloud(random, rows, columns, 5) - 0.5)
    for side in (0.3, 0.7):
        lung = np.exp(-(((x - side) / 0.15) ** 4) - ((y - 0.48) / 0.32) ** 4)
        ribs = 0.16 * np.sin(60 * (y - 1.2 * (x - side) ** 2) + random.uniform(0, 6))
        body = body * (1 - 0.65 * lung * (1 - np.maximum(ribs, -0.05)))
    body += 25 * np.exp(-(((x - 0.5) / 0.05) ** 2)) * (1 + 0.3 * np.sin(75 * y))
    body += random.normal(0, random.uniform(1, 4), (rows, columns))
    margin = random.uniform(0.0, 0.07)
    return _byte(np.where((x < margin) | (x > 1 - margin) | (y < margin * 0.7), 6, body))


def film(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A limb with two bones, grain and a bright unexposed border, as a scanned film or a plate reader gives it."""
    y, x = _grid(rows, columns)
    limb = np.exp(-(((x - 0.5 - 0.05 * np.sin(3 * y)) / 0.22) ** 4))
    bones = sum(np.exp(-(((x - at - 0.03 * np.sin(4 * y)) / 0.045) ** 2)) for at in (0.42, 0.58))
    body = 25 + 95 * limb + 90 * bones * (0.8 + 0.4 * cloud(random, rows, columns, 12))
    body += random.normal(0, random.uniform(2, 5), (rows, columns))
    border = random.uniform(0.01, 0.03)
    return _byte(np.where((x < border) | (x > 1 - border) | (y < border) | (y > 1 - border), 235, body))


def mammogram(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A breast at one edge on black: a texture of many scales and calcifications of a few pixels."""
    y, x = _grid(rows, columns)
    if random.random() < 0.5:
        x = 1 - x
    inside = (x / 0.62) ** 2 + ((y - 0.5) / 0.44) ** 2
    tissue = sum(cloud(random, rows, columns, scale) / 2**n for n, scale in enumerate((4, 9, 20, 45)))
    breast = np.clip(1.3 - inside, 0, 1) ** 0.35 * (60 + 85 * tissue)
    picture = np.where(inside < 1, breast, 0.0) + random.normal(0, 1.2, (rows, columns))
    for _ in range(40):
        row, column = int(random.uniform(0.2, 0.8) * rows), int(random.uniform(0.1, 0.9) * columns)
        size = max(1, int(random.uniform(0.0005, 0.0014) * rows))
        if inside[row, column] < 0.8:
            picture[row : row + size, column : column + size] += 70
    return _byte(picture)


def screen(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """A captured screen, in colour: panels, a table's lines, buttons, and a picture in one of the panels."""
    dark = random.random() < 0.6
    image = Image.new("RGB", (columns, rows), (24, 26, 32) if dark else (236, 236, 232))
    draw = ImageDraw.Draw(image)
    for _ in range(5):
        left, top = int(random.uniform(0, 0.7) * columns), int(random.uniform(0, 0.7) * rows)
        shade = tuple(int(value) for value in random.integers(*((15, 70) if dark else (190, 255)), 3))
        area = (left, top, left + columns // 4, top + rows // 5)
        draw.rectangle(area, fill=shade, outline=(128, 128, 128))
    for line in range(6):
        level = rows // 2 + line * rows // 16
        draw.line((columns // 12, level, columns // 2, level), fill=(110, 115, 125))
    picture = np.array(image)
    inset = radiograph(random, rows // 3, columns // 3)
    picture[rows // 20 : rows // 20 + rows // 3, columns // 2 : columns // 2 + columns // 3] = inset[:, :, None]
    return picture


def angiogram(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Dark vessels that branch on a grey ground, within a round shutter, with a fluoroscope's noise."""
    image = Image.new("L", (columns, rows), 0)
    draw = ImageDraw.Draw(image)
    for _ in range(4):
        at, heading, width = np.array([random.uniform(0.3, 0.7) * columns, 0.1 * rows]), np.pi / 2, columns / 60
        while width > 1:
            heading += random.normal(0, 0.25)
            to = at + np.array([np.cos(heading), np.sin(heading)]) * rows / 25
            draw.line((*at, *to), fill=140, width=int(width))
            at, width = to, width * 0.94
    y, x = _grid(rows, columns)
    body = 150 + 50 * (cloud(random, rows, columns, 3) - 0.5) - np.array(image) * 0.6
    body += random.normal(0, random.uniform(4, 8), (rows, columns))
    return _byte(np.where(np.hypot(x - 0.5, y - 0.5) < random.uniform(0.47, 0.6), body, 8))


def scintigram(random: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Counts: two bodies of hot spots side by side, coarse pixels enlarged, hardly anything in between."""
    y, x = _grid(rows // 2, columns // 2)
    rate = np.full(y.shape, 0.4)
    for middle in (0.27, 0.73):
        rate += 9 * np.exp(-(((x - middle) / 0.09) ** 2) - ((y - 0.5) / 0.36) ** 4)
        for _ in range(9):
            at, down = middle + random.normal(0, 0.05), random.uniform(0.15, 0.85)
            rate += random.uniform(5, 30) * np.exp(-((x - at) ** 2 + (y - down) ** 2) / 0.0006)
    counts = random.poisson(rate).repeat(2, axis=0).repeat(2, axis=1)
    whole = np.zeros((rows, columns))
    whole[: counts.shape[0], : counts.shape[1]] = counts
    return _byte(whole * 7)


def cloud(random: np.random.Generator, rows: int, columns: int, grains: int) -> np.ndarray:
    """Smooth chance from 0 to 1 with some ``grains`` waves across."""
    return _resized(random.random((grains + 2, grains + 2)), rows, columns)


def _resized(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    shape = Image.fromarray(values.astype(np.float32))
    return np.array(shape.resize((columns, rows), Image.Resampling.BICUBIC))


def _grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """y and x of each pixel, from 0 to 1."""
    y, x = np.mgrid[0:rows, 0:columns].astype(np.float32)
    return y / rows, x / columns


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(values, 0, 255).astype(np.uint8)
