"""New pixel data, a frame at a time, into a scratch file: untouched frames as they were, touched ones encoded anew.

In the same transfer syntax a kept frame is its own bytes. Where a lossy syntax can hold exact streams (JPEG 2000,
JPEG-LS, HTJ2K) a touched frame loses nothing; lossy JPEG is encoded again as finely as it was, and the result says so.
A syntax that is only decoded gives Explicit VR Little Endian.
"""

from dataclasses import dataclass, replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from appliance.dicom.codec import native
from appliance.dicom.codec.encapsulate import Fragments
from appliance.dicom.codec.encode import Manner, encoded, fits, precision_of
from appliance.dicom.codec.families import JPEG_BASELINE, Family, can_encode, coding_of, is_native
from appliance.dicom.codec.form import PixelForm
from appliance.dicom.codec.lossy import is_told_lossy, said_of_loss
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Element, Tag
from appliance.dicom.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, GE_PRIVATE_IMPLICIT, syntax_of
from appliance.errors import CannotEncode

_PHOTOMETRIC, _PLANAR = 0x00280004, 0x00280006
_TABLES = (0x7FE00001, 0x7FE00002)
_LEAST_AND_GREATEST = (0x00280106, 0x00280107)
_BASELINE_BITS = 8
_WITH_TRANSFORM = (Family.JPEG_2000, Family.HTJ2K)
_LONGEST = 0xFFFFFFFE  # of an uncompressed value


@dataclass(frozen=True, slots=True)
class Recoded:
    """What becomes of a Data Set whose pixels were written anew.

    put      Pixel Data, a Bulk of the scratch file, and what else has a new value; in the byte order of
             ``transfer_syntax``
    remove   what no longer holds
    """

    put: tuple[Element, ...]
    remove: tuple[Tag, ...]
    transfer_syntax: str

    def apply(self, data_set: DataSet) -> None:
        """Carry it out on the Data Set that will be written."""
        for tag in self.remove:
            data_set.remove(tag)
        for element in self.put:
            data_set.put(element)


class FrameWriter:
    """Writes the frames of ``reader``, each once and in order, then ``finish``.

    scratch  open for writing and reading, at its end; the result lies there, and it must stay open until it is written
    target   transfer syntax of the result; "": the reader's own if frames can be put into it, else Explicit VR
             Little Endian

    Raises CannotEncode for a target that cannot hold these pixels, at the opening or at a frame.
    """

    def __init__(self, reader: FrameReader, scratch: BinaryIO, target: str = "") -> None:
        own = reader.form.transfer_syntax
        self._target = target or (own if can_encode(own) else EXPLICIT_LITTLE)
        coding = coding_of(self._target)
        if coding is None or not coding.encodes:
            raise CannotEncode(f"Pixels cannot be put into the transfer syntax {self._target}.")
        self._reader, self._file = reader, scratch
        self._family, self._method = coding.family, coding.method
        self._same = self._target == own
        self._meaning = reader.meaning(0)
        self._form = reader.form if self._same else _form_in(reader.form, self._meaning, self._target, coding.family)
        self._order: native.Order = ">" if self._target in (EXPLICIT_BIG, GE_PRIVATE_IMPLICIT) else "<"
        self._begin = scratch.tell()
        self._fragments = None if self._family is Family.NATIVE else Fragments(scratch, reader.form.frames)
        self._bits = np.empty(0, np.uint8)  # cells of one bit that do not fill a byte yet
        self._written = 0
        self._kept = self._touched = self._encoded_anew = self._had_lost = False

    def keep(self, number: int) -> None:
        """Write frame ``number`` as it is: its own bytes, where the transfer syntax stays the same."""
        self._is_next(number)
        self._kept = True
        if self._same and self._fragments is not None:
            self._fragments.add(self._reader.encoded(number))
        else:
            self._write(number, self._reader.frame(number))

    def put(self, number: int, frame: NDArray[Any]) -> None:
        """Write ``frame``, of the shape and in the colours of the reader's, in place of frame ``number``."""
        if frame.shape != self._form.shape:
            raise ValueError("a frame of another shape")
        self._is_next(number)
        self._touched = True
        self._write(number, frame)

    def finish(self) -> Recoded:
        """Complete the pixel data and return what becomes of the Data Set."""
        if self._written != self._form.frames:
            raise ValueError(f"{self._written} of {self._form.frames} frames were written")
        if self._fragments is None:
            put = [self._uncompressed()]
        else:
            bulk, tables = self._fragments.finish()
            put = [Element(PIXEL_DATA, "OB", bulk), *tables]
        old = self._reader.form
        if not self._kept and self._form.photometric == "YBR_ICT" and self._family in _WITH_TRANSFORM:
            self._form = replace(self._form, photometric="YBR_RCT")  # what exact streams turn colours by
        if self._form.photometric != old.photometric:
            name = self._form.photometric.encode("ascii")
            put.append(Element(_PHOTOMETRIC, "CS", name + b" " * (len(name) % 2)))
        if self._form.planar != old.planar:
            put.append(Element(_PLANAR, "US", b"\0\0"))
        put += said_of_loss(self._reader.original.dataset, self._losses())
        remove = (*_TABLES, *(_LEAST_AND_GREATEST if self._touched else ()))  # what was painted may be less or more
        return Recoded(tuple(put), remove, self._target)

    def _is_next(self, number: int) -> None:
        if number != self._written:
            raise ValueError(f"frame {number} comes before frame {self._written}")
        self._written += 1

    def _write(self, number: int, frame: NDArray[Any]) -> None:
        if self._reader.family is not Family.NATIVE:
            self._had_lost |= not self._reader.stream(number).lossless
        if self._fragments is None:
            self._write_cells(frame)
            return
        self._encoded_anew = True
        self._fragments.add(encoded(frame, self._form, self._family, self._manner(number, frame)))

    def _manner(self, number: int, frame: NDArray[Any]) -> Manner:
        meaning = self._reader.meaning(number)
        colours = "" if self._form.samples == 1 else "RGB" if meaning == "RGB" else "YBR"
        precision = precision_of(frame, self._form)
        if self._same:
            like = self._reader.stream(number)
            if fits(frame, like.precision, signed=self._form.signed):
                precision = like.precision
            return Manner(max(precision, like.precision), colours, like.turned, like.tables, like.sampling)
        if self._target == JPEG_BASELINE and precision > _BASELINE_BITS:
            raise CannotEncode("Baseline JPEG holds pixels of 8 bits.")
        if meaning != self._meaning:
            raise CannotEncode("Its frames are of different colours.")
        return Manner(precision, colours, turned=colours == "RGB", sampling="422" if colours else "444")

    def _write_cells(self, frame: NDArray[Any]) -> None:
        raw = native.packed(frame, self._form, order=self._order)
        if self._form.bits_allocated == 1:
            self._bits = np.concatenate((self._bits, np.frombuffer(raw, np.uint8)))
            whole = len(self._bits) // 8 * 8
            raw = np.packbits(self._bits[:whole], bitorder="little").tobytes()
            self._bits = self._bits[whole:].copy()
        self._file.write(raw)

    def _uncompressed(self) -> Element:
        self._file.write(np.packbits(self._bits, bitorder="little").tobytes())
        length = self._file.tell() - self._begin
        if length > _LONGEST:
            raise CannotEncode("Uncompressed, its pixels are longer than a value may be.")
        words = self._form.bits_allocated > 8 or syntax_of(self._target).implicit
        return Element(PIXEL_DATA, "OW" if words else "OB", Bulk(self._begin, length, source=self._file))

    def _losses(self) -> list[tuple[float, str]]:
        """Return the lossy steps that the Data Set does not tell of yet: one that it hides, and our own."""
        form, data = self._reader.form, self._reader.original.dataset
        whole = form.frames * form.cells * form.dtype.itemsize
        steps = []
        own = coding_of(form.transfer_syntax)
        if self._had_lost and own is not None and not is_told_lossy(data):
            steps.append((whole / max(1, self._reader.length), own.method))
        if self._encoded_anew and self._family is Family.JPEG:
            steps.append((whole / max(1, self._file.tell() - self._begin), self._method))
        return steps


def _form_in(form: PixelForm, meaning: str, target: str, family: Family) -> PixelForm:
    """Return the form of the same pixels in another transfer syntax; raises CannotEncode where there is none."""
    if family is not Family.NATIVE and form.bits_allocated == 1:
        raise CannotEncode(f"{family.value} is not encoded for cells of 1 bit.")
    if family is Family.JPEG and meaning == "PALETTE COLOR":
        raise CannotEncode("Lossy JPEG would change the numbers of a palette.")
    layout_stays = family is Family.NATIVE and is_native(form.transfer_syntax)
    if form.samples == 1 or layout_stays:
        return replace(form, transfer_syntax=target)
    if meaning == "YBR_PARTIAL":
        raise CannotEncode("YBR_PARTIAL colours have no name in this transfer syntax.")
    photometric = meaning
    if family is Family.JPEG and meaning == "YBR_FULL":
        photometric = "YBR_FULL_422"
    elif family in _WITH_TRANSFORM and meaning == "RGB":
        photometric = "YBR_RCT"
    return replace(form, transfer_syntax=target, photometric=photometric, planar=0)
