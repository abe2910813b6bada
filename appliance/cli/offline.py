"""De-identifying files and folders without a daemon: the same engine, the same workers, results into a folder."""

import errno
import os
import secrets
import shutil
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from appliance.deid.outcome import Looked
from appliance.errors import CannotStart
from appliance.mapping.listed import Book
from appliance.mapping.store import Met
from appliance.model import ONLY_PROJECT, UNLISTED, Provenance
from appliance.reasons import Reason
from appliance.services.deidentify import DEATHS
from appliance.services.looker import OVERRAN
from appliance.services.pool import Died, Finished, Overran, Pool
from appliance.services.worker import Equipment, Job, Made, Postponed, Recipe, Result, Withheld, equip_process, work
from appliance.spool.files import rename_durably

TIMEOUT_S = 900.0  # one file may take this long
TAKE_S = 0.2
DELIVERED, EXCLUDED, WITHHELD = "delivered", "excluded", "withheld"
UNREADABLE = "unreadable"  # the only reason that is none of the house's: the source file itself cannot be read
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)

_BY_RULE = (Reason.EXCLUDED_BY_RULE, Reason.DUPLICATE, Reason.OPTED_OUT, Reason.FORGOTTEN)


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one source file. ``outcome``: delivered, excluded (by a rule, or a duplicate) or withheld.

    pixels  what was done with them; None: nobody needed to look
    """

    source: Path
    outcome: str
    reason: str = ""
    detail: str = ""
    output: Path | None = None
    pixels: Looked | None = None


def files_in(sources: Sequence[Path], without: Path) -> Iterator[Path]:
    """Yield every file of ``sources`` at any depth, in order, but nothing below ``without``.

    Links to folders are not followed; a link to a file is yielded, so that it is told that it was not followed.
    """
    for source in sources:
        if not source.is_dir():
            yield source
            continue
        for folder, below, names in os.walk(source):
            below[:] = sorted(name for name in below if Path(folder, name).resolve() != without)
            yield from (Path(folder, name) for name in sorted(names))


class Offline:
    """One run. A context manager: on leaving, workers have ended and nothing half-made is left in ``target``.

    A study in which a second Patient ID is met is withheld whole, in whatever order its files came: what was delivered
    of it is taken back.

    fates   what became of each file, by its place in the sources
    target  folder for study/series/instance files
    jobs    worker processes
    """

    def __init__(self, recipe: Recipe, target: Path, jobs: int) -> None:
        self.fates: dict[int, Fate] = {}
        self._target = target
        self._making = target / f".making-{secrets.token_hex(4)}"
        self._pool = Pool[Job, Result](jobs, partial(equip_process, recipe, level="ERROR"), _work, timeout_s=TIMEOUT_S)
        self._first: dict[str, Path] = {}  # digest of an original -> where it was
        self._taken: set[Path] = set()
        self._deaths: Counter[str] = Counter()
        self._met: defaultdict[bytes, set[bytes]] = defaultdict(set)  # study -> who was met in it
        self._delivered: defaultdict[bytes, list[int]] = defaultdict(list)  # study -> places of its files
        self._book = None if recipe.mapping is None else Book(recipe.mapping, recipe.key)

    def __enter__(self) -> Self:
        self._making.mkdir(parents=True)
        self._pool.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.stop()
        if self._book is not None:
            self._book.close()
        shutil.rmtree(self._making, ignore_errors=True)

    @property
    def counts(self) -> Counter[tuple[str, str]]:
        """(outcome, reason) -> files."""
        return Counter((fate.outcome, fate.reason) for fate in self.fates.values())

    def run(self, sources: Sequence[Path], domain: str, done: Callable[[], None]) -> None:
        """De-identify every file, calling ``done`` after each. Raises CannotStart when ``target`` takes no more."""
        waiting = iter(enumerate(sources))
        left = len(sources)
        while left:
            while self._pool.room > 0 and (following := next(waiting, None)) is not None:
                self._pool.give(self._job(*following, domain))
            for answer in self._pool.take(TAKE_S):
                fate = self._fate(answer)
                if fate is not None:
                    left -= 1
                    self.fates[int(answer.job.id)] = fate
                    self._meet(answer, fate)
                    done()

    def _meet(self, answer: Finished[Job, Result] | Died[Job] | Overran[Job], fate: Fate) -> None:
        """Note who was met in which study, and take back what was delivered of one with two Patient IDs."""
        met = None
        if isinstance(answer, Finished) and isinstance(answer.result, Made | Withheld):
            met = answer.result.met
        if met is None:
            return
        self._met[met.study].add(met.person)
        if fate.output is not None:
            self._delivered[met.study].append(int(answer.job.id))
        if len(self._met[met.study]) > 1 or self._site_met_others(met):
            for number in self._delivered.pop(met.study, ()):
                self._take_back(number)

    def _site_met_others(self, met: Met) -> bool:
        return self._book is not None and self._book.others(met) > 0

    def _take_back(self, number: int) -> None:
        fate = self.fates[number]
        if fate.output is not None:
            fate.output.unlink(missing_ok=True)
            with suppress(OSError):  # until they are empty
                fate.output.parent.rmdir()
                fate.output.parent.parent.rmdir()
        self.fates[number] = Fate(fate.source, WITHHELD, Reason.TWO_PATIENT_IDS.value)

    def _job(self, number: int, source: Path, domain: str) -> Job:
        return Job(
            id=str(number),
            round=1,
            original=source,
            staged=self._making / f"{number}.dcm",
            provenance=Provenance(UNLISTED, ONLY_PROJECT),
            announced=("", ""),
            accepted=frozenset(),
            domain=domain,
        )

    def _fate(self, answer: Finished[Job, Result] | Died[Job] | Overran[Job]) -> Fate | None:
        """What became of the job's file; None if it is tried again."""
        job = answer.job
        match answer:
            case Finished(_, Made() as made):
                return self._deliver(job, made)
            case Finished(_, Withheld(reason, detail)):
                return Fate(job.original, EXCLUDED if reason in _BY_RULE else WITHHELD, reason.value, detail)
            case Finished(_, Postponed(name)):
                return self._refused(job, name)
            case Overran():
                return Fate(job.original, WITHHELD, Reason.TOOK_TOO_LONG.value)
            case Died(_, exit_code) if exit_code == OVERRAN:
                return Fate(job.original, WITHHELD, Reason.PIXELS_TOOK_TOO_LONG.value)
            case Died():
                self._deaths[job.id] += 1
                if self._deaths[job.id] < DEATHS:
                    self._pool.give(job)
                    return None
        return Fate(job.original, WITHHELD, Reason.WORKER_DIED.value)

    def _refused(self, job: Job, errno_name: str) -> Fate:
        number = getattr(errno, errno_name, 0)
        if number in NO_SPACE:
            raise CannotStart(
                f"{self._target} takes no more: {os.strerror(number)}. What was delivered so far is complete; the "
                "sources are untouched. Free space there and run this again: the same key gives the same result."
            )
        return Fate(job.original, WITHHELD, UNREADABLE, os.strerror(number) if number else "")

    def _deliver(self, job: Job, made: Made) -> Fate:
        first = self._first.setdefault(made.original_digest, job.original)
        if first != job.original:
            made.staged.unlink()
            return Fate(job.original, EXCLUDED, Reason.DUPLICATE.value, f"Of {first}.")
        output = self._free(self._target / made.study / made.series, made.sop_instance)
        output.parent.mkdir(parents=True, exist_ok=True)
        rename_durably(made.staged, output)
        return Fate(job.original, DELIVERED, output=output, pixels=made.pixels)

    def _free(self, folder: Path, name: str) -> Path:
        """A name that this run has not used: versions of one instance stand beside each other."""
        output, version = folder / f"{name}.dcm", 1
        while output in self._taken:
            version += 1
            output = folder / f"{name}-{version}.dcm"
        self._taken.add(output)
        return output


def _work(equipment: Equipment, job: Job) -> Result:
    return work(equipment, job, opened=open_file)


def open_file(source: Path) -> BinaryIO:
    """Open a regular file; OSError for links and special files. Unlike the spool's, it may have several names."""
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return os.fdopen(fd, "rb")
