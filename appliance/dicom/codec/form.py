"""How an image's pixels are laid out, as its Data Set says. Source: PS3.3 C.7.6.3 (Image Pixel), C.7.6.6."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from appliance.dicom.element import PIXEL_DATA, DataSet, Tag, tag_text
from appliance.dicom.part10 import Part10
from appliance.errors import CannotDecode, Malformed

MOST_FRAME_BYTES = 256 * 1024 * 1024  # of one decoded frame; a mammogram has 27 MB
MOST_FRAMES = 1_000_000  # of one instance; a cine has some hundreds, a whole slide some ten thousand

SAMPLES, PHOTOMETRIC, _PLANAR, _FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS, ALLOCATED, _STORED = 0x00280010, 0x00280011, 0x00280100, 0x00280101
_HIGH_BIT, _SIGNED = 0x00280102, 0x00280103
_FLOATS = frozenset({0x7FE00008, 0x7FE00009})

_GREY = frozenset({"MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"})
_COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"})
HALVED = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})  # colour differences for every second column only


@dataclass(frozen=True, slots=True)
class PixelForm:
    """The Image Pixel attributes of one instance, consistent with one another.

    samples        1 or 3
    bits_allocated 1, 8, 16 or 32: the cell; bits_stored and high_bit say which bits of it are the pixel
    photometric    as in the Data Set: of a compressed image, how the code stream holds it
    planar         Planar Configuration: 1 for colour by plane
    frames         at least 1
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int
    frames: int
    transfer_syntax: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a frame as an array: (R, C), or (R, C, 3)."""
        return (self.rows, self.columns) if self.samples == 1 else (self.rows, self.columns, self.samples)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a frame as an array, in the machine's byte order."""
        return np.dtype(f"{'i' if self.signed else 'u'}{max(1, self.bits_allocated // 8)}")

    @property
    def cells(self) -> int:
        """Numbers in a frame."""
        return self.rows * self.columns * self.samples

    @property
    def frame_bits(self) -> int:
        """Of an uncompressed frame in the file; frames of one bit cells need not begin with a byte."""
        cells = self.rows * self.columns * 2 if self.photometric in HALVED else self.cells
        return cells * self.bits_allocated


def pixel_form(original: Part10) -> PixelForm:
    """Return the form of an instance's pixels.

    Raises Malformed for attributes that are missing or contradict one another; CannotDecode for pixels of a kind that
    nobody here reads (float, more than three samples, no pixels at all), and for too large or too many frames.
    """
    data = original.dataset
    if PIXEL_DATA not in data:
        raise CannotDecode("Its pixels are floating point numbers." if _FLOATS & data.elements.keys() else "No pixels.")
    samples = number_in(data, SAMPLES)
    allocated = number_in(data, ALLOCATED)
    form = PixelForm(
        rows=number_in(data, ROWS),
        columns=number_in(data, COLUMNS),
        samples=samples,
        bits_allocated=allocated,
        bits_stored=number_in(data, _STORED),
        high_bit=number_in(data, _HIGH_BIT),
        signed=number_in(data, _SIGNED) == 1,
        photometric=text_in(data, PHOTOMETRIC),
        planar=number_in(data, _PLANAR) if samples > 1 and _PLANAR in data else 0,
        frames=number_of_frames(data),
        transfer_syntax=original.transfer_syntax,
    )
    _check(form)
    return form


def _check(form: PixelForm) -> None:
    if not form.rows or not form.columns:
        raise Malformed("Rows (0028,0010) or Columns (0028,0011) is zero.")
    if form.samples not in (1, 3):
        raise CannotDecode(f"Samples per Pixel (0028,0002) is {form.samples}.")
    if form.bits_allocated not in (1, 8, 16, 32):
        raise CannotDecode(f"Bits Allocated (0028,0100) is {form.bits_allocated}.")
    if not 0 < form.bits_stored <= form.high_bit + 1 <= form.bits_allocated:
        raise Malformed("Bits Stored (0028,0101), High Bit (0028,0102) and Bits Allocated (0028,0100) contradict.")
    if form.photometric not in _GREY | _COLOUR:
        raise CannotDecode("Photometric Interpretation (0028,0004) is none that is read.")
    if (form.photometric in _COLOUR) != (form.samples == 3) or (form.bits_allocated == 1 and form.samples > 1):
        raise Malformed("Photometric Interpretation (0028,0004) and Samples per Pixel (0028,0002) contradict.")
    if form.planar not in (0, 1):
        raise Malformed("Planar Configuration (0028,0006) is neither 0 nor 1.")
    if form.frames > MOST_FRAMES:
        raise CannotDecode(f"It has more than {MOST_FRAMES} frames.")
    if form.cells * form.dtype.itemsize > MOST_FRAME_BYTES:
        raise CannotDecode(f"A frame of {form.rows} x {form.columns} is larger than {MOST_FRAME_BYTES} bytes.")


def number_in(data: DataSet, tag: Tag) -> int:
    """Return the value of an element of VR US; raises Malformed where it is missing or none."""
    element = data.get(tag)
    if element is None or not isinstance(element.value, bytes) or len(element.value) != 2:
        raise Malformed(f"{tag_text(tag)} is missing or no number.")
    return int.from_bytes(element.value, "little" if data.little_endian else "big")


def text_in(data: DataSet, tag: Tag) -> str:
    """Return the value of an element that is plain text, padding stripped; "" where it is missing."""
    element = data.get(tag)
    value = element.value if element is not None and isinstance(element.value, bytes) else b""
    return value.decode("latin-1").strip(" \0")


def number_of_frames(data: DataSet) -> int:
    """Return what Number of Frames (0028,0008) says, 1 without; raises Malformed for what is no number of frames."""
    text = text_in(data, _FRAMES)
    if not text:
        return 1
    if not (text.isascii() and text.isdigit() and 0 < int(text[:12]) < 2**31):
        raise Malformed("Number of Frames (0028,0008) is no number of frames.")
    return int(text)
