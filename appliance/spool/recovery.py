"""Repair beside the running house: what a crash, a power cut or a lost database left undone.

Both sides are repaired in small steps by the service that owns their waiting state, in its own loop, so that no other
move of a file can come between; intake goes on meanwhile. Every step may be done twice, and a start on a good day runs
the same code. Nothing is decided from a folder's listing alone that a row says better.

    found                                          done
    received file without a row                    row RECEIVED, made from the name and the File Meta; newest first
    received file of a QUARANTINED row             moved to its folder, with its note
    quarantined file without a row                 row QUARANTINED, with the folder's reason
    quarantined file of a row in another state     moved back
    file of a purged row                           removed
    PASSED row that a rebuilt outbox lacks         not delivered: RECEIVED in the same round; else told to the outbox
    ready file of a FORWARDED or superseded row    removed; of a REJECTED one: moved to its folder
    ready file without a row                       left: de-identify makes it again and gives it its row
    READY row without its file                     told to the inside, which does it again
    database that is damaged                       set aside, rebuilt by the lines above; rounds are in the reports
"""

import heapq
import logging
import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from appliance.dicom.meta import FileMeta, provenance_from_meta
from appliance.errors import Malformed, NotDicom, Unsafe
from appliance.lifecycle import State
from appliance.model import Arrival, Provenance, is_out_name, is_spool_id
from appliance.reasons import Reason
from appliance.spool.custody import Custody, look_if_unclean
from appliance.spool.files import is_part, is_regular, open_regular, unlink
from appliance.spool.inside import Spool
from appliance.spool.journal_view import Trace
from appliance.spool.outbox import Outbox
from appliance.spool.rounds import Last, come_to, no_reports
from appliance.spool.settled import Remembered

log = logging.getLogger(__name__)

PAGE: Final = 200  # files or rows of one step
WINDOW: Final = 100_000  # ids kept in memory while looking for the newest without a row
RECONCILED: Final = "outbox"  # setting: generation of the outbox that the journal last agreed with
_LAST: Final = "~"  # sorts after every id


class Recovery:
    """Steps of a repair; ``step`` returns False once there is nothing left to do.

    is_sound  whether the database has been looked at, if its last owner did not end cleanly. Before, only ``step``
    """

    def __init__(self, steps: Callable[[], Iterator[None]], custody: Custody | None = None) -> None:
        self._steps_of_repair = steps
        self._custody = custody
        self.is_sound = custody is None
        self._steps = self._begin()

    def step(self) -> bool:
        """Do a little; return whether there may be more. After an exception the next step begins from the front."""
        try:
            return next(self._steps, self) is None
        except BaseException:
            self._steps = self._begin()
            raise

    def rebuild(self) -> None:
        """Set the database aside and begin from the front: everything is made from the files again."""
        if self._custody is not None:
            self._custody.database.set_aside()
        self.again()

    def again(self) -> None:
        """Begin from the front."""
        self._steps = self._begin()

    def _begin(self) -> Iterator[None]:
        if self._custody is not None and not self.is_sound:
            yield from look_if_unclean(self._custody)
            self.is_sound = True
        yield from self._steps_of_repair()

    def run_for(self, seconds: float) -> bool:
        """Do what can be done in so many seconds, at least one step: a share of the time that others need too.

        Return whether there may be more.
        """
        until = time.monotonic() + seconds
        while more := self.step():
            if time.monotonic() >= until:
                break
        return more

    def finish(self) -> None:
        """Do all that is left."""
        while self.step():
            pass


def recover_inside(spool: Spool, outbox: Outbox, last: Last = no_reports, *, window: int = WINDOW) -> Recovery:
    """Return the repair of the inside, for the de-identify service; the outbox is only told.

    last  id -> report of its last round, of those that have one. What is RECEIVED is looked up when it is begun
    """

    def steps() -> Iterator[None]:
        yield from _received(spool, window, finish=True)
        yield from _quarantined(spool, last)
        yield from _reconcile(spool, outbox)

    return Recovery(steps, spool.custody)


def recover_received(spool: Spool, *, window: int = WINDOW) -> Recovery:
    """Return the part of the repair that a receiving service runs itself: rows for files that its death left without.

    It only inserts, so it can run beside the owner of the files; the de-identify service need not be started anew.
    """
    return Recovery(lambda: _received(spool, window, finish=False))


def recover_purged(spool: Spool) -> Recovery:
    """Return the part of the repair that belongs to purging: files whose row says that they went."""

    def steps() -> Iterator[None]:
        for folder in (*spool.layout.shards(), *(folder for _, folder in spool.layout.reason_folders())):
            for ids in _pages(folder, _LAST):
                for spool_id, (_, _, purged) in spool.journal.states(ids).items():
                    if purged:
                        unlink(folder / f"{spool_id}.dcm")
                yield

    return Recovery(steps)


def recover_outside(outbox: Outbox) -> Recovery:
    """Return the repair of the outside, for the forward service."""

    def steps() -> Iterator[None]:
        yield from _ready_files(outbox)
        yield from _rejected_files(outbox)
        yield from _ready_rows(outbox)
        yield from _opened(outbox)

    return Recovery(steps, outbox.custody)


# --- inside -----------------------------------------------------------------------------------------------------------


def _received(spool: Spool, window: int, *, finish: bool) -> Iterator[None]:
    """Every received file gets its row, the newest first, with at most ``window`` ids in memory."""
    below = _LAST
    while True:
        missing = yield from _without_row(spool, below, window, finish=finish)
        for start in range(0, len(missing), PAGE):
            spool.arrived(
                arrival for spool_id in missing[start : start + PAGE] for arrival in _arrival(spool, spool_id)
            )
            yield
        if len(missing) < window:
            return
        below = missing[-1]


def _without_row(spool: Spool, below: str, window: int, *, finish: bool) -> Generator[None, None, list[str]]:
    """Return the newest ids below ``below`` whose file has no row, the newest first.

    finish  do with the other files what their rows say
    """
    newest: list[str] = []
    for folder in spool.layout.shards():
        for ids in _pages(folder, below):
            states = spool.journal.states(ids)
            for spool_id in ids:
                if spool_id not in states:
                    heapq.heappush(newest, spool_id)
                    if len(newest) > window:
                        heapq.heappop(newest)
                elif finish:
                    _finish(spool, spool_id, *states[spool_id])
            yield
    return sorted(newest, reverse=True)


def _finish(spool: Spool, spool_id: str, state: State, reason: str, purged: bool) -> None:
    """Do with a received file what its row says and a crash left undone."""
    if purged:
        unlink(spool.layout.original(spool_id))
    elif state is State.QUARANTINED:
        _put_in_quarantine(spool, spool_id, Reason(reason))


def _put_in_quarantine(spool: Spool, spool_id: str, reason: Reason) -> None:
    instance = spool.journal.instance(spool_id)
    spool.put_in_quarantine(spool_id, reason, "" if instance is None else instance.detail)


def _quarantined(spool: Spool, last: Last) -> Iterator[None]:
    """Quarantined files and rows say the same."""
    for reason, folder in spool.layout.reason_folders():
        for ids in _pages(folder, _LAST):
            states = spool.journal.states(ids)
            fresh = [arrival for each in ids if each not in states for arrival in _arrival(spool, each)]
            spool.found_quarantined(fresh, reason, map(come_to, last([each.id for each in fresh]).values()))
            for spool_id, (state, why, purged) in states.items():
                if purged:
                    unlink(folder / f"{spool_id}.dcm")
                if state is not State.QUARANTINED:
                    spool.take_from_quarantine(spool_id)
                elif why != reason.value:
                    spool.take_from_quarantine(spool_id)
                    _put_in_quarantine(spool, spool_id, Reason(why))
            yield
        tidy(folder)


def _arrival(spool: Spool, spool_id: str) -> Iterator[Arrival]:
    """What the row of this file says, made from the file; nothing if it is no plain file or no longer there."""
    path = spool.original(spool_id)
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            try:
                meta = FileMeta.decode(file)
                origin = provenance_from_meta(meta)
            except (NotDicom, Malformed):  # a bad disk: the row says what the name says, de-identify what is wrong
                meta, origin = FileMeta("", "", ""), Provenance(spool_id.split("-")[1])
    except (FileNotFoundError, Unsafe):
        return
    except OSError as error:  # one bad sector must not keep every other file from its row
        log.warning("received file cannot be read", extra={"spool_id": spool_id, "errno": error.errno})
        meta, origin, size = FileMeta("", "", ""), Provenance(spool_id.split("-")[1]), 0
    try:
        received = datetime.strptime(spool_id.split("-")[0], "%Y%m%dT%H%M%S%fZ").replace(tzinfo=UTC)
    except ValueError:
        return  # no id of ours, for all its looks: no clock says the 99th of a month
    yield Arrival(spool_id, received, origin, meta.sop_class, meta.sop_instance, meta.transfer_syntax, size)


def _reconcile(spool: Spool, outbox: Outbox) -> Iterator[None]:
    """Agree with an outbox that was lost and begun again: what it had is told to it or done again."""
    generation = outbox.generation
    if spool.settings.get(RECONCILED) == generation:
        return
    below = _LAST
    while page := spool.journal.passed_below(below, PAGE):
        known = outbox.states(trace.instance.out for trace in page)
        missing = [trace for trace in page if trace.instance.out not in known]
        outbox.restore([_remembered(trace) for trace in missing if trace.outside])
        spool.requeue([trace.instance.out for trace in missing if not trace.outside])
        below = page[-1].instance.id
        yield
    spool.settings.put(RECONCILED, generation)


def _remembered(trace: Trace) -> Remembered:
    instance = trace.instance
    rejected = trace.outside == State.REJECTED
    return Remembered(
        out=instance.out,
        round=instance.round,
        state=State(trace.outside),
        sop_class=instance.sop_class,
        sop_instance=trace.sop_instance,
        study=trace.study,
        source=instance.provenance.source,
        project=instance.provenance.project,
        rules_digest=instance.rules_digest,
        at=trace.moved,
        reason=instance.reason if rejected else "",
        detail=instance.detail if rejected else "",
    )


# --- outside ----------------------------------------------------------------------------------------------------------


def _ready_files(outbox: Outbox) -> Iterator[None]:
    """A file lies in ready while its row is READY, or before it has one."""
    for folder in outbox.layout.shards():
        for outs in _pages(folder, _LAST):
            for out, (state, reason, detail) in outbox.rows.endings(outs).items():
                if state == State.REJECTED:
                    outbox.put_in_rejected(out, Reason(reason), detail)
                else:
                    unlink(outbox.layout.ready(out))
            yield


def _rejected_files(outbox: Outbox) -> Iterator[None]:
    """A file lies in its reason's folder while its row is REJECTED for it, or if nothing is known of it."""
    for reason, folder in outbox.layout.reason_folders():
        for outs in _pages(folder, _LAST):
            endings = outbox.rows.endings(outs)
            for out in outs:
                ended = endings.get(out)
                if ended is not None and ended[:2] != (State.REJECTED, reason.value):
                    outbox.remove(out, reason.value)
            yield
        tidy(folder)


def _ready_rows(outbox: Outbox) -> Iterator[None]:
    """A READY row has its file; what was lost is told to the inside."""
    after = 0
    while page := outbox.rows.ready_after(after, PAGE):
        for _, out in page:
            if not is_regular(outbox.layout.ready(out)):
                outbox.file_lost(out)
        after = page[-1][0]
        yield


def _opened(outbox: Outbox) -> Iterator[None]:
    """Opening a source goes on where a crash ended it."""
    for source, project in outbox.opened():
        while outbox.rows.ungate(source, project, PAGE):
            yield


def tidy(folder: Path) -> None:
    """Remove what a kill left in a folder for a person: half a note, and a note whose file has gone on."""
    for path in list(folder.iterdir()):
        if is_part(path) or (path.suffix == ".txt" and not path.with_suffix(".dcm").exists()):
            unlink(path)


def _pages(folder: Path, below: str) -> Iterator[list[str]]:
    """The names of a folder's files that are ours and below ``below``, some at a time, in no order."""
    page: list[str] = []
    for path in folder.iterdir():
        name = path.stem
        if path.suffix == ".dcm" and name < below and (is_spool_id(name) or is_out_name(name)):
            page.append(name)
        if len(page) >= PAGE:
            yield page
            page = []
    if page:
        yield page
