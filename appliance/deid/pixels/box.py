"""A box in a picture, and a text that was found in one."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels from the top left of a frame, half open: columns [left, right), rows [top, bottom).

    May reach beyond the frame.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return max(0, self.right - self.left)

    @property
    def height(self) -> int:
        return max(0, self.bottom - self.top)

    @property
    def area(self) -> int:
        """Pixels within; 0 for a box that is empty or turned inside out."""
        return self.width * self.height

    def grown(self, margin: int) -> "Box":
        """The box with ``margin`` pixels more on each side."""
        return Box(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def moved(self, right: int, down: int) -> "Box":
        """The box, so many pixels further on."""
        return Box(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def within(self, *, rows: int, columns: int) -> "Box":
        """The part of the box that lies in a frame of that size; its area is 0 when there is none."""
        return Box(max(0, self.left), max(0, self.top), min(columns, self.right), min(rows, self.bottom))

    def touches(self, other: "Box") -> bool:
        """Whether both have a pixel in common."""
        return (
            max(self.left, other.left) < min(self.right, other.right)
            and max(self.top, other.top) < min(self.bottom, other.bottom)
        )  # fmt: skip

    def shared(self, other: "Box") -> int:
        """Pixels that both have."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        ).area

    def around(self, others: Iterable["Box"]) -> "Box":
        """The smallest box that holds this one and the others."""
        boxes = (self, *others)
        return Box(
            min(box.left for box in boxes),
            min(box.top for box in boxes),
            max(box.right for box in boxes),
            max(box.bottom for box in boxes),
        )


@dataclass(frozen=True, slots=True)
class Found:
    """A place of a picture that looks like text.

    text        as read; "" where nothing could be read, and the place is to be hidden all the same. Never logged.
    confidence  of the reading, 0 to 1; 0 where nothing could be read.
    """

    box: Box
    text: str
    confidence: float
