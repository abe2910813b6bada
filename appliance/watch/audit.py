"""The audit: who did what to whose identity, when and why. Only ever appended to, each line bound to the one before.

One JSON object a line, in ``<state>/audit/audit.jsonl``:

    at, who, what, about, reason     moment (UTC), login, verb, pseudonym or file or count, the words that were given
    address                          of whoever asked over the network, where it is known; else it is left out
    previous, hash                   SHA-256 (hex) of the line before, and of this one without ``hash``

A line that was altered, removed or put in between breaks the chain. No original identifier stands in it, unless
somebody typed one as the reason.
"""

import fcntl
import json
import os
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

FIRST = "0" * 64  # what the first line is bound to
_MODE = 0o660
_STEP = 64 * 1024
NAMED = 3  # ids that are named one by one; more are counted


class Audit:
    """The audit of one appliance. Any number of processes may write.

    folder  made if it is not there
    clock   POSIX seconds
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.file = folder / "audit.jsonl"
        self._clock = clock

    def write(self, *, who: str, what: str, about: str = "", reason: str = "", address: str = "") -> None:
        """Append a line, durably: to be called before what it tells is done. OSError if it cannot be written."""
        if not self.file.parent.is_dir():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.parent.chmod(0o2770)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.file, flags, _MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            line = {
                "at": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
                "who": _written(who),
                "what": _written(what),
                "about": _written(about),
                "reason": _written(reason),
                **({"address": _written(address)} if address else {}),
                "previous": _last_hash(descriptor),
            }
            body = json.dumps({**line, "hash": _hash(line)}, ensure_ascii=False) + "\n"
            os.write(descriptor, body.encode("utf-8"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.open(self.file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)  # the name too
        finally:
            os.close(folder)


def about(args: Mapping[str, Any]) -> str:
    """Return what a request is about: its ids if they are few, else how many, and what else it says."""
    ids = args.get("ids", ())
    named = [", ".join(ids) if len(ids) <= NAMED else f"{len(ids)} instances"] if ids else []
    return ", ".join([*named, *(f"{name} {value}" for name, value in args.items() if name != "ids" and value)])


def broken_at(file: Path) -> int | None:
    """Return the first line whose chain is broken; None if none is."""
    previous = FIRST
    with file.open("rb") as lines:
        for number, text in enumerate(lines, 1):
            try:
                line = json.loads(text)
                found = line.pop("hash")
            except (ValueError, KeyError, TypeError, AttributeError):
                return number
            if line.get("previous") != previous or found != _hash(line):
                return number
            previous = found
    return None


def last_lines(file: Path, count: int) -> list[dict[str, str]]:
    """Return the last lines, the oldest first; one that is no JSON object is left out."""
    with file.open("rb") as lines:
        texts = deque(lines, maxlen=count)
    found = []
    for text in texts:
        with suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict):
                found.append({str(key): str(value) for key, value in line.items()})
    return found


def _written(text: str) -> str:
    """Return text as UTF-8 can hold it: of a file's name that is none, the bytes stand as \\udcXX (PEP 383)."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _hash(line: dict[str, str]) -> str:
    # A line that somebody wrote beside us may hold half a character, escaped: it is broken, and no reason to fail.
    return sha256(json.dumps(line, sort_keys=True, ensure_ascii=False).encode("utf-8", "backslashreplace")).hexdigest()


def _last_hash(descriptor: int) -> str:
    """Return the hash of the last whole line; half a line that a power cut left was never acted upon, and goes."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    tail = b""
    start = end
    while start > 0 and tail.rstrip(b"\n").count(b"\n") < 1 + (not tail.endswith(b"\n")):
        start = max(0, start - _STEP)
        tail = os.pread(descriptor, end - start, start)
    whole, _, torn = tail.rpartition(b"\n")
    if torn:
        os.ftruncate(descriptor, end - len(torn))
    last = whole.rpartition(b"\n")[2]
    try:
        return str(json.loads(last)["hash"]) if last else FIRST
    except (ValueError, KeyError, TypeError):
        return sha256(last).hexdigest()  # altered: ``broken_at`` says where
