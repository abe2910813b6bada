"""The transfer syntax of a Data Set that no File Meta announces, worked out from its first element."""

from typing import BinaryIO

from appliance.dicom import syntaxes
from appliance.dicom.dictionary import is_known, vr_of
from appliance.dicom.element import Tag
from appliance.dicom.encoding import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE, LONG_VRS, SHORT_VRS, Encoding
from appliance.errors import NotDicom

_SIZES = {"UL": 4, "US": 2, "SS": 2, "SL": 4, "FL": 4, "FD": 8, "AT": 4}  # bytes of one value
_LONGEST = {"UI": 64, "CS": 16, "DA": 8, "TM": 16, "SH": 16, "AE": 16, "LO": 64}  # at least one value is within twice


def guessed_syntax(file: BinaryIO, at: int) -> str:
    """Return the UID of the transfer syntax in which the bytes at ``at`` begin a Data Set; raises NotDicom if none.

    One element decides: it must be in the dictionary, with its VR or a possible length. Of a million files of
    chance about one would pass.
    """
    size = file.seek(0, 2)
    file.seek(at)
    head = file.read(12)
    if len(head) >= 8:
        for uid, encoding in _CANDIDATES:
            if _begins(head, encoding, size - at):
                return uid
    raise NotDicom("The file begins neither with File Meta nor with an element of a Data Set.")


_CANDIDATES = (
    (syntaxes.EXPLICIT_LITTLE, EXPLICIT_LITTLE),
    (syntaxes.EXPLICIT_BIG, EXPLICIT_BIG),
    (syntaxes.IMPLICIT_LITTLE, IMPLICIT_LITTLE),
)


def _begins(head: bytes, encoding: Encoding, size: int) -> bool:
    group, number, length = encoding.plain.unpack_from(head)
    tag: Tag = group << 16 | number
    if group < 4 or not (is_known(tag) or number == 0):
        return False  # commands (0000) and File Meta (0002) begin no Data Set
    vr = vr_of(tag)
    if not encoding.implicit:
        code = head[4:6]
        if code in LONG_VRS:
            return True
        if code not in SHORT_VRS:
            return False
        vr = SHORT_VRS[code]
        length = encoding.short.unpack_from(head)[3]
    if length > size - 8 or length % _SIZES.get(vr, 1):
        return False
    return bool(length <= 2 * _LONGEST.get(vr, size))
