"""Worker processes that may die: what kills one is known by name, and its neighbours go on.

Each worker has a pipe of its own and works on one job at a time, with one more waiting in the pipe so that it need
not idle. When a worker dies or overruns, the job it was on is the one that is blamed; the waiting one is given to
another. ``multiprocessing.Pool`` hangs when a worker dies and ``concurrent.futures`` gives up the whole pool.

Workers come from a fork server: a clean process, so that none inherits the parent's open databases.
"""

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

J = TypeVar("J")
R = TypeVar("R")

WAITING_JOBS = 1  # in a worker's pipe, beside the one it works on
BEAT_S = 5.0  # between two signs of life of a worker, at least
STOP_S = 2.0  # for a worker to end what it is at; then it is killed, and its job is done again another time


class _Sign(Enum):
    """What a worker sends beside results."""

    OF_LIFE = "its job has come a step further"


@dataclass(frozen=True, slots=True)
class Finished(Generic[J, R]):
    """A job that came back."""

    job: J
    result: R


@dataclass(frozen=True, slots=True)
class Died(Generic[J]):
    """A job whose worker ended before it answered: exit code, negative for a signal."""

    job: J
    exit_code: int


@dataclass(frozen=True, slots=True)
class Overran(Generic[J]):
    """A job that took longer than it may, without a sign of life; its worker was ended."""

    job: J


@dataclass(slots=True)
class _Worker(Generic[J]):
    process: multiprocessing.process.BaseProcess
    pipe: "Connection[Any, Any]"
    jobs: deque[J] = field(default_factory=deque)
    since: float = 0.0  # when the first of the jobs was begun, or gave its last sign of life; monotonic


class Pool(Generic[J, R]):
    """``size`` processes that each run ``work(make(alive), job)`` for the jobs they get.

    make   called once in each process; what it returns is the worker's equipment. ``alive`` is to be called by a job
           whenever it has come a step further: it may take ``timeout_s`` for each step
    work   a function from equipment and job to result, both to be found by import
    """

    def __init__(
        self,
        size: int,
        make: Callable[[Callable[[], None]], Any],
        work: Callable[[Any, J], R],
        *,
        timeout_s: float,
    ) -> None:
        self._size = size
        self._make = make
        self._work = work
        self._timeout_s = timeout_s
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([work.__module__])
        self._workers: list[_Worker[J]] = []
        self._again: deque[J] = deque()

    def start(self) -> None:
        """Start the processes."""
        self._workers = [self._new() for _ in range(self._size)]

    def renew(self, make: Callable[[Callable[[], None]], Any]) -> None:
        """Begin anew with other equipment. Only when nothing is in hand."""
        self.stop()
        self._make = make
        self.start()

    @property
    def room(self) -> int:
        """How many more jobs can be given without waiting."""
        return self._size * (1 + WAITING_JOBS) - self.in_hand

    @property
    def in_hand(self) -> int:
        """How many jobs have been given and not come back."""
        return sum(len(worker.jobs) for worker in self._workers) + len(self._again)

    def give(self, job: J) -> None:
        """Hand ``job`` to the worker with the least to do."""
        self._give_to(min(self._workers, key=lambda worker: len(worker.jobs)), job)

    def take(self, timeout_s: float) -> list[Finished[J, R] | Died[J] | Overran[J]]:
        """Return what came back, waiting at most ``timeout_s`` for the first."""
        busy = {worker.pipe: worker for worker in self._workers if worker.jobs}
        if not busy:
            return []
        came: list[Finished[J, R] | Died[J] | Overran[J]] = []
        for ready in wait(list(busy), timeout_s):
            worker = busy[ready]  # type: ignore[index]  # wait() returns the very objects it was given
            try:
                answer = worker.pipe.recv()
            except (EOFError, ConnectionResetError):
                came.append(self._bury(worker))
                continue
            worker.since = time.monotonic()
            if answer is not _Sign.OF_LIFE:
                came.append(Finished(worker.jobs.popleft(), answer))
        came += [self._end(worker) for worker in list(self._workers) if self._has_overrun(worker)]
        self._give_again()
        return came

    def stop(self) -> None:
        """End the processes. Jobs in hand are given up: they are done again another time."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.process.join(STOP_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
        self._workers = []
        self._again.clear()

    def _new(self) -> _Worker[J]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._make, self._work), daemon=True)
        process.start()
        theirs.close()  # else the pipe never ends when the worker does
        return _Worker(process, ours)

    def _give_to(self, worker: _Worker[J], job: J) -> None:
        if not worker.jobs:
            worker.since = time.monotonic()
        worker.jobs.append(job)
        with suppress(BrokenPipeError, ConnectionResetError):  # it died: take() sees that, and gives it to another
            worker.pipe.send(job)

    def _has_overrun(self, worker: _Worker[J]) -> bool:
        return bool(worker.jobs) and time.monotonic() - worker.since > self._timeout_s

    def _bury(self, worker: _Worker[J]) -> Died[J]:
        blamed = self._replace(worker)
        return Died(blamed, worker.process.exitcode or 0)

    def _end(self, worker: _Worker[J]) -> Overran[J]:
        worker.process.kill()
        return Overran(self._replace(worker))

    def _replace(self, worker: _Worker[J]) -> J:
        worker.process.join()
        worker.pipe.close()
        blamed = worker.jobs.popleft()
        self._again.extend(worker.jobs)
        self._workers.remove(worker)
        self._workers.append(self._new())
        return blamed

    def _give_again(self) -> None:
        while self._again:
            self.give(self._again.popleft())


def _serve(
    pipe: "Connection[Any, Any]", make: Callable[[Callable[[], None]], Any], work: Callable[[Any, Any], Any]
) -> None:
    """The life of a worker: jobs in, results out, until the parent closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the parent's to answer
    equipment = make(_Beat(pipe))
    while True:
        try:
            job = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        result = work(equipment, job)
        try:
            pipe.send(result)
        except (BrokenPipeError, ConnectionResetError):
            return  # stopped while at work: the job is done again another time


@dataclass(slots=True)
class _Beat:
    """Signs of life from within a job, no more than the parent can take."""

    pipe: "Connection[Any, Any]"
    last: float = field(default_factory=time.monotonic)

    def __call__(self) -> None:
        if time.monotonic() - self.last >= BEAT_S:
            self.last = time.monotonic()
            with suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone; the end of the job tells
                self.pipe.send(_Sign.OF_LIFE)
