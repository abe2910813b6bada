"""UIDs that the Standard has registered, with their names. Source: PS3.6 Table A-1.

Never pydicom's dictionary itself: pynetdicom 3.0 writes into it when it is imported, so that what one process takes for
registered another does not. What pydicom 3.0 does not have yet stands here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from pydicom.uid import UID_dictionary  # type: ignore[attr-defined]  # not in __all__

TRANSFER_SYNTAX: Final = "Transfer Syntax"


@dataclass(frozen=True, slots=True)
class Registered:
    """A registered UID. ``kind`` is "Transfer Syntax", "SOP Class" and so on; ``retired`` "Retired" or ""."""

    uid: str
    name: str
    kind: str
    retired: str = ""


NEWER: Final[Mapping[str, Registered]] = MappingProxyType(
    {
        uid: Registered(uid, name, TRANSFER_SYNTAX)
        for uid, name in (
            ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
            ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"),
            ("1.2.840.10008.1.2.4.112", "JPEG XL"),
            ("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression"),
        )
    }
)


def registered(uid: str) -> Registered | None:
    """Return what the Standard has registered under ``uid``; None if it has not."""
    if uid in NEWER:
        return NEWER[uid]
    entry = UID_dictionary.get(uid)
    return None if entry is None else Registered(uid, entry[0], entry[1], entry[3])


def all_registered() -> Iterator[Registered]:
    """Yield every registered UID, sorted."""
    for uid in sorted(UID_dictionary.keys() | NEWER.keys()):
        found = registered(uid)
        if found is not None:
            yield found
