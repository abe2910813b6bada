"""Another transfer syntax, where that needs no codec: between the native little endian ones. Source: PS3.5 Annex A."""

from appliance.deid.plan import dictionary_vrs
from appliance.dicom.element import DataSet, Element
from appliance.dicom.syntaxes import DEFLATED_LITTLE, EXPLICIT_LITTLE, IMPLICIT_LITTLE

_WITHOUT_CODEC = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE})
_PIXEL_REPRESENTATION = 0x00280103
_SIGNED = b"\x01\x00"


def can_transcode(source: str, target: str) -> bool:
    """Whether a Data Set can go from one transfer syntax to the other without its pixels being decoded."""
    return source == target or {source, target} <= _WITHOUT_CODEC


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
