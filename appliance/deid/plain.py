"""An element's bytes as plain values, for whoever compares and replaces them."""

from appliance.dicom.element import DataSet, Element
from appliance.dicom.text import decode


def value_of(element: Element) -> bytes:
    """Return the bytes of an element that is neither sequence nor bulk."""
    return element.value if isinstance(element.value, bytes) else b""


def latin(value: object) -> str:
    """Return an element's bytes as text, one character a byte, padding stripped; "" for anything but bytes."""
    return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else ""


def patient_number(element: Element | None, source: DataSet) -> str:
    """Return a Patient ID as text: padding stripped, leading zeros kept. "" without one."""
    if element is None or not isinstance(element.value, bytes):
        return ""
    text, exact = decode(element.value, element.vr, source.charsets)
    # Bytes that are not of their character set stay distinct, whatever they were meant to say: no two patients meet.
    return (text if exact else element.value.decode("latin-1")).strip(" \0")
