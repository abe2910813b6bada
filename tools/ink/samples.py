"""Pictures to learn from, each with what the network is to say of it."""

from dataclasses import dataclass

import cv2
import numpy as np

from tools.ink.grounds import cloud, ground
from tools.ink.texts import glyphs, words

SIDE = 192  # pixels of a picture
_MARGIN = 32  # pixels about it that are drawn and cut off: texts are cut there as at the edge of a tile
_SMALL, _SIZES = (7, 18), (14, 56)  # pixels of a font's em; larger letters are shown to the network shrunk
_LEAST_CONTRAST, _TIMES = 24, (2.6, 3.4)  # greys, and times the deviation of what is behind: a reader could read it
_INK = 0.3  # share of a pixel that is ink
_INSET = (
    0.17  # of a line's height that the line's mark is narrower by, on each side: lines close to each other stay two
)

Random = np.random.Generator


@dataclass(slots=True)
class Canvas:
    """(side, side) each: greys, 1 where ink is and a pixel about it, 1 in a line, and True where a text is already."""

    picture: np.ndarray
    ink: np.ndarray
    line: np.ndarray
    taken: np.ndarray


def sample(random: Random) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a picture, where its ink is, and where its lines are: uint8 (SIDE, SIDE); the last two 0 and 1."""
    side = SIDE + 2 * _MARGIN
    made = Canvas(ground(random, side), *(np.zeros((side, side), dtype=np.uint8) for _ in range(3)))
    if random.random() < 0.88:
        for _ in range(int(random.integers(1, 9))):
            (_block if random.random() < 0.2 else _alone)(made, random)
    picture = _finished(made, random)
    turn = int(random.choice((0, 0, 0, 0, 1, 2, 3)))
    cut = np.s_[_MARGIN : _MARGIN + SIDE, _MARGIN : _MARGIN + SIDE]
    return tuple(np.rot90(each[cut], turn).copy() for each in (picture, made.ink, made.line))


def _finished(made: Canvas, random: Random) -> np.ndarray:
    picture = made.picture
    if random.random() < 0.1:
        picture = picture + random.normal(0, random.uniform(0.5, 5), picture.shape)
    picture = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if random.random() < 0.15:
        picture = 255 - picture
    if random.random() < 0.35:
        _, body = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, int(random.integers(50, 97))))
        picture = cv2.imdecode(body, cv2.IMREAD_UNCHANGED)
    return picture


def _size(random: Random) -> int:
    return int(np.exp(random.uniform(*np.log(_SMALL if random.random() < 0.6 else _SIZES))))


def _alone(made: Canvas, random: Random) -> None:
    drawn = glyphs(random, words(random), _size(random))
    if drawn is None:
        return
    if random.random() < 0.12:
        drawn = np.rot90(drawn, int(random.choice((1, 3))))
    for _ in range(6):
        left, top = _place(random, made, drawn)
        if _put(made, random, drawn, left, top):
            return


def _place(random: Random, made: Canvas, drawn: np.ndarray) -> tuple[int, int]:
    side = len(made.picture)
    left, top = (
        int(random.uniform(*sorted((-0.3 * length, side - 0.7 * length)))) for length in drawn.shape[::-1]
    )  # fmt: skip
    return left, top


def _block(made: Canvas, random: Random) -> None:
    """Some lines one below the other."""
    size = min(_size(random), 24)
    left, top = (int(value) for value in random.integers(0, len(made.picture) - 40, 2))
    for _ in range(int(random.integers(2, 7))):
        drawn = glyphs(random, words(random), size)
        if drawn is None:
            continue
        _put(made, random, drawn, left, top)
        top += drawn.shape[0] + int(random.integers(2, 3 + size))


def _put(made: Canvas, random: Random, drawn: np.ndarray, left: int, top: int) -> bool:
    """Blend a line in, if there is room and it can be read there."""
    side = len(made.picture)
    high, wide = drawn.shape
    area = np.s_[max(0, top) : min(side, top + high), max(0, left) : min(side, left + wide)]
    part = drawn[max(0, -top) : max(0, side - top), max(0, -left) : max(0, side - left)]
    if part.size < 20 or made.taken[area].any() or (part > _INK).sum() < 8:
        return False
    below = made.picture[area]
    behind, noise = float(below.mean()), float(below.std())
    way = str(random.choice(("plain", "plain", "plain", "label", "shadow", "outline", "ragged")))
    least = max(_LEAST_CONTRAST, random.uniform(*_TIMES) * noise)
    if way == "label":
        behind, least = float(random.integers(0, 256)), _LEAST_CONTRAST
    rooms = [room for room in (255 - behind, -behind) if abs(room) >= least]
    if not rooms:
        return False
    room = rooms[int(random.integers(len(rooms)))]
    contrast = least * random.uniform(1, 1.3) if random.random() < 0.45 else random.uniform(least, abs(room))
    ink = behind + np.sign(room) * min(contrast, abs(room))
    _stand_out(made, random, way, area, part, behind, 0.0 if room > 0 else 255.0)
    shares = (
        part * (0.75 + 0.25 * cloud(random, max(part.shape), 9)[: part.shape[0], : part.shape[1]])
        if way == "ragged"
        else part
    )
    made.picture[area] = made.picture[area] * (1 - shares) + ink * shares
    _mark(made, area, part, drawn.shape, (left, top))
    if random.random() < 0.12:
        _beside(made, random, left, top, high, wide)
    return True


def _stand_out(
    made: Canvas, random: Random, way: str, area: tuple, part: np.ndarray, behind: float, opposite: float
) -> None:
    if way == "label":
        wide = int(random.integers(1, 7))
        rows, columns = area
        made.picture[
            max(0, rows.start - wide) : rows.stop + wide, max(0, columns.start - wide) : columns.stop + wide
        ] = behind
    elif way in ("shadow", "outline"):
        around = np.zeros_like(part)
        around[1:, 1:] = part[:-1, :-1]
        if way == "outline":
            around = cv2.dilate(part, np.ones((3, 3), dtype=np.uint8))
        made.picture[area] = made.picture[area] * (1 - 0.8 * around) + opposite * 0.8 * around


def _mark(made: Canvas, area: tuple, part: np.ndarray, shape: tuple[int, int], corner: tuple[int, int]) -> None:
    solid = (part > _INK).astype(np.uint8)
    wide = tuple(slice(max(0, each.start - 1), each.stop + 1) for each in area)
    place = np.zeros_like(made.ink)
    place[area] = solid
    made.ink[wide] |= cv2.dilate(place[wide], np.ones((3, 3), dtype=np.uint8))
    inset = max(1, round(_INSET * min(shape))) if min(shape) > 3 else 0
    (left, top), (high, long) = corner, shape
    made.line[max(0, top + inset) : max(0, top + high - inset), max(0, left + inset) : max(0, left + long - inset)] = 1
    gap = max(3, min(shape) // 3)
    made.taken[max(0, top - gap) : max(0, top + high + gap), max(0, left - gap) : max(0, left + long + gap)] = 1


def _beside(made: Canvas, random: Random, left: int, top: int, high: int, wide: int) -> None:
    """A frame, or a side of one, close to the line."""
    gap, thick = int(random.integers(2, 9)), int(random.choice((1, 1, 2, 3)))
    shade = float(random.choice((0, 255, random.uniform(0, 255))))
    one, other = (left - gap - thick, top - gap - thick), (left + wide + gap, top + high + gap)
    sides = (
        (one, (one[0], other[1])),
        (one, (other[0], one[1])),
        ((other[0], one[1]), other),
        ((one[0], other[1]), other),
    )
    for begin, end in sides:
        if random.random() < 0.5:
            drawn = np.zeros_like(made.ink)
            cv2.line(drawn, begin, end, 1, thick)
            made.picture[(drawn > 0) & (made.ink == 0)] = shade
