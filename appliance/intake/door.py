"""The last step of every way in: an instance becomes one durable file, and soon after one row.

Network and inbox both end here. The file is the truth: what ``keep`` returned for is in the house, whatever happens to
the journal. The rows follow in batches, because a commit for each instance would cost as much as receiving it.
"""

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from appliance.dicom.meta import FileMeta, provenance_to_meta
from appliance.errors import SpoolFull
from appliance.intake.observed import Observed
from appliance.intake.quota import Quotas
from appliance.model import Arrival, Provenance, spool_id

log = logging.getLogger(__name__)

BATCH_S = 0.2  # how long a row may wait for others to share its commit
LONGEST_RETRY_S = 10.0  # when the journal does not take rows, it is asked again this often
MOST_WAITING = 100_000  # durable files without a row; beyond, senders are told to come later


class Draft(Protocol):
    """A file in the making, in this process's own receiving folder."""

    path: Path

    def write(self, body: bytes | memoryview, /) -> None: ...

    def keep(self, spool_id: str, /) -> Path: ...

    def drop(self) -> None: ...


class Receiving(Protocol):
    """This process's own receiving folder; ``has_room``: the file system is above the reserve."""

    @property
    def has_room(self) -> bool: ...

    def draft(self) -> Draft: ...

    def close(self) -> None: ...


class Keeping(Protocol):
    """What the door needs of the spool."""

    def receiving(self, role: str, /) -> Receiving: ...

    def arrived(self, arrivals: list[Arrival], /) -> object: ...


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _nonce() -> str:
    return secrets.token_hex(4)


class Entry:
    """One instance on its way in; leaving its ``with`` block without ``keep`` drops it."""

    def __init__(self, draft: Draft, meta: bytes, keep: Callable[["Entry"], Arrival], facts: FileMeta) -> None:
        self._draft: Draft | None = draft
        self._keep = keep
        self.facts = facts
        self.size = len(meta)  # bytes of the file
        self.data_set_bytes = 0
        draft.write(meta)

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes of the Data Set. Raises SpoolFull or OSError; then drop the entry."""
        if self._draft is None:
            raise ValueError("the entry was kept or dropped")
        self._draft.write(piece)
        self.size += len(piece)
        self.data_set_bytes += len(piece)

    @property
    def path(self) -> Path:
        """Where what was written lies until it is kept: to be looked at, not to be touched."""
        if self._draft is None:
            raise ValueError("the entry was kept or dropped")
        return self._draft.path

    def keep(self) -> Arrival:
        """Make the file durable in ``received`` and return what it is; only now may Success be said.

        Raises SpoolFull or OSError; then nothing was kept, and nothing is left.
        """
        return self._keep(self)

    def drop(self) -> None:
        """Remove what was written. Without effect after ``keep`` or another ``drop``."""
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.drop()

    def _kept_as(self, id: str) -> None:
        draft = self._draft
        if draft is None:
            raise ValueError("the entry was kept or dropped")
        try:
            draft.keep(id)
        except BaseException:
            self.drop()
            raise
        self._draft = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()


class Door:
    """Where instances enter the house; one for each receiving process. Its methods may be called from any thread.

    spool   the inside
    role    ``receive`` or ``inbox``: names this process's receiving folder
    clock   aware UTC; nonce: 6 to 12 of [a-z0-9], different each time
    quotas  None: no source has one
    """

    def __init__(
        self,
        spool: Keeping,
        *,
        role: str,
        clock: Callable[[], datetime] = _utc_now,
        nonce: Callable[[], str] = _nonce,
        observed: Observed | None = None,
        batch_s: float = BATCH_S,
        quotas: Quotas | None = None,
    ) -> None:
        self._spool = spool
        self.quotas = quotas  # another may come while it works
        self._receiving = spool.receiving(role)
        self._clock = clock
        self._nonce = nonce
        self._observed = observed or Observed()
        self._batch_s = batch_s
        self._waiting: list[Arrival] = []
        self._lock = threading.Lock()
        self._one_waits = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._journal, name=f"{role}-rows", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many kept files have no row yet."""
        return len(self._waiting)

    def rowed_until(self) -> datetime:
        """Return the moment before which every kept file of this process has its row."""
        with self._lock:
            return min((each.received for each in self._waiting), default=self._clock())

    def has_room(self) -> bool:
        """Whether an instance could be taken now: the disk above its reserve, the journal not hopelessly behind."""
        return len(self._waiting) < MOST_WAITING and self._receiving.has_room

    def begin(self, provenance: Provenance, sop_class: str, sop_instance: str, transfer_syntax: str) -> Entry:
        """Return an entry whose File Meta is written; its Data Set follows by ``write``.

        Raises SpoolFull under the reserve, when the source is over its quota or when the journal is hopelessly behind,
        OSError when the disk fails.
        """
        if self.quotas is not None:
            self.quotas.demand_room(provenance.source, self._unrowed)
        if len(self._waiting) >= MOST_WAITING:
            raise SpoolFull(
                f"The journal has not taken {MOST_WAITING} rows, whose files are safe. "
                "Senders are told to come later; see the log for why, free or repair the disk."
            )
        facts = provenance_to_meta(provenance, sop_class, sop_instance, transfer_syntax)
        draft = self._receiving.draft()
        try:
            return Entry(draft, facts.encode(), lambda entry: self._kept(entry, provenance), facts)
        except BaseException:
            draft.drop()
            raise

    def close(self) -> None:
        """Hand over the rows that wait, then give up this process's receiving folder.

        If the journal still does not take them, recovery makes the rows from the files at the next start.
        """
        self._closing.set()
        self._one_waits.set()
        self._thread.join(timeout=30)
        self._receiving.close()

    def _kept(self, entry: Entry, provenance: Provenance) -> Arrival:
        moment = self._clock()
        id = spool_id(moment, provenance.source, self._nonce())
        entry._kept_as(id)
        facts = entry.facts
        arrival = Arrival(
            id, moment, provenance, facts.sop_class, facts.sop_instance, facts.transfer_syntax, entry.size
        )
        with self._lock:
            self._waiting.append(arrival)
        if self.quotas is not None:
            self.quotas.took(provenance.source, entry.size)
        self._one_waits.set()
        return arrival

    def _unrowed(self) -> dict[str, int]:
        """Return source -> bytes of the kept files that have no row yet."""
        found: dict[str, int] = {}
        with self._lock:
            for each in self._waiting:
                found[each.provenance.source] = found.get(each.provenance.source, 0) + each.size
        return found

    def _journal(self) -> None:
        """Commit what waits, a batch at a time, until closed; a journal that fails is asked again."""
        pause = self._batch_s
        while True:
            self._one_waits.wait()
            if self._closing.wait(pause):
                self._commit()
                return
            self._one_waits.clear()
            pause = self._batch_s if self._commit() else min(max(pause, 0.5) * 2, LONGEST_RETRY_S)

    def _commit(self) -> bool:
        """Hand all that waits to the journal; return whether it took it."""
        with self._lock:
            batch = list(self._waiting)
        if not batch:
            return True
        try:
            self._spool.arrived(batch)
        except Exception:  # the edge of this thread's loop: the files are safe, and their rows must follow
            log.exception("rows not committed; their files are safe, trying again", extra={"rows": len(batch)})
            self._one_waits.set()
            self._observed.rows_waiting(len(self._waiting))
            return False
        with self._lock:
            del self._waiting[: len(batch)]
        self._observed.rows_waiting(len(self._waiting))
        return True
