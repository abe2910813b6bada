"""Following the audit file: the lines after a place in it, and whether it is still the file that it was."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Final

from appliance.spool.files import open_regular

LARGEST: Final = 1024 * 1024  # bytes that are read at once; no line of ours is nearly as long


@dataclass(frozen=True, slots=True)
class Place:
    """How far the file was followed: ``offset`` bytes; ``size`` and ``digest`` (SHA-256, hex) of the last line."""

    offset: int = 0
    size: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line. ``at``: POSIX seconds. One that cannot be read has ``what`` "" and the moment of whoever reads it."""

    at: float
    who: str = ""
    what: str = ""
    about: str = ""
    hash: str = ""
    address: str = ""  # of whoever asked over the network, "" where it is not known


@dataclass(frozen=True, slots=True)
class Followed:
    """Lines after a place, and where they end.

    is_new  the file is not the one that was followed (replaced, cut, gone): ``place`` is its front
    """

    lines: list[Line]
    place: Place
    is_new: bool = False


def follow(file: Path, place: Place, most: int, now: float) -> Followed:
    """Return at most ``most`` whole lines after ``place``. Raises OSError or Unsafe when the file cannot be read."""
    try:
        body = open_regular(file)
    except FileNotFoundError:
        return Followed([], Place(), is_new=place.offset > 0)
    with body:
        if not _is_there(body, place):
            return Followed([], Place(), is_new=True)
        read = os.pread(body.fileno(), LARGEST, place.offset)
    # Half a line is being written, or was left by a power cut and goes with the next one.
    whole = [text + b"\n" for text in read.split(b"\n")[:-1]][:most]
    if not whole and len(read) == LARGEST:
        whole = [read]  # no line of ours: what cannot be read is told, and passed
    if not whole:
        return Followed([], place)
    after = place.offset + sum(map(len, whole))
    last = whole[-1]
    return Followed([_line(text, now) for text in whole], Place(after, len(last), sha256(last).hexdigest()))


def end_of(file: Path) -> Place:
    """Return the place after the last whole line."""
    try:
        with open_regular(file) as body:
            size = os.fstat(body.fileno()).st_size
            start = max(0, size - LARGEST)
            tail = os.pread(body.fileno(), LARGEST, start)
    except FileNotFoundError:
        return Place()
    whole = tail[: tail.rfind(b"\n") + 1]
    last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
    return Place(start + len(whole), len(last), sha256(last).hexdigest()) if whole else Place()


def _is_there(body: BinaryIO, place: Place) -> bool:
    last = os.pread(body.fileno(), place.size, place.offset - place.size) if place.size else b""
    return place.offset == 0 or (len(last) == place.size and sha256(last).hexdigest() == place.digest)


def _line(text: bytes, now: float) -> Line:
    try:
        found = json.loads(text)
        at = datetime.fromisoformat(found["at"]).timestamp()
        return Line(at, *(_text(found, name) for name in ("who", "what", "about", "hash", "address")))
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return Line(now)


def _text(found: Mapping[str, object], name: str) -> str:
    return str(found.get(name, ""))
