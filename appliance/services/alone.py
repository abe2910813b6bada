"""One process of a role for each state folder, and an honest word when it cannot start.

Two that claim from the same rows would do everything twice: each believes that what it has in hand is its own. The lock
is the kernel's (flock), so the death of its holder frees it; no file says by its being there that somebody runs.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from appliance.config import Config
from appliance.errors import CannotStart, SpoolFull
from appliance.services.loop import Service, TakesOver
from appliance.spool.database import DATABASE_MODE
from appliance.spool.files import make_folder

PATIENCE_S = 3.0  # for one that is just ending, as when a supervisor was killed and is started anew
POLL_S = 0.1
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Lock:
    """Held from ``take`` to ``release``, or to the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool:
        """Take it if nobody holds it; return whether it is ours now."""
        make_folder(self._path.parent)
        while True:
            # Read-only, and for the group: root may have made it, and the service's user must be able to lock it.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, DATABASE_MODE)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if _is_at(descriptor, self._path):
                self._descriptor = descriptor
                return True
            os.close(descriptor)  # removed between opening and locking: a lock that nobody else would meet

    def release(self) -> None:
        """Let go of it. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


class Alone:
    """A service that starts only while no other process runs the same role on the same state folder.

    make  makes the service, and may open what it needs: called under the lock
    lock  None for a role of which several may run
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Service],
        lock: Path | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self._make = make
        self._service: Service | None = None
        self._lock = None if lock is None else Lock(lock)
        self._clock = clock
        self._sleep = sleep

    def start(self) -> None:
        """Start it. Raises CannotStart when another runs, or when the disk does not let it begin."""
        try:
            self._take()
            service = self._make()
            service.start()
            self._service = service
        except BaseException as error:
            self._release()
            if isinstance(error, SpoolFull):
                raise CannotStart(f"The {self.name} service has not started. {error}") from None
            if isinstance(error, OSError):
                raise CannotStart(self._refused(error)) from None
            raise

    def step(self) -> bool:
        """Take a step of the service."""
        return self._service is not None and self._service.step()

    def take_over(self, new: Config) -> list[str] | None:
        """Let the service take over another configuration (``TakesOver``); None if it has to be started anew."""
        service: object = self._service
        return service.take_over(new) if isinstance(service, TakesOver) else None

    def stop(self) -> None:
        """Let it drain; only then may another begin."""
        try:
            if self._service is not None:
                self._service.stop()
        finally:
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def _take(self) -> None:
        if self._lock is None:
            return
        until = self._clock() + PATIENCE_S
        while not self._lock.take():
            if self._clock() >= until:
                raise CannotStart(
                    f"The {self.name} service of this state folder is running already, and two would do everything"
                    " twice. The one that runs goes on; this one has not started and nothing was touched. Stop the"
                    " other first ('systemctl stop', or end the other 'appliance run'), or give this one a 'state' of"
                    " its own."
                )
            self._sleep(POLL_S)

    def _refused(self, error: OSError) -> str:
        where = f" {error.filename}" if error.filename else " its files"
        remedy = (
            "Free space there"
            if error.errno in _FULL
            else "Check that the disk is mounted for writing, and the owner and mode of the folder named by 'state'"
        )
        return (
            f"The {self.name} service has not started: the system refused{where}: {error.strerror or error}. Nothing is"
            f" lost; what was acknowledged is on disk and goes on when it starts. {remedy}, then start it again."
        )


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    held = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)
