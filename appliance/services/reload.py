"""SIGHUP: the configuration is read again. A bad one is refused, and the good one stays in force.

A service that can take it over while it works does (``take_over``); one that cannot ends in order, and systemd starts
it anew with the new one: it holds nobody's association. The receiver holds associations, so it never ends for this:
what it cannot take over is named, and waits for a restart.

A renewed certificate lies under the name of the old one: the files of TLS that the configuration names belong to it,
and are compared by what is in them. Each service sees what it may read, so that only those begin anew that show them.
"""

import hashlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

from appliance import config
from appliance.config import Config
from appliance.errors import ConfigError
from appliance.services.sd_notify import notify

log = logging.getLogger(__name__)

TLS_FILES = ("certificate", "key", "ca", "client_ca")  # keys of any section; passwords and tokens are read when needed

# (where the configuration names it, file) -> SHA-256 of what is in it; None: not to be read by us
Contents = dict[tuple[str, Path], str | None]


class Reload:
    """The reading again of one process. ``asked`` is set by SIGHUP, ``step`` belongs to the loop.

    take_over  the service's: returns the names of what needs a restart, and then nothing is taken over; None: it cannot
               take over anything while it works. Raises ConfigError for what it cannot use: then nothing is, either
    stop       set when the service has to be started anew
    told       is given whether the file on the disk is refused, or waits for a restart
    load       reads a file
    """

    def __init__(
        self,
        settings: Config,
        take_over: Callable[[Config], list[str] | None],
        stop: threading.Event,
        told: Callable[[bool], None] = lambda _: None,
        *,
        load: Callable[[Path], Config] = config.load,
    ) -> None:
        self.asked = threading.Event()
        self._settings = settings
        self._contents = contents(settings)
        self._take_over = take_over
        self._stop = stop
        self._told = told
        self._load = load

    def heed_signal(self) -> None:
        """Let SIGHUP ask, under systemd. To be called in the main thread."""
        if "NOTIFY_SOCKET" in os.environ:
            signal.signal(signal.SIGHUP, lambda _number, _frame: self.asked.set())

    def step(self) -> None:
        """Read the configuration again if that was asked."""
        if not self.asked.is_set():
            return
        self.asked.clear()
        notify(f"RELOADING=1\nMONOTONIC_USEC={_monotonic_us()}")
        try:
            self._told(not self._read_again())
        finally:
            notify("READY=1")

    def _read_again(self) -> bool:
        """Return whether the file on the disk is what is, or will be at once, in force."""
        try:
            new = self._load(self._settings.file)
            found = contents(new)
            changed = differences(self._settings, new) + _renewed(self._contents, found)
            if not changed:
                log.info("configuration read again; nothing changed")
                return True
            stuck = self._take_over(new)
        except (ConfigError, OSError) as error:
            line = error.line if isinstance(error, ConfigError) else None
            problem = error.problem if isinstance(error, ConfigError) else str(error.strerror)
            log.error(
                "configuration refused; the one before stays in force",
                extra={"file": str(self._settings.file), "line": line, "problem": problem},
            )
            return False
        if stuck is None:
            log.info("configuration changed; starting anew with it", extra={"why": ", ".join(changed)})
            self._stop.set()
            return True
        if stuck:
            log.error(
                "configuration not taken over: it needs a restart; the one before stays in force",
                extra={"why": ", ".join(stuck)},
            )
            return False
        self._settings, self._contents = new, found
        log.info("configuration taken over", extra={"why": ", ".join(changed)})
        return True


def contents(settings: Config) -> Contents:
    """Return what is in the files of TLS that a configuration names."""
    return {(name, file): _digest(file) for name, file in _tls_files(settings)}


def _tls_files(section: object, of: str = "") -> Iterator[tuple[str, Path]]:
    for each in fields(section):  # type: ignore[arg-type]
        value, name = getattr(section, each.name), f"{of}{each.name}"
        if each.name in TLS_FILES and isinstance(value, Path):
            yield name, value
        elif is_dataclass(value):
            yield from _tls_files(value, f"{name}.")
        elif isinstance(value, tuple):
            for number, item in enumerate(value):
                if is_dataclass(item):
                    yield from _tls_files(item, f"{name}[{number}].")


def _digest(file: Path) -> str | None:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None


def _renewed(before: Contents, now: Contents) -> list[str]:
    """Return where files are named that changed under their name. Raises ConfigError for one that is gone."""
    renewed = [place for place in now if place in before and now[place] != before[place]]
    for name, file in renewed:
        if now[name, file] is None:
            raise ConfigError(f"{name}: {file} could be read before, and cannot be now.")
    return [name for name, _ in renewed]


def differences(old: object, new: object, of: str = "") -> list[str]:
    """Return the names of what differs between two configurations, by section and key: "scp.peers"."""
    found = []
    for each in fields(old):  # type: ignore[arg-type]
        before, after = getattr(old, each.name), getattr(new, each.name)
        if before == after:
            continue
        is_section = hasattr(before, "__dataclass_fields__") and type(before) is type(after)
        found += differences(before, after, f"{of}{each.name}.") if is_section else [f"{of}{each.name}"]
    return found


def _monotonic_us() -> int:
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
