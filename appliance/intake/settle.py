"""When an item has settled: pure, with the time given in.

An item has settled when two scans at least ``quiet_s`` apart saw the same files with the same sizes and times and
nothing else in between, or when the sender put a file READY. Something that never falls quiet (a modality that exports
an image each half minute, all day) would never be taken; so after ``patience_s`` those of its files that did settle
are taken without the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from appliance.intake.beneath import Parts
from appliance.intake.scan import Mark, Seen

PATIENCE = 10  # times the quiet time


@dataclass(slots=True)
class _Watched:
    first: float  # when files of it were first seen waiting
    quiet_since: float  # when anything of it last changed
    marks: dict[Parts, Mark]
    since: dict[Parts, float] = field(default_factory=dict)  # when each file last changed


@dataclass(frozen=True, slots=True)
class Settled:
    """An item, or the part of it, that may be taken now.

    files       in order of their names
    waited_s    since files of it were first seen
    whole       nothing of it is still changing
    """

    key: str
    files: tuple[Parts, ...]
    waited_s: float
    whole: bool


class Settling:
    """Watches one clinic's items over successive scans. Seconds are monotonic; the caller brings them.

    ready_s  the quiet time of an item in which something was changed after READY was put: somebody may be copying a
             folder, READY among the rest, or READY may be left from another day
    """

    def __init__(self, quiet_s: float, ready_s: float = 0.0) -> None:
        self._quiet_s = quiet_s
        self._ready_s = min(ready_s, quiet_s)
        self._patience_s = PATIENCE * quiet_s
        self._items: dict[str, _Watched] = {}

    def update(self, now: float, found: Mapping[str, Seen]) -> list[Settled]:
        """Compare with the scan before; return what has settled, longest waiting first.

        An item stays settled, and is returned again, until its files are gone or changed.
        """
        self._items = {key: item for key, item in self._items.items() if key in found and found[key].files}
        settled = []
        for key, seen in found.items():
            if not seen.files:
                continue
            item = self._compare(key, seen, now)
            ready = self._ready(key, seen, item, now)
            if ready is not None:
                settled.append(ready)
        return sorted(settled, key=lambda item: -item.waited_s)

    def put_back(self, key: str, files: tuple[Parts, ...], now: float) -> None:
        """These changed while they were read: their quiet time begins anew."""
        item = self._items.get(key)
        if item is not None:
            item.quiet_since = now
            item.since.update(dict.fromkeys(files, now))

    def begin_anew(self, key: str, now: float) -> None:
        """Its settled files were taken up: whatever else comes is given the full patience again."""
        item = self._items.get(key)
        if item is not None:
            item.first = now

    def oldest_s(self, now: float) -> float:
        """Return for how long the longest waiting item has been seen; 0 without any."""
        return max((now - item.first for item in list(self._items.values())), default=0.0)

    def __len__(self) -> int:
        return len(self._items)

    def _compare(self, key: str, seen: Seen, now: float) -> _Watched:
        marks = {**seen.files, **seen.unfinished}
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Watched(now, now, marks, dict.fromkeys(seen.files, now))
            return item
        if marks != item.marks:
            item.quiet_since = now
            item.since = {
                parts: item.since[parts] if parts in item.since and item.marks.get(parts) == mark else now
                for parts, mark in seen.files.items()
            }
            item.marks = marks
        return item

    def _ready(self, key: str, seen: Seen, item: _Watched, now: float) -> Settled | None:
        waited = now - item.first
        # ">" for the first scan: with a quiet time of 0, two equal scans are still asked for.
        wanted = self._quiet_s if seen.ready_file is None else self._ready_s
        quiet = now - item.quiet_since >= wanted and now > item.quiet_since
        if quiet or seen.ready is not None:
            return Settled(key, tuple(sorted(seen.files)), waited, whole=True)
        if waited < self._patience_s or waited == 0:
            return None
        still = tuple(sorted(f for f in seen.files if now - item.since[f] >= self._quiet_s and now > item.since[f]))
        # What left it meanwhile was a change of the item, but of nothing that is still there.
        whole = len(still) == len(seen.files) and not seen.unfinished
        return Settled(key, still, waited, whole=whole) if still else None
