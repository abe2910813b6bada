"""Another transfer syntax for a result: its pixels decoded and encoded, its numbers turned. Source: PS3.5 Annex A."""

from collections.abc import Callable
from typing import BinaryIO

from appliance.deid.plan import dictionary_vrs
from appliance.dicom.byte_order import turned
from appliance.dicom.codec.families import can_decode, can_encode, is_native
from appliance.dicom.codec.reader import FrameReader
from appliance.dicom.codec.writer import FrameWriter, Recoded
from appliance.dicom.element import PIXEL_DATA, Bulk, DataSet, Element, walk
from appliance.dicom.part10 import Part10
from appliance.dicom.syntaxes import DEFLATED_LITTLE, EXPLICIT_LITTLE, GE_PRIVATE_IMPLICIT, IMPLICIT_LITTLE, syntax_of
from appliance.errors import CannotEncode

_WITHOUT_CODEC = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE})
_PIXEL_REPRESENTATION = 0x00280103
_SIGNED = b"\x01\x00"

Scratch = Callable[[], BinaryIO]  # gives an empty file, which lives as long as the result is wanted


def can_transcode(source: str, target: str) -> bool:
    """Whether a Data Set can go from one transfer syntax to the other, as far as the syntaxes say."""
    if target == GE_PRIVATE_IMPLICIT:
        return source == target
    return source == target or (can_decode(source) and can_encode(target))


def transcoded(data: DataSet, source: str, target: str, file: BinaryIO, scratch: Scratch) -> tuple[DataSet, str]:
    """Return ``data``, which is in the transfer syntax ``source``, as it is to be written in ``target``, and in which.

    That is ``target``, but for a compressed one and a Data Set with nothing to compress: Explicit VR Little Endian.

    file     what its Bulk values without a source of their own refer to
    scratch  for new pixel data and for large values whose numbers are turned

    Every pixel stays, but in lossy JPEG, and then the Data Set says so. May change ``data``. Raises CannotDecode,
    CannotEncode or Malformed, and then there is no result.
    """
    if PIXEL_DATA not in data and syntax_of(target).encapsulated:
        target = EXPLICIT_LITTLE
    if syntax_of(source).implicit:
        told_vrs(data)
    recoded = None
    if PIXEL_DATA in data and not {source, target} <= _WITHOUT_CODEC:
        recoded = _recoded(data, source, target, file, scratch)
        data.remove(PIXEL_DATA)
    if is_native(target):
        _check_images_within(data)
    if syntax_of(source).little_endian != syntax_of(target).little_endian:
        data = turned(data, file, scratch)
    if recoded is not None:
        recoded.apply(data)
    return data, target


def _recoded(data: DataSet, source: str, target: str, file: BinaryIO, scratch: Scratch) -> Recoded:
    reader = FrameReader(Part10(b"", DataSet(), data, source, 0, file))
    writer = FrameWriter(reader, scratch(), target)
    for number in range(reader.form.frames):
        writer.keep(number)
    return writer.finish()


def _check_images_within(data: DataSet) -> None:
    """Refuse an image within a sequence that is compressed: where nothing else is, that is not allowed."""
    for holder, element in walk(data):
        if holder is not data and isinstance(element.value, Bulk) and element.value.encapsulated:
            raise CannotEncode("An image within a sequence is compressed, which the transfer syntax does not allow.")


def told_vrs(data_set: DataSet, *, signed: bool = False) -> None:
    """Write down, in a Data Set that came without VRs, which of US and SS is meant: Pixel Representation says it.

    Changes ``data_set``. signed: what holds outside of an item. Source: PS3.5 Annex A.1, PS3.3 C.7.6.3.1
    """
    element = data_set.get(_PIXEL_REPRESENTATION)
    if element is not None and element.value:
        signed = element.value == _SIGNED
    for element in list(data_set):
        for item in element.items:
            told_vrs(item, signed=signed)
        if signed and element.vr == "US" and "SS" in dictionary_vrs(element.tag):
            data_set.put(Element(element.tag, "SS", element.value))
