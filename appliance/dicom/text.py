"""Text values and their character sets. Source: PS3.5 Section 6.1, PS3.3 C.12.1.1.2, PS3.2 Annex D."""

from appliance.dicom.element import SPECIFIC_CHARACTER_SET, DataSet


def inherit_charsets(data_set: DataSet, charsets: tuple[str, ...]) -> None:
    """Set ``charsets`` here and in all items: an own Specific Character Set, else what holds outside."""
    own = data_set.elements.get(SPECIFIC_CHARACTER_SET)
    if own is not None and isinstance(own.value, bytes):
        charsets = charset_names(own.value)
    data_set.charsets = charsets
    for element in data_set.elements.values():
        if type(element.value) is list:
            for item in element.value:
                inherit_charsets(item, charsets)


def charset_names(value: bytes) -> tuple[str, ...]:
    """Return the values of Specific Character Set (0008,0005); an empty one alone is the default repertoire: ()."""
    names = tuple(name.strip(" \0") for name in value.decode("latin-1").split("\\"))
    return names if any(names) else ()
