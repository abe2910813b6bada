"""One clinic's folder: what has settled is taken, file by file, moved out of the way, and told in a receipt.

A file leaves its place only after its original is durable in the house (or after its refusal is noted), so a crash at
any moment loses nothing: what was taken and not yet moved is taken again, and known by its bytes.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from appliance.config import Inbox
from appliance.errors import SpoolFull
from appliance.intake import receipts, tally
from appliance.intake.beneath import Beneath, Parts
from appliance.intake.follow_up import FollowUp, Ledger
from appliance.intake.inbox_observed import InboxObserved, Standing
from appliance.intake.quota import OverQuota
from appliance.intake.refusals import NotTaken, Refusal
from appliance.intake.retries import Retries
from appliance.intake.scan import FAILED, UNENTERED, Seen, look
from appliance.intake.settle import Settled, Settling
from appliance.intake.shelves import Shelves
from appliance.intake.taking import Ending, Interrupted, ReadFailed, Taker
from appliance.intake.tally import REFUSED, TAKEN, Fate, Tally
from appliance.model import Provenance

log = logging.getLogger(__name__)

DUTY = 20  # a scan may take one part in so many of the time
SHORTEST_S = 0.05  # between scans, however often events wake
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
    """The item cannot go on now; nothing of it is lost. ``str()`` says why and what to do.

    all_do  the reason is the house's, so every other item would wait too
    """

    def __init__(self, why: str, *, all_do: bool) -> None:
        self.all_do = all_do
        super().__init__(why)


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
        self._settling = Settling(config.quiet_s, config.scan_s)
        self._follow_up = FollowUp(self._below, ledger, monotonic)
        self._open: dict[str, Tally] | None = None  # by key; None until the folder was first reached
        self._shelves = Shelves(
            self._below,
            clinic.source,
            monotonic,
            keeps=config.processed_days > 0,
            quiet_s=max(config.quiet_s, config.scan_s),
        )
        self._read_failures: dict[Parts, int] = {}
        self._reach = Retries()
        self._work = Retries()  # of the house: its disk, its journal
        self._items: dict[str, Retries] = {}  # of single items that cannot be read or moved
        self._next_scan = float("-inf")
        self._active = 0

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
            unreachable=int(self._reach.failing or bool(self._items)),
            unmoved=self._shelves.unmoved,
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
            self._follow_up.purge(self._clock().date(), self._config.processed_days, self._config.failed_days)
        except OSError as error:
            self._lost_sight(self._monotonic(), error)

    def _look(self, now: float) -> dict[str, Seen]:
        pause = self._config.scan_s
        if len(self._settling):
            pause = min(pause, max(self._config.quiet_s, SHORTEST_S))
        self._next_scan = now + pause
        if self._open is None:
            self._ledger.at_least(receipts.highest_item(self._below))
            self._follow_up.begin()
            self._open = {each.key: each for each in tally.left_open(self._below)}
        found = look(self._below)
        took = self._monotonic() - now
        self._next_scan = max(self._next_scan, now + DUTY * took)
        if self._reach.failing:
            log.info("inbox folder reachable again", extra={"source": self.clinic.source})
        self._reach.worked()
        return found

    def _lost_sight(self, now: float, error: OSError) -> None:
        if not self._reach.failing:
            log.warning(
                "inbox folder unreachable; nothing in it is lost, it is tried again and again; check the share, its "
                "mount and its permissions",
                extra={"source": self.clinic.source, "problem": _problem(error)},
            )
        self._reach.failed(now)

    def _take_settled(self, found: dict[str, Seen], now: float) -> bool:
        self._shelves.set_unmoved_aside(found)
        self._shelves.remove_emptied(found)
        settled = self._settling.update(now, found)
        if self._work.waits(now):
            return False
        try:
            self._close_ended(found)
        except OSError as error:
            self._wait(ItemWaits(f"A receipt could not be written: {_problem(error)}.", all_do=True), self._work)
            return False
        worked = False
        self._items = {key: retries for key, retries in self._items.items() if key in found and found[key].files}
        for item in settled:
            retries = self._items.get(item.key, Retries())
            if retries.waits(now):
                continue
            if self._stopping() or self._work.waits(now):
                break
            self._active = 1
            try:
                self._take_up(item, found[item.key])
                self._items.pop(item.key, None)
                self._work.worked()
                worked = True
            except ItemWaits as waits:
                self._items[item.key] = retries
                self._wait(waits, retries)
            finally:
                self._active = 0
        return worked

    def _wait(self, waits: ItemWaits, retries: Retries) -> None:
        concerned = self._work if waits.all_do else retries
        if not concerned.failing:
            log.warning("inbox waits", extra={"source": self.clinic.source, "problem": str(waits)})
            self._observed.item(self.clinic.source, "error", 0.0)
        concerned.failed(self._monotonic())

    def _take_up(self, item: Settled, seen: Seen) -> None:
        """Take every settled file of the item; raises ItemWaits when that cannot go on now."""
        try:
            self._insist_on_writable(item)
            self._take_all(item, seen)
        except Interrupted:
            return
        except SpoolFull as error:
            self._say_waiting(item.key, error)
            raise ItemWaits(str(error), all_do=True) from error
        except ReadFailed as error:
            raise ItemWaits(f"{error} It is tried again; check the share or disk.", all_do=False) from error
        except (OSError, NotTaken) as error:
            raise ItemWaits(
                f"A file could not be stored or moved: {_problem(error)}. Everything is still "
                "in the inbox or already safe. Check the state folder's disk and the rights on the clinic's folder.",
                all_do=True,
            ) from error

    def _say_waiting(self, key: str, why: SpoolFull) -> None:
        """Tell the clinic, who cannot see the log, why its item stands still."""
        with suppress(OSError):  # the share has gone, too: it is said at the next try
            over_quota = isinstance(why, OverQuota)
            receipts.write_waiting(self._below, self._tally_of(key), self._clock(), over_quota=over_quota)

    def _take_all(self, item: Settled, seen: Seen) -> None:
        """Take the files, and close the item when nothing of it was put back."""
        began = self._monotonic()
        opened = self._tally_of(item.key)
        put_back = self._take_files(item, seen, opened)
        if self._stopping():
            return
        self._settling.put_back(item.key, put_back, self._monotonic())
        self._settling.begin_anew(item.key, self._monotonic())
        if not put_back:
            if item.whole:
                self._shelves.clear(opened, seen)
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
                    "moved after they are taken. Nothing was taken from it. Give the appliance's group write access.",
                    all_do=False,
                )

    def _take_files(self, item: Settled, seen: Seen, opened: Tally) -> tuple[Parts, ...]:
        """Take the item's files one by one; return those that changed under our hands."""
        provenance = Provenance(self.clinic.source, self.clinic.project, clinic=self.clinic.name, item=opened.number)
        put_back = []
        for parts in item.files:
            if self._stopping():
                break
            if seen.files[parts] == UNENTERED:
                self._note(opened, "/".join(parts), Fate(REFUSED, Refusal.CLOSED_FOLDER.value))
                self._shelves.put_away(parts, UNENTERED, opened, failed=True)
                continue
            try:
                ending = self._take(parts, provenance, opened, item.files)
            except FileNotFoundError:
                continue  # the clinic took it away again
            failed = ending is Ending.FAILED
            if ending is Ending.CHANGED or not self._shelves.put_away(parts, seen.files[parts], opened, failed=failed):
                put_back.append(parts)
        return tuple(put_back)

    def _take(self, parts: Parts, provenance: Provenance, opened: Tally, present: tuple[Parts, ...]) -> Ending:
        note = partial(self._note, opened)
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

    def _note(self, opened: Tally, name: str, fate: Fate) -> None:
        opened.note(name, fate)
        if fate.what == REFUSED:
            self._observed.refused(self.clinic.source, fate.why)
        elif fate.what == TAKEN:
            self._observed.taken(self.clinic.source, fate.size)

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


def _problem(error: Exception) -> str:
    """The kind of a failure without the names that its words would tell."""
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _place_of(error: BaseException) -> str:
    """Where in the program it happened and what kind of error: never its words, which may hold a value."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = "" if trace is None else f" {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
    return f"{type(error).__name__}{where}"
