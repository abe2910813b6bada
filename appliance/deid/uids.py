"""Which UIDs name things of this patient, and which name things of the Standard that everyone shares."""

import re

from appliance.dicom.element import Tag
from appliance.dicom.registry import registered

# UIDs that say what kind of thing something is. They stay, private ones of vendors included.
CLASS_ROLES: frozenset[Tag] = frozenset(
    {
        0x00080016,  # SOP Class UID
        0x0008001A,  # Related General SOP Class UID
        0x0008001B,  # Original Specialized SOP Class UID
        0x00080062,  # SOP Classes in Study
        0x0008010C,  # Coding Scheme UID
        0x00080117,  # Context UID
        0x00080118,  # Mapping Resource UID
        0x0008040E,  # Stored Instance Transfer Syntax UID
        0x00081150,  # Referenced SOP Class UID
        0x0008115A,  # SOP Classes Supported
        0x00083002,  # Available Transfer Syntax UID
        0x00340003,  # Flow Transfer Syntax UID
        0x04000010,  # MAC Calculation Transfer Syntax UID
        0x30100052,  # Pertinent SOP Classes in Study
        0x30100053,  # Pertinent SOP Classes in Series
    }
)

_FORM = re.compile(r"[0-2](?:\.\d+)+")


def is_uid(text: str) -> bool:
    """Whether ``text`` has the form of a UID; leading zeros, though forbidden, are met and let pass."""
    return len(text) <= 64 and _FORM.fullmatch(text) is not None


def is_well_known(uid: str) -> bool:
    """Whether the Standard itself has registered ``uid`` (PS3.6 Annex A): it names nobody's data.

    Membership, not the prefix 1.2.840.10008 alone: anyone can write digits behind a prefix.
    """
    return registered(uid) is not None
