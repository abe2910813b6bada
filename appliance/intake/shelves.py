"""Where the clinic's files go when they are dealt with: ``_processed`` or ``_failed``, by date and item.

A file is moved only after its original is durable, or its refusal is noted. The moves themselves need not be durable:
a file that is back after a power cut is taken once more and known by its bytes.
"""

import logging
from collections.abc import Callable

from appliance.intake.beneath import Beneath, Parts
from appliance.intake.receipts import folder_of
from appliance.intake.refusals import NotTaken, Refusal
from appliance.intake.scan import FAILED, LOOSE, PROCESSED, UNENTERED, Mark, Seen, mark_of
from appliance.intake.tally import LITTER, REFUSED, Fate, Tally

log = logging.getLogger(__name__)


class Shelves:
    """Puts one clinic's files away.

    keeps    whether taken files are kept in _processed; else they are removed
    quiet_s  an emptied folder goes when nobody has touched it for this long
    """

    def __init__(
        self, clinic: Beneath, source: str, monotonic: Callable[[], float], *, keeps: bool, quiet_s: float
    ) -> None:
        self._clinic = clinic
        self._source = source
        self._monotonic = monotonic
        self._keeps = keeps
        self._quiet_s = quiet_s
        self._unmoved: dict[Parts, tuple[Mark, Parts]] = {}  # dealt with, but could not be moved to there
        self._emptied: dict[str, tuple[float, dict[Parts, int]]] = {}  # folders that we emptied, by item

    @property
    def unmoved(self) -> int:
        """How many files were dealt with and could not be moved out of the way."""
        return len(self._unmoved)

    def put_away(self, parts: Parts, mark: Mark, tally: Tally, *, failed: bool) -> bool:
        """Move a file that was dealt with; one that cannot be moved is remembered, so that it is not taken again.

        Return False, and touch nothing, if another lies under its name by now: that one was read by nobody.
        """
        target = _target(FAILED if failed else PROCESSED, parts, tally)
        if mark == UNENTERED:  # it stays where it is
            self._unmoved[parts] = (mark, target)
            return True
        try:
            if mark_of(self._clinic.state(parts)) != mark:
                return False
            self._move(parts, target)
        except FileNotFoundError:
            return True
        except (OSError, NotTaken) as error:
            if not self._unmoved:
                log.warning(
                    "a file was dealt with but cannot be moved away; it is not taken again while the appliance runs; "
                    "check the owner and rights of the clinic's folder",
                    extra={"source": self._source, "item": tally.number, "problem": type(error).__name__},
                )
            self._unmoved[parts] = (mark, target)
        return True

    def set_unmoved_aside(self, found: dict[str, Seen]) -> None:
        """Leave out of a scan what was dealt with already; try to move it away once more."""
        still = {}
        for parts, (mark, target) in self._unmoved.items():
            seen = found.get(parts[0]) or found.get(LOOSE) or Seen()
            if seen.files.get(parts) != mark:
                continue  # gone, or a new file of the same name
            del seen.files[parts]
            try:
                if mark != UNENTERED:
                    self._move(parts, target)
                    continue
            except OSError:
                pass
            still[parts] = (mark, target)
        self._unmoved = still

    def clear(self, tally: Tally, seen: Seen) -> None:
        """Move what is no image, READY and litter, out of an item's folder too, so that the folder can go."""
        aside = [parts for parts in seen.litter if len(parts) > 1]
        for parts in aside:
            tally.note("/".join(parts), Fate(LITTER))
        for parts in seen.too_deep:
            tally.note("/".join(parts), Fate(REFUSED, Refusal.TOO_DEEP.value))
        for parts in [*aside, *([seen.ready_file] if seen.ready_file else [])]:
            try:
                self._clinic.move(parts, _target(PROCESSED, parts, tally))
            except OSError:
                continue  # gone, or not ours to move: the folder stays
        if seen.folders:
            self._emptied[tally.key] = (self._monotonic(), {})

    def remove_emptied(self, found: dict[str, Seen]) -> None:
        """Remove folders that we emptied, once nobody has touched them for a quiet time.

        Not at once: a sender may just have looked whether the folder is there, and be about to write into it.
        """
        for key, (since, before) in list(self._emptied.items()):
            seen = found.get(key)
            if seen is None or seen.files or seen.unfinished:
                del self._emptied[key]
            elif before != seen.folders:
                self._emptied[key] = (self._monotonic(), dict(seen.folders))
            elif self._monotonic() - since >= self._quiet_s:
                for parts in sorted(seen.folders, key=len, reverse=True):
                    self._clinic.remove_folder(parts)
                del self._emptied[key]

    def _move(self, parts: Parts, target: Parts) -> None:
        if target[0] == PROCESSED and not self._keeps:
            self._clinic.remove(parts)
        else:
            self._clinic.move(parts, target)


def _target(shelf: str, parts: Parts, tally: Tally) -> Parts:
    inner = parts[1:] if len(parts) > 1 else parts
    return (shelf, tally.date, folder_of(tally), *inner)
