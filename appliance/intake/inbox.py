"""One clinic's folder: what has settled is taken, file by file, moved out of the way, and told in a receipt.

A file leaves its place only after its original is durable in the house (or after its refusal is noted), so a crash at
any moment loses nothing: what was taken and not yet moved is taken again, and known by its bytes.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from appliance.config import Inbox
from appliance.errors import SpoolFull
from appliance.intake import receipts, tally
from appliance.intake.beneath import Beneath, Parts
from appliance.intake.follow_up import FollowUp, Ledger
from appliance.intake.inbox_observed import InboxObserved, Standing
from appliance.intake.refusals import NotTaken, Refusal
from appliance.intake.scan import FAILED, OURS, PROCESSED, RECEIPTS, Mark, Seen, look
from appliance.intake.settle import Settled, Settling
from appliance.intake.taking import Ending, Interrupted, ReadFailed, Taker
from appliance.intake.tally import LITTER, REFUSED, TAKEN, Fate, Tally
from appliance.model import Provenance

log = logging.getLogger(__name__)

DUTY = 20  # a scan may take one part in so many of the time
SHORTEST_S = 0.05  # between scans, however often events wake
RETRY_S = 2.0  # after a failure, doubling
LONGEST_RETRY_S = 60.0
MOST_READ_FAILURES = 3  # of one file, until it is refused instead of being tried again


@dataclass(frozen=True, slots=True)
class Clinic:
    """A clinic's folder and who its images come from.

    name     of the folder: known in the folder itself and in the provenance only
    source   closed label
    """

    name: str
    folder: Path
    source: str
    project: str


class ItemWaits(Exception):
    """The item cannot go on now; nothing of it is lost. ``str()`` says why and what to do."""


class Retries:
    """Until when something that failed is left alone: doubling, up to LONGEST_RETRY_S."""

    def __init__(self) -> None:
        self._pause = RETRY_S
        self._until = float("-inf")

    @property
    def failing(self) -> bool:
        return self._until != float("-inf")

    def failed(self, now: float) -> None:
        self._until = now + self._pause
        self._pause = min(self._pause * 2, LONGEST_RETRY_S)

    def worked(self) -> None:
        self._pause, self._until = RETRY_S, float("-inf")

    def waits(self, now: float) -> bool:
        return now < self._until


class ClinicInbox:
    """Looks after one clinic's folder; ``step`` is called again and again, by one thread at a time.

    monotonic  seconds, for durations; clock: aware UTC, for dates
    stopping   asked between files: true ends the step soon, with the item left open for the next start
    """

    def __init__(
        self,
        clinic: Clinic,
        config: Inbox,
        taker: Taker,
        ledger: Ledger,
        *,
        monotonic: Callable[[], float],
        clock: Callable[[], datetime],
        observed: InboxObserved | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self.clinic = clinic
        self._config = config
        self._taker = taker
        self._ledger = ledger
        self._monotonic = monotonic
        self._clock = clock
        self._observed = observed or InboxObserved()
        self._stopping = stopping
        self._below = Beneath(clinic.folder)
        self._settling = Settling(config.quiet_s)
        self._follow_up = FollowUp(self._below, ledger, monotonic)
        self._open: dict[str, Tally] | None = None  # by key; None until the folder was first reached
        self._unmoved: dict[Parts, tuple[Mark, Parts]] = {}  # dealt with, but could not be moved to there
        self._emptied: dict[str, dict[Parts, int]] = {}  # folders of items that were taken, to be removed when quiet
        self._read_failures: dict[Parts, int] = {}
        self._reach = Retries()
        self._work = Retries()
        self._next_scan = float("-inf")
        self._active = 0
        self._emptied_at = 0.0

    def wake(self) -> None:
        """Something happened here: look soon. May be called from any thread."""
        self._next_scan = min(self._next_scan, self._monotonic() + SHORTEST_S)

    @property
    def standing(self) -> Standing:
        """How things stand here. May be asked from any thread."""
        return Standing(
            items=len(self._settling),
            active=self._active,
            lag_s=self._settling.oldest_s(self._monotonic()),
            unreachable=int(self._reach.failing or self._work.failing),
            unmoved=len(self._unmoved),
        )

    def step(self) -> bool:
        """Look, take what has settled, bring receipts up to date; return whether anything was taken."""
        now = self._monotonic()
        if now < self._next_scan or self._reach.waits(now):
            return False
        try:
            found = self._look(now)
        except OSError as error:
            self._lost_sight(now, error)
            return False
        return self._take_settled(found, self._monotonic())

    def housekeep(self) -> None:
        """Bring some receipts up to date and remove what is older than the site keeps; unreachable: nothing."""
        if self._reach.failing or self._open is None:
            return
        try:
            self._follow_up.step(self._clock())
            self._follow_up.purge(self._clock().date(), self._config.processed_days)
        except OSError as error:
            self._lost_sight(self._monotonic(), error)

    def _look(self, now: float) -> dict[str, Seen]:
        self._next_scan = now + self._config.scan_s
        if self._open is None:
            self._open = self._left_open()
            self._follow_up.begin()
        found = look(self._below)
        took = self._monotonic() - now
        self._next_scan = max(self._next_scan, now + DUTY * took)
        if self._reach.failing:
            log.info("inbox folder reachable again", extra={"source": self.clinic.source})
        self._reach.worked()
        return found

    def _left_open(self) -> dict[str, Tally]:
        return {each.key: each for each in tally.left_open(self._below)}

    def _lost_sight(self, now: float, error: OSError) -> None:
        if not self._reach.failing:
            log.warning(
                "inbox folder unreachable; nothing in it is lost, it is tried again and again; check the share, its "
                "mount and its permissions",
                extra={"source": self.clinic.source, "problem": error.strerror or type(error).__name__},
            )
        self._reach.failed(now)

    def _take_settled(self, found: dict[str, Seen], now: float) -> bool:
        self._set_unmoved_aside(found)
        self._remove_emptied(found)
        settled = self._settling.update(now, found)
        if self._work.waits(now):
            return False
        self._close_ended(found)
        worked = False
        for item in settled:
            if self._stopping():
                break
            self._active = 1
            try:
                self._take_up(item, found[item.key])
                worked = True
                self._work.worked()
            except ItemWaits as waits:
                self._wait(str(waits))
                break
            finally:
                self._active = 0
        return worked

    def _wait(self, why: str) -> None:
        if not self._work.failing:
            log.warning("inbox waits", extra={"source": self.clinic.source, "problem": why})
        self._work.failed(self._monotonic())
        self._observed.item(self.clinic.source, "error", 0.0)

    def _take_up(self, item: Settled, seen: Seen) -> None:
        """Take every settled file of the item; it is done when nothing of it was put back."""
        began = self._monotonic()
        try:
            opened = self._tally_of(item.key)
            self._insist_on_writable(item)
            put_back = self._take_files(item, seen, opened)
            opened.flush()
        except Interrupted:
            return
        except SpoolFull as error:
            raise ItemWaits(str(error)) from error
        except ReadFailed as error:
            raise ItemWaits(f"{error} It is tried again; check the share or disk.") from error
        except OSError as error:
            raise ItemWaits(
                f"A file could not be stored or moved: {error.strerror or type(error).__name__}. Everything is still "
                "in the inbox or already safe. Check the state folder's disk and the rights on the clinic's folder."
            ) from error
        if self._stopping():
            return
        self._settling.put_back(item.key, put_back, self._monotonic())
        self._settling.begin_anew(item.key, self._monotonic())
        if not put_back:
            if item.whole:
                self._clear_away(opened, seen)
            self._close(opened, self._monotonic() - began)

    def _tally_of(self, key: str) -> Tally:
        opened = self._tallies.get(key)
        if opened is None:
            number = self._ledger.next_item()
            opened = self._tallies[key] = tally.opened(self._below, number, key, f"{self._clock():%Y-%m-%d}")
        return opened

    @property
    def _tallies(self) -> dict[str, Tally]:
        if self._open is None:
            self._open = {}
        return self._open

    def _insist_on_writable(self, item: Settled) -> None:
        for folder in {parts[:-1] for parts in item.files}:
            try:
                writable = self._below.writable(folder)
            except (FileNotFoundError, PermissionError):
                continue  # gone, or told as a refusal of its files
            if not writable:
                raise ItemWaits(
                    "A folder in the clinic's inbox cannot be written by the appliance, so its files could not be "
                    "moved after they are taken. Nothing was taken from it. Give the appliance's group write access."
                )

    def _take_files(self, item: Settled, seen: Seen, opened: Tally) -> tuple[Parts, ...]:
        """Take the item's files one by one; return those that changed under our hands."""
        provenance = Provenance(self.clinic.source, self.clinic.project, clinic=self.clinic.name, item=opened.number)
        put_back = []
        for parts in item.files:
            if self._stopping():
                break
            try:
                ending = self._take(parts, provenance, opened, item.files)
            except FileNotFoundError:
                continue  # the clinic took it away again
            if ending is Ending.CHANGED:
                put_back.append(parts)
            else:
                self._put_away(parts, seen.files[parts], ending, opened)
        return tuple(put_back)

    def _take(self, parts: Parts, provenance: Provenance, opened: Tally, present: tuple[Parts, ...]) -> Ending:
        def note(name: str, fate: Fate) -> None:
            opened.note(name, fate)
            if fate.what == REFUSED:
                self._observed.refused(self.clinic.source, fate.why)

        try:
            return self._taker.take(self._below, parts, provenance, note, present)
        except ReadFailed:
            failures = self._read_failures[parts] = self._read_failures.get(parts, 0) + 1
            if failures < MOST_READ_FAILURES:
                raise
            why = Refusal.UNREADABLE
        except (Interrupted, SpoolFull, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - the edge, as in a service loop: one file must not stop its neighbours
            place = _place_of(error)
            log.error("inbox file not understood", extra={"item": opened.number, "place": place})
            why = Refusal.UNEXPECTED
        self._read_failures.pop(parts, None)
        note("/".join(parts), Fate(REFUSED, why.value))
        return Ending.FAILED

    def _put_away(self, parts: Parts, mark: Mark, ending: Ending, opened: Tally) -> None:
        target = self._target(parts, ending, opened)
        try:
            self._move(parts, target)
        except FileNotFoundError:
            return
        except (OSError, NotTaken) as error:
            # Taken and immovable (a sticky folder, another's file): to take it again and again would be wrong.
            if not self._unmoved:
                log.warning(
                    "a file was dealt with but cannot be moved away; it is not taken again while the appliance runs; "
                    "check the owner and rights of the clinic's folder",
                    extra={"source": self.clinic.source, "item": opened.number, "problem": str(type(error).__name__)},
                )
            self._unmoved[parts] = (mark, target)

    def _target(self, parts: Parts, ending: Ending, opened: Tally) -> Parts:
        inner = parts[1:] if len(parts) > 1 else parts
        where = FAILED if ending is Ending.FAILED else PROCESSED
        return (where, opened.date, receipts.folder_of(opened), *inner)

    def _move(self, parts: Parts, target: Parts) -> None:
        if target[0] == PROCESSED and self._config.processed_days == 0:
            self._below.remove(parts)
        else:
            self._below.move(parts, target)

    def _set_unmoved_aside(self, found: dict[str, Seen]) -> None:
        """Leave out of the scan what was dealt with already; try to move it away once more."""
        still = {}
        for parts, (mark, target) in self._unmoved.items():
            seen = found.get(parts[0]) or found.get("") or Seen()
            if seen.files.get(parts) != mark:
                continue  # gone, or a new file of the same name
            del seen.files[parts]
            try:
                self._move(parts, target)
            except OSError:
                still[parts] = (mark, target)
        self._unmoved = still

    def _clear_away(self, opened: Tally, seen: Seen) -> None:
        """Move what is no image, READY and litter, out of the item's folder too, so that the folder can go."""
        aside = [parts for parts in seen.litter if len(parts) > 1]
        for parts in aside:
            opened.note("/".join(parts), Fate(LITTER))
        for parts in seen.too_deep:
            opened.note("/".join(parts), Fate(REFUSED, Refusal.TOO_DEEP.value))
        for parts in [*aside, *([seen.ready] if seen.ready else [])]:
            try:
                self._below.move(parts, self._target(parts, Ending.DONE, opened))
            except OSError:
                continue  # gone, or not ours to move: the folder stays
        if seen.folders:
            self._emptied[opened.key] = {}

    def _remove_emptied(self, found: dict[str, Seen]) -> None:
        """Remove folders that we emptied, once nobody has touched them between two scans a quiet time apart."""
        for key in list(self._emptied):
            seen = found.get(key)
            if seen is None or seen.files or seen.unfinished:
                del self._emptied[key]
            elif self._emptied[key] != seen.folders:
                self._emptied[key] = dict(seen.folders)
                self._emptied_at = self._monotonic()
            elif self._monotonic() - self._emptied_at >= max(self._config.quiet_s, self._config.scan_s):
                for parts in sorted(seen.folders, key=len, reverse=True):
                    self._below.remove_folder(parts)
                del self._emptied[key]

    def _close_ended(self, found: dict[str, Seen]) -> None:
        """Close items that were begun and of which nothing is left: a crash came before the receipt."""
        for key, opened in list(self._tallies.items()):
            if key not in found or not found[key].files:
                self._close(opened, 0.0)

    def _close(self, opened: Tally, seconds: float) -> None:
        counts, moment = opened.counts(), self._clock()
        if counts[REFUSED]:
            note = (FAILED, opened.date, f"{receipts.folder_of(opened)}.txt")
            self._below.put(note, receipts.why_text(opened).encode("utf-8", "backslashreplace"))
        receipt = receipts.write(self._below, opened, moment, gone=self._config.processed_days == 0)
        tally.closed(self._below, opened)
        self._tallies.pop(opened.key, None)
        if counts[TAKEN]:
            self._follow_up.add(receipt)
        self._observed.item(self.clinic.source, opened.status(), seconds)
        log.info(
            "item done",
            extra={
                "source": self.clinic.source, "item": opened.number, "status": opened.status(),
                "taken": counts[TAKEN], "refused": counts[REFUSED], "ms": round(seconds * 1000),
            },
        )  # fmt: skip


def _place_of(error: BaseException) -> str:
    """Where in the program it happened and what kind of error: never its words, which may hold a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{where}"


__all__ = ["OURS", "RECEIPTS", "Clinic", "ClinicInbox"]
