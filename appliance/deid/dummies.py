"""Values that mean nothing, for where a value must stand: one for each VR, the same for everyone."""

from appliance.dicom.element import Tag

WORD = b"REMOVED"

_BY_VR = {
    "AE": WORD,
    "AS": b"000D",
    "AT": b"\0\0\0\0",
    "CS": WORD,
    "DA": b"19000101",
    "DS": b"0",
    "DT": b"19000101000000",
    "FD": bytes(8),
    "FL": bytes(4),
    "IS": b"0",
    "LO": WORD,
    "LT": WORD,
    "OB": bytes(2),
    "OD": bytes(8),
    "OF": bytes(4),
    "OL": bytes(4),
    "OV": bytes(8),
    "OW": bytes(2),
    "PN": WORD,
    "SH": WORD,
    "SL": bytes(4),
    "SS": bytes(2),
    "ST": WORD,
    "SV": bytes(8),
    "TM": b"000000",
    "UC": WORD,
    "UL": bytes(4),
    "UN": WORD,
    "UR": b"urn:removed",
    "US": bytes(2),
    "UT": WORD,
    "UV": bytes(8),
}

# Where PS3.3 allows certain values only, a word of ours would be an error.
_BY_TAG: dict[Tag, bytes] = {
    0x00100040: b"O",  # Patient's Sex: F, M, O
    0x00102203: b"UNALTERED",  # Patient's Sex Neutered: ALTERED, UNALTERED
}


def dummy(tag: Tag, vr: str) -> bytes:
    """Return a non-empty value, padded to an even length, that is valid for the VR and identifies nobody."""
    value = _BY_TAG.get(tag) or _BY_VR[vr]
    return padded(value, vr)


def padded(value: bytes, vr: str) -> bytes:
    """Return ``value`` with an even length. Source: PS3.5 Section 6.2."""
    if len(value) % 2 == 0:
        return value
    return value + (b"\0" if vr in ("UI", "OB", "UN") else b" ")
