"""A Data Set as a tree: what a file holds, element by element, before anyone decides about it.

Values stay the bytes of the file. Large values stay in the file: ``Bulk`` says where. So a tree of a 500 MB
multi-frame is as small as its header, and what nobody touches is written back as it was.
Source: PS3.5 Section 7.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import BinaryIO

Tag = int  # 0xGGGGEEEE

PIXEL_DATA: Tag = 0x7FE00010
SPECIFIC_CHARACTER_SET: Tag = 0x00080005


@lru_cache(maxsize=8192)  # reports name the same few hundred for every instance
def tag_text(tag: Tag) -> str:
    """Return ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def is_private(tag: Tag) -> bool:
    """Whether the group is odd. Source: PS3.5 Section 7.8."""
    return bool((tag >> 16) & 1)


def is_private_creator(tag: Tag) -> bool:
    """Whether this element reserves a private block: (gggg,0010-00FF), gggg odd."""
    return is_private(tag) and 0x10 <= (tag & 0xFFFF) <= 0xFF


@dataclass(frozen=True, slots=True)
class Bulk:
    """A value left in a file.

    offset        of the first byte of the value (for encapsulated pixels: of the first Item tag)
    length        bytes, up to and without a Sequence Delimitation Item
    encapsulated  undefined length on disk: a sequence of fragments. Source: PS3.5 A.4
    source        another file than the one that was read, for a value that was made since; None: the one that was read
    """

    offset: int
    length: int
    encapsulated: bool = False
    source: BinaryIO | None = field(default=None, repr=False)

    def lies_in(self, read: BinaryIO) -> BinaryIO:
        """The file that the value lies in, where ``read`` is the one that the tree was read from."""
        return read if self.source is None else self.source


@dataclass(slots=True)
class Element:
    """One Data Element.

    vr     two letters; "UN" where the file says so or, in implicit VR, where the dictionary does not know the tag
    value  bytes as on disk in the tree's byte order, padding included; a list of Data Sets for a sequence;
           Bulk for what stays in the file
    """

    tag: Tag
    vr: str
    value: "bytes | list[DataSet] | Bulk"

    @property
    def items(self) -> "list[DataSet]":
        """The items of a sequence; an empty list for anything else."""
        return self.value if isinstance(self.value, list) else []


@dataclass(slots=True)
class DataSet:
    """Elements by tag, in file order, and how their bytes are to be read.

    charsets   values of the Specific Character Set (0008,0005) in force here, inherited by items without their own;
               () is the default repertoire
    """

    elements: dict[Tag, Element] = field(default_factory=dict)
    little_endian: bool = True
    charsets: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements.values())

    def __contains__(self, tag: Tag) -> bool:
        return tag in self.elements

    def get(self, tag: Tag) -> Element | None:
        """The element, or None."""
        return self.elements.get(tag)

    def put(self, element: Element) -> None:
        """Add or replace an element; the writer sorts."""
        self.elements[element.tag] = element

    def remove(self, tag: Tag) -> None:
        """Remove an element if it is there."""
        self.elements.pop(tag, None)

    def creator_of(self, tag: Tag) -> str | None:
        """Return the private creator of a private data element, stripped; None without one. PS3.5 Section 7.8.1."""
        block = (tag & 0xFFFF) >> 8
        element = self.elements.get((tag & 0xFFFF0000) | block) if block >= 0x10 else None
        if element is None or not isinstance(element.value, bytes):
            return None
        return element.value.decode("latin-1").strip(" \0") or None


def walk(data_set: DataSet) -> Iterator[tuple[DataSet, Element]]:
    """Yield every element with the Data Set that holds it, depth first, items after their sequence."""
    for element in list(data_set):
        yield data_set, element
        for item in element.items:
            yield from walk(item)
