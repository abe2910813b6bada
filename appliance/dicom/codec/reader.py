"""The frames of one image, decoded one at a time. Bytes that contradict are refused, never guessed."""

from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec import native
from appliance.dicom.codec.decode import decoded, stream_of
from appliance.dicom.codec.families import Family, coding_of
from appliance.dicom.codec.form import HALVED, PixelForm, pixel_form
from appliance.dicom.codec.fragments import frames_of
from appliance.dicom.codec.meaning import black_of, meaning_of, picture_of, value_in
from appliance.dicom.codec.streams import Stream
from appliance.dicom.element import PIXEL_DATA, Bulk
from appliance.dicom.part10 import Part10
from appliance.dicom.syntaxes import EXPLICIT_BIG, GE_PRIVATE_IMPLICIT
from appliance.errors import CannotDecode, Malformed

_TABLE, _TABLE_LENGTHS = 0x7FE00001, 0x7FE00002
_MOST_TABLE = 8 * 1024 * 1024  # bytes: a million frames
_SLACK = 1024 * 1024  # bytes of a code stream beyond twice its frame: none that means well is larger


class FrameReader:
    """Opened from an original; its source must stay open. Holds one frame, encoded and decoded, at a time.

    form     of the pixels
    family   what they are coded with

    Raises Malformed where bytes contradict (too few or too many of them, a wrong number of frames, a broken stream),
    CannotDecode for what is not read: at the opening as far as it can be told from there, else at the frame.
    """

    def __init__(self, original: Part10) -> None:
        self.original = original
        self.form: PixelForm = pixel_form(original)
        coding = coding_of(original.transfer_syntax)
        if coding is None:
            raise CannotDecode(f"Pixels of the transfer syntax {original.transfer_syntax} are not decoded.")
        self.family: Family = coding.family
        element = original.dataset.elements[PIXEL_DATA]
        if not isinstance(element.value, Bulk) or element.value.encapsulated == (self.family is Family.NATIVE):
            raise Malformed("Pixel Data (7FE0,0010) is not as its transfer syntax says: empty, or encapsulated or not.")
        self._bulk = element.value
        self._file: BinaryIO = element.value.lies_in(original.source)
        words = element.vr == "OW" and self.form.bits_allocated <= 8
        self._swapped = words and original.transfer_syntax == EXPLICIT_BIG  # PS3.5 Annex A.3: OW is of 16 bit words
        if self.family is Family.NATIVE:
            self._check_length()
            self._frames = []
        else:
            self._frames = frames_of(
                self._file,
                self._bulk,
                self.form.frames,
                offsets=value_in(original, _TABLE, _MOST_TABLE),
                lengths=value_in(original, _TABLE_LENGTHS, _MOST_TABLE),
                one_each=self.family is Family.RLE,
            )
        self._encoded: tuple[int, bytes] = (-1, b"")
        self._decoded: tuple[int, NDArray[Any]] = (-1, np.empty(0))

    @property
    def order(self) -> native.Order:
        """Byte order of uncompressed cells: "<" or ">"."""
        return ">" if self.form.transfer_syntax in (EXPLICIT_BIG, GE_PRIVATE_IMPLICIT) else "<"

    @property
    def halved(self) -> bool:
        """Whether two columns share their colours in the file: whoever changes one changes both."""
        return self.family is Family.NATIVE and self.form.photometric in HALVED

    @property
    def length(self) -> int:
        """Bytes of the pixel data as they are."""
        return self._bulk.length

    def frame(self, number: int) -> NDArray[Any]:
        """Return frame ``number``, from 0: (R, C), or (R, C, 3) colour by pixel; not to be written to.

        Stored values, of the whole allocated cell, in the colours that ``meaning`` tells.
        """
        if self._decoded[0] != number:
            self._decoded = (-1, np.empty(0))  # before the next one is made: never two
            data = self.encoded(number)
            if self.family is Family.NATIVE:
                first_bit = number * self.form.frame_bits % 8
                frame = native.unpacked(data, self.form, order=self.order, first_bit=first_bit)
            else:
                frame = decoded(data, self.stream(number), self.form, self.family)
            frame.flags.writeable = False
            self._decoded = (number, frame)
        return self._decoded[1]

    def picture(self, number: int, *, windowed: bool = True) -> NDArray[np.uint8]:
        """Return frame ``number`` as a reader would see it: (R, C) greys or (R, C, 3) RGB, 8 bit.

        windowed  by the window of the Data Set, if it has one; else, and otherwise, from the least to the greatest
                  value: what another window would show is then seen too
        """
        return picture_of(self.frame(number), self.form, self.meaning(number), self.original, windowed=windowed)

    def meaning(self, number: int) -> str:
        """Return what ``frame`` holds: MONOCHROME1, MONOCHROME2, PALETTE COLOR, RGB, YBR_FULL or YBR_PARTIAL."""
        stream = None if self.family is Family.NATIVE else self.stream(number)
        return meaning_of(self.form, stream, self.family)

    def black(self, number: int) -> tuple[int, ...]:
        """Return the stored value of black in frame ``number``, one number a sample: what masks are painted in."""
        return black_of(self.form, self.meaning(number), self.original)

    def stream(self, number: int) -> Stream:
        """Return what the code stream of a frame says of itself."""
        return stream_of(self.encoded(number), self.form, self.family)

    def encoded(self, number: int) -> bytes:
        """Return the bytes of a frame as they are: fragments joined; cells of one bit with their neighbours."""
        if not 0 <= number < self.form.frames:
            raise IndexError(f"no frame {number}")
        if self._encoded[0] != number:
            self._encoded = (-1, b"")
            data = self._native(number) if self.family is Family.NATIVE else self._joined(number)
            self._encoded = (number, data)
        return self._encoded[1]

    def _check_length(self) -> None:
        form = self.form
        expected = (form.frames * form.frame_bits + 7) // 8
        if not 0 <= self._bulk.length - expected <= 1:  # an odd length is padded
            raise Malformed(
                f"Pixel Data (7FE0,0010) has {self._bulk.length} bytes; {form.frames} frames have {expected}."
            )

    def _native(self, number: int) -> bytes:
        bits = self.form.frame_bits
        start, stop = number * bits // 8, ((number + 1) * bits + 7) // 8
        if not self._swapped:
            return self._read(self._bulk.offset + start, stop - start)
        even = start & ~1
        words = self._read(self._bulk.offset + even, min(self._bulk.length, stop + (stop & 1)) - even)
        return np.frombuffer(words, ">u2").astype("<u2").tobytes()[start - even : stop - even]

    def _joined(self, number: int) -> bytes:
        runs = self._frames[number]
        length = sum(size for _, size in runs)
        if length > 2 * self.form.cells * self.form.dtype.itemsize + _SLACK:
            raise Malformed("A compressed frame is much longer than an uncompressed one would be.")
        return b"".join(self._read(offset, size) for offset, size in runs)

    def _read(self, offset: int, length: int) -> bytes:
        self._file.seek(offset)
        data = self._file.read(length)
        if len(data) != length:
            raise Malformed("The pixel data became shorter while it was read.")
        return data
