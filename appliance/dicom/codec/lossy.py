"""What an image says of its loss. Source: PS3.3 C.7.6.1.1.5 (Lossy Image Compression)."""

from appliance.dicom.element import DataSet, Element, Tag

_LOSSY, _RATIO, _METHOD = 0x00282110, 0x00282112, 0x00282114


def said_of_loss(data: DataSet, steps: list[tuple[float, str]]) -> tuple[Element, ...]:
    """Return the elements that tell of lossy steps besides those that ``data`` tells of already.

    steps  ratio and method of each, in order; several values stand in the order of the steps
    """
    if not steps:
        return ()
    ratios, methods = _values(data, _RATIO), _values(data, _METHOD)
    return (
        Element(_LOSSY, "CS", b"01"),
        Element(_RATIO, "DS", _even([*ratios, *(f"{ratio:.4g}" if ratio < 1e6 else "999999" for ratio, _ in steps)])),
        Element(_METHOD, "CS", _even([*methods, *(method for _, method in steps)])),
    )


def is_told_lossy(data: DataSet) -> bool:
    """Whether the Data Set says that it has lost something."""
    return _values(data, _LOSSY) == ["01"]


def _values(data: DataSet, tag: Tag) -> list[str]:
    element = data.get(tag)
    value = element.value if element is not None and isinstance(element.value, bytes) else b""
    return [part.strip(" \0") for part in value.decode("latin-1").split("\\")] if value.strip(b" \0") else []


def _even(values: list[str]) -> bytes:
    text = "\\".join(values).encode("latin-1", "replace")
    return text + b" " * (len(text) % 2)
