"""The inbox service: each clinic's folder looked after in its own thread, so that none waits for another's share."""

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from pathlib import Path

from appliance.config import Config, Inbox
from appliance.errors import CannotStart
from appliance.intake.archives import Scratch
from appliance.intake.door import Door
from appliance.intake.inbox import Clinic, ClinicInbox
from appliance.intake.inbox_observed import InboxObserved, Standing
from appliance.intake.scan import is_litter, is_unfinished
from appliance.intake.taking import Taker
from appliance.intake.wake import Waker
from appliance.model import UNLISTED
from appliance.services.inbox_ledger import JournalLedger
from appliance.services.quotas import quotas
from appliance.spool.inside import Spool
from appliance.spool.recovery import recover_received

log = logging.getLogger(__name__)

MOST_CLINICS_AT_ONCE = 32
REPAIR_S = 0.01  # of each turn of the loop
DRAIN_S = 30.0  # a file in hand may be finished for this long


def _utc_now() -> datetime:
    return datetime.now(UTC)


class InboxService:
    """Takes what clinics drop into ``inbox/<clinic>/``.

    events  false: by scanning alone, as on shares that send none
    """

    name = "inbox"

    def __init__(
        self,
        config: Config,
        observed: InboxObserved | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = _utc_now,
        events: bool = True,
    ) -> None:
        if config.inbox is None:
            raise CannotStart("There is no 'inbox' in the configuration, so the inbox service has nothing to do.")
        self._config = config
        self._inbox: Inbox = config.inbox
        self._observed = observed or InboxObserved()
        self._monotonic = monotonic
        self._clock = clock
        self._stopping = threading.Event()
        self._clinics: dict[str, ClinicInbox] = {}
        self._running: dict[str, Future[bool]] = {}
        self._waker = Waker(self._wake) if events else None
        self._next_look = float("-inf")
        self._root_failing = False
        self._strays = 0

    def start(self) -> None:
        """Open the journal and the door. The inbox itself may be away: it is tried again."""
        inside = self._config.state / "inside"
        try:
            for name in ("", *self._inbox.clinics):
                (self._inbox.path / name).mkdir(parents=True, exist_ok=True)
        except OSError:
            log.warning("inbox cannot be made; it is tried again", extra={"service": self.name})
        try:
            self._spool = Spool(inside, reserve_bytes=self._config.spool.reserve_bytes)
            self._door = Door(self._spool, role=self.name, clock=self._clock, quotas=quotas(self._config, self._spool))
        except OSError as error:
            raise CannotStart(
                f"The inbox service cannot write to the state folder: {error.strerror or error}. Nothing was taken "
                "from the inbox. Check the owner and mode of the folder named by 'state', then start again."
            ) from None
        self._repair = recover_received(self._spool)
        self._ledger = JournalLedger(self._spool)
        self._taker = Taker(
            self._door,
            self._inbox.archives,
            Scratch(inside / "receiving", self._config.spool.reserve_bytes),
            stopping=self._stopping.is_set,
        )
        self._threads = ThreadPoolExecutor(MOST_CLINICS_AT_ONCE, thread_name_prefix=self.name)

    def step(self) -> bool:
        """See which clinics there are, and give each that is idle its turn; return whether anything was taken."""
        self._repair.run_for(REPAIR_S)
        now = self._monotonic()
        if now >= self._next_look:
            self._next_look = now + self._inbox.scan_s
            self._find_clinics()
        worked, problem = False, None
        for name, running in list(self._running.items()):
            if running.done():
                del self._running[name]
                problem = running.exception() or problem
                worked = worked or (running.exception() is None and running.result())
        for name, clinic in self._clinics.items():
            if name not in self._running:
                self._running[name] = self._threads.submit(_turn, clinic)
        if problem is not None:
            raise problem
        return worked

    def stop(self) -> None:
        """Let the files in hand be finished; what is left of their items is taken up at the next start."""
        self._stopping.set()
        if self._waker is not None:
            self._waker.stop()
        # A share that hangs holds its thread for ever; what it was doing is done again at the next start.
        self._threads.shutdown(wait=False, cancel_futures=True)
        wait(self._running.values(), timeout=DRAIN_S)
        self._door.close()

    def _find_clinics(self) -> None:
        try:
            names, strays = _folders(self._inbox.path)
        except OSError as error:
            if not self._root_failing:
                log.warning(
                    "inbox unreachable; nothing in it is lost, it is tried again; check the share and its mount",
                    extra={"service": self.name, "problem": error.strerror or type(error).__name__},
                )
            self._root_failing = True
            self._observed.root_unreachable(True)
            return
        if self._root_failing:
            self._root_failing = False
            self._observed.root_unreachable(False)
            log.info("inbox reachable again", extra={"service": self.name})
        self._tell_strays(strays)
        for name in names:
            if name not in self._clinics:
                self._add(name)
        # A folder that a site never named may come and go; one that it named is missed.
        for name in [name for name in self._clinics if name not in names and name not in self._inbox.clinics]:
            if name not in self._running:
                self._forget(name)
        self._tell_standing()
        if self._waker is not None:
            for folder in (self._inbox.path, *(each.clinic.folder for each in self._clinics.values())):
                self._waker.watch(folder)

    def _forget(self, name: str) -> None:
        if self._waker is not None:
            self._waker.forget(self._clinics[name].clinic.folder)
        del self._clinics[name]

    def _tell_standing(self) -> None:
        by_source = dict.fromkeys((UNLISTED, *(each.source for each in self._inbox.clinics.values())), Standing())
        for clinic in self._clinics.values():
            source = clinic.clinic.source
            by_source[source] = by_source[source].with_(clinic.standing)
        for source, standing in by_source.items():
            self._observed.standing(source, standing)

    def _add(self, name: str) -> None:
        folder = self._inbox.path / name
        listed = self._inbox.clinics.get(name)
        source = UNLISTED if listed is None else listed.source
        self._clinics[name] = ClinicInbox(
            # The name as text: no database takes the stray bytes that a share may put into names.
            Clinic(
                name.encode("utf-8", "backslashreplace").decode(), folder, source, self._config.project_of(clinic=name)
            ),
            self._inbox,
            self._taker,
            self._ledger,
            monotonic=self._monotonic,
            clock=self._clock,
            observed=self._observed,
            stopping=self._stopping.is_set,
        )

    def _tell_strays(self, strays: int) -> None:
        self._observed.strays(strays)
        if strays != self._strays:
            log.warning(
                "files directly in the inbox, in no clinic's folder, are not taken; nothing happens to them; move them "
                "into a clinic's folder",
                extra={"service": self.name, "count": strays},
            )
        self._strays = strays

    def _wake(self, folder: Path) -> None:
        clinic = self._clinics.get(folder.name) if folder != self._inbox.path else None
        if clinic is not None:
            clinic.wake()
        else:
            self._next_look = float("-inf")


def _turn(clinic: ClinicInbox) -> bool:
    worked = clinic.step()
    clinic.housekeep()
    return worked


def _folders(inbox: Path) -> tuple[list[str], int]:
    """Return the clinics' folders, and how many files lie beside them. A link is no clinic's folder."""
    names, strays = [], 0
    with os.scandir(inbox) as entries:
        for entry in entries:
            if is_litter(entry.name) or is_unfinished(entry.name) or entry.name.startswith("_"):
                continue
            if entry.is_dir(follow_symlinks=False):
                names.append(entry.name)
            elif not entry.name.upper().startswith("README"):
                strays += 1
    return sorted(names), strays
