"""Clean Graphics: what was drawn on an image stays, unless it can be handwriting. Source: PS3.15 E.3.3, PS3.3 C.10.5.

Points, circles, ellipses, closed outlines and lines of a few points (a distance, an angle) say nothing in letters. An
open line of many points may be a name written by hand.
"""

from appliance.dicom.element import DataSet

MOST_POINTS = 8  # of an open line
_TYPE, _DATA = 0x00700023, 0x00700022
_SHAPES = frozenset({b"POINT", b"CIRCLE", b"ELLIPSE"})
_LINES = frozenset({b"POLYLINE", b"INTERPOLATED"})
_COORDINATE = 4  # bytes of a value of VR FL


def is_no_writing(graphic: DataSet) -> bool:
    """Whether a Graphic Object's (or a compound one's) points cannot be handwriting."""
    kind, data = _bytes(graphic, _TYPE).strip(b" \0"), _bytes(graphic, _DATA)
    if kind in _SHAPES:
        return True
    point = 2 * _COORDINATE
    return kind in _LINES and (len(data) <= MOST_POINTS * point or data[:point] == data[-point:])


def _bytes(data_set: DataSet, tag: int) -> bytes:
    element = data_set.get(tag)
    return element.value if element is not None and isinstance(element.value, bytes) else b""
