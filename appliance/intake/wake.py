"""Events of the file system, used for one thing: to look sooner. What they say is not believed, nor their silence."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver, ObservedWatch

log = logging.getLogger(__name__)

# Changes made by another machine send no event here.
NO_EVENTS = ("cifs", "smb3", "smbfs", "nfs", "nfs4", "9p", "vboxsf", "afs", "ceph", "glusterfs", "fuse")

# What changes a folder. Opening and reading, which our own scans do all the time, are not among them.
_CHANGES: list[type[FileSystemEvent]] = [
    DirCreatedEvent, DirDeletedEvent, DirMovedEvent,
    FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileMovedEvent,
]  # fmt: skip


class Waker:
    """Watches folders, each for itself and not what lies deeper, and calls ``wake`` when something happens in one.

    Where events cannot be had (a network share, the limit of inotify) nothing is lost: the scan looks anyway.
    """

    def __init__(self, wake: Callable[[Path], None]) -> None:
        self._wake = wake
        self._observer: BaseObserver | None = None
        self._watches: dict[Path, ObservedWatch] = {}
        self._known: dict[Path, tuple[int, int]] = {}  # each folder as it was met: a share may be mounted anew
        # watchdog 7.1 logs the names of files, which may be patients'; what we need of it comes as exceptions.
        logging.getLogger("watchdog").setLevel(logging.CRITICAL + 1)

    def watch(self, folder: Path) -> bool:
        """Watch ``folder`` as well; return whether events can be expected from it.

        To be called again and again: a folder that was replaced or mounted anew is then watched anew.
        """
        try:
            which = folder.stat()
        except OSError:
            return False
        if self._known.get(folder) == (which.st_dev, which.st_ino):
            return folder in self._watches
        self.forget(folder)
        self._known[folder] = (which.st_dev, which.st_ino)
        kind = file_system_of(folder)
        if kind.split(".")[0] in NO_EVENTS:
            self._give_up(f"a {kind} share sends no events")
            return False
        try:
            if self._observer is None:
                self._observer = Observer()
                self._observer.start()
            self._watches[folder] = self._observer.schedule(
                _Handler(self._wake, folder), str(folder), recursive=False, event_filter=_CHANGES
            )
        except OSError as error:
            self._give_up(error.strerror or "events are not available")
            return False
        return True

    def forget(self, folder: Path) -> None:
        """Watch ``folder`` no longer."""
        self._known.pop(folder, None)
        watch = self._watches.pop(folder, None)
        if watch is not None and self._observer is not None:
            self._observer.unschedule(watch)

    def stop(self) -> None:
        """End the watching."""
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(timeout=5)
            self._observer = None
        self._watches.clear()

    def _give_up(self, why: str) -> None:
        log.info("inbox folder is scanned without events", extra={"problem": why})


class _Handler(FileSystemEventHandler):
    def __init__(self, wake: Callable[[Path], None], folder: Path) -> None:
        self._wake = wake
        self._folder = folder

    def on_any_event(self, event: FileSystemEvent) -> None:
        self._wake(self._folder)


def file_system_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that ``folder`` lies on; "" if it cannot be told. Source: proc(5)."""
    try:
        device = folder.stat().st_dev
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) > 2 and fields[2] == wanted and after:
            return after.split()[0]
    return ""
