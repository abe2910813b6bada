"""The backups in a folder: their names, which are kept, and whether they still are what was written.

    <site>-<moment, UTC>.age            a sealed backup
    <site>-<moment, UTC>.age.sha256     its digest, as sha256sum writes and checks it

Only files of such names are looked at or removed; what else lies there is somebody else's.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from appliance.keeping import Backup
from appliance.mapping.sealed import digest, private, sync

_MOMENT = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup that lies in the folder. ``made``: POSIX seconds, from its name."""

    file: Path
    made: float

    @property
    def digest_file(self) -> Path:
        """Where its digest lies."""
        return self.file.with_name(f"{self.file.name}.sha256")


def named(folder: Path, site: str, now: float) -> Path:
    """Return the name of a backup made now."""
    return folder / f"{site}-{datetime.fromtimestamp(now, UTC).strftime(_MOMENT)}.age"


def kept(folder: Path, site: str) -> list[Kept]:
    """Return the site's backups, the newest first."""
    name = re.compile(rf"{re.escape(site)}-([0-9]{{8}}T[0-9]{{6}}Z)\.age")
    found = []
    for file in folder.iterdir():
        matched = name.fullmatch(file.name)
        if matched is not None and file.is_file() and not file.is_symlink():
            made = datetime.strptime(matched[1], _MOMENT).replace(tzinfo=UTC)
            found.append(Kept(file, made.timestamp()))
    return sorted(found, key=lambda each: each.made, reverse=True)


def too_many(found: Iterable[Kept], wanted: Backup) -> list[Kept]:
    """Return those that need not be kept: not the newest of one of the last days, weeks or months that have one.

    The newest of all is always kept. Days, ISO weeks and months are of UTC.
    """
    newest_first = sorted(found, key=lambda each: each.made, reverse=True)
    keep = set(newest_first[:1])
    periods: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (wanted.daily, lambda at: at.date()),
        (wanted.weekly, lambda at: at.isocalendar()[:2]),
        (wanted.monthly, lambda at: (at.year, at.month)),
    )
    for count, period in periods:
        newest: dict[object, Kept] = {}
        for each in newest_first:
            newest.setdefault(period(datetime.fromtimestamp(each.made, UTC)), each)
        keep.update(list(newest.values())[:count])
    return [each for each in newest_first if each not in keep]


def remember_digest(backup: Path, sha256: str) -> None:
    """Write the digest of a backup beside it, durably."""
    beside = Kept(backup, 0.0).digest_file
    beside.unlink(missing_ok=True)
    with private(beside) as file:
        file.write(f"{sha256}  {backup.name}\n".encode())
        file.flush()
    sync(backup.parent)


def damaged(found: Iterable[Kept]) -> list[Path]:
    """Return the backups that are not what was written, or of which nobody knows."""
    return [each.file for each in found if not _is_as_written(each)]


def remove(each: Kept) -> None:
    """Remove a backup and its digest."""
    each.file.unlink(missing_ok=True)
    each.digest_file.unlink(missing_ok=True)


def _is_as_written(each: Kept) -> bool:
    try:
        known = each.digest_file.read_text(encoding="ascii").split()
        return len(known) == 2 and known[0] == digest(each.file)
    except (OSError, ValueError):
        return False
