"""The data dictionary: tag, keyword and VR of the public elements, repeating groups included. Source: PS3.6.

The facts are pydicom's tables; here they are asked for by number, fast enough for every element of every instance.
"""

from functools import lru_cache

from pydicom.datadict import DicomDictionary, RepeatersDictionary  # type: ignore[attr-defined]  # not in __all__

from appliance.dicom.element import Tag, is_private, is_private_creator

# Where the dictionary leaves a choice, what implicit VR means: OW by PS3.5 A.1; unsigned, until something says signed.
_CHOSEN = {"OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW", "US or SS": "US", "NONE": "UN"}

VR_BY_TAG: dict[Tag, str] = {tag: _CHOSEN.get(entry[0], entry[0]) for tag, entry in DicomDictionary.items()}
_TAG_BY_KEYWORD: dict[str, Tag] = {entry[4]: tag for tag, entry in DicomDictionary.items() if entry[4]}
_REPEATERS = tuple(
    (
        int("".join("0" if digit == "x" else "F" for digit in mask), 16),  # which digits count
        int(mask.replace("x", "0"), 16),
        _CHOSEN.get(entry[0], entry[0]),
        entry[4],
    )
    for mask, entry in RepeatersDictionary.items()
)
_REPEATER_BY_KEYWORD = {keyword: (mask, digits) for mask, digits, _, keyword in _REPEATERS if keyword}

KEYWORDS = (*_TAG_BY_KEYWORD, *_REPEATER_BY_KEYWORD)


@lru_cache(maxsize=4096)
def _repeater(tag: Tag) -> tuple[str, str] | None:
    """Return VR and keyword of an element of a repeating group (50xx, 60xx, 0020,31xx ...), or None."""
    for mask, digits, vr, keyword in _REPEATERS:
        if tag & mask == digits:
            return vr, keyword
    return None


def vr_of(tag: Tag) -> str:
    """Return the two letters for ``tag``; "UN" for what only its maker knows.

    Group lengths are UL, private creators LO, in every group. A choice of the dictionary (US or SS, OB or OW) is
    answered as implicit VR means it: PS3.5 A.1.
    """
    vr = VR_BY_TAG.get(tag)
    if vr is not None:
        return vr
    if tag & 0xFFFF == 0:
        return "UL"
    if is_private(tag):
        return "LO" if is_private_creator(tag) else "UN"
    repeated = _repeater(tag)
    return repeated[0] if repeated else "UN"


def is_known(tag: Tag) -> bool:
    """Whether the dictionary lists this public element, by itself or as one of a repeating group."""
    return tag in VR_BY_TAG or (not is_private(tag) and _repeater(tag) is not None)


def keyword_of(tag: Tag) -> str:
    """Return the keyword; "" for private and unknown elements."""
    entry = DicomDictionary.get(tag)
    if entry is not None:
        return str(entry[4])
    repeated = None if is_private(tag) else _repeater(tag)
    return repeated[1] if repeated else ""


def tag_of(keyword: str) -> Tag | None:
    """Return the tag of a keyword (case counts), or None; for a repeating group, the tag of its first group."""
    tag = _TAG_BY_KEYWORD.get(keyword)
    if tag is None and keyword in _REPEATER_BY_KEYWORD:
        return _REPEATER_BY_KEYWORD[keyword][1]
    return tag


def repeating(keyword: str) -> tuple[int, int] | None:
    """Return (mask, digits) of a keyword in a repeating group: ``tag & mask == digits``; None for all others."""
    return _REPEATER_BY_KEYWORD.get(keyword)
