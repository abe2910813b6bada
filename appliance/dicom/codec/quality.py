"""Which quality loses no more than a JPEG stream already lost. Source: ITU-T T.81 Annex K.1, and libjpeg's scale."""

from collections.abc import Sequence
from functools import cache

NEARLY_INVISIBLE = 95  # where there is no stream to go by

# Zigzag order, as in a stream.
_LUMINANCE = (
    *(16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51),
    *(61, 60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77),
    *(113, 121, 112, 100, 120, 92, 101, 103, 99),
)
_COLOURS = (17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *(99,) * 50)


@cache
def tables_at(quality: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return libjpeg's tables for luminance and colour differences at a quality of 1 to 100."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luminance, colours = (
        tuple(min(255, max(1, (step * scale + 50) // 100)) for step in table) for table in (_LUMINANCE, _COLOURS)
    )
    return luminance, colours


def quality_for(tables: Sequence[Sequence[int]], *, colours: bool) -> int:
    """Return the lowest quality whose steps are nowhere coarser than the stream's own.

    For a stream of libjpeg's tables it is the one it was made with, and what was not touched hardly changes again.
    colours: there are colour differences, which have a table of their own.
    """
    if not tables:
        return NEARLY_INVISIBLE
    own = [tables[0], *([tables[min(1, len(tables) - 1)]] if colours else [])]
    for quality in range(1, 100):
        if all(_as_fine(ours, theirs) for ours, theirs in zip(tables_at(quality), own, strict=False)):
            return quality
    return 100


def _as_fine(ours: Sequence[int], theirs: Sequence[int]) -> bool:
    return all(step <= limit for step, limit in zip(ours, theirs, strict=True))
