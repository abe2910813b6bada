"""JSON lines that hospital IT may ship anywhere: what happened, to which spool id, and no word of a patient.

Three walls keep identifiers out. The event is the constant text in the program, its arguments are never merged into it.
Facts travel in ``extra`` and only those of FIELDS whose value has the form that is given there. Exceptions are told by
class and place; their own text only for our own errors, which promise to hold no value, and never for a library's:
pydicom's warnings and many an OSError quote what they choked on.
"""

import errno
import ipaddress
import json
import logging
import os
import re
import threading
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO

from appliance.errors import ApplianceError
from appliance.model import is_out_name, is_spool_id

OURS = "appliance"  # loggers below this name are ours; what others say is not repeated

# sd-daemon(3): journald strips the prefix and keeps the priority.
PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}

_CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_AE_TITLE = re.compile(r"[A-Za-z0-9_. -]{0,16}")
_PATH = re.compile(r"[A-Za-z0-9_./-]{1,200}")
_WORDS = re.compile(r"[ -~]{0,200}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_code(value: object) -> bool:
    """A word of ours: a state, reason, source, destination, role."""
    return isinstance(value, str) and _CODE.fullmatch(value) is not None


def _is_numbers(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_is_number(each) for each in value)


def _is_codes(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_is_code(each) for each in value)


def _is_id(value: object) -> bool:
    return isinstance(value, str) and (is_spool_id(value) or is_out_name(value))


def _is_address(value: object) -> bool:
    try:
        ipaddress.ip_address(str(value))
    except ValueError:
        return False
    return True


def _is_ae_title(value: object) -> bool:
    return isinstance(value, str) and _AE_TITLE.fullmatch(value) is not None


def _is_words(value: object) -> bool:
    """A sentence of the program about a peer or a destination; never about a data set."""
    return isinstance(value, str) and _WORDS.fullmatch(value) is not None


def _is_path(value: object) -> bool:
    return isinstance(value, str) and _PATH.fullmatch(value) is not None


def _is_errno(value: object) -> bool:
    return _is_number(value) or _is_code(value)


# Every fact that a log line may hold, and its form. A test reads the program for others.
FIELDS: dict[str, Callable[[object], bool]] = {
    "spool_id": _is_id,
    "out": _is_id,
    "service": _is_code,
    "source": _is_code,
    "destination": _is_code,
    "reason": _is_code,
    "labels": _is_codes,
    "state": _is_code,
    "status": _is_errno,
    "verb": _is_code,
    "how": _is_code,
    "kind": _is_code,
    "side": _is_code,
    "errno": _is_errno,
    "why": _is_words,
    "problem": _is_words,
    "detail": _is_words,
    "code": _is_code,
    "place": _is_code,
    "file": _is_path,  # of the configuration or of our own, never one that came in
    "line": _is_number,
    "project": _is_code,
    "rules_digest": _is_code,
    "peer": _is_address,
    "calling_ae": _is_ae_title,
    "called_ae": _is_ae_title,
    "ports": _is_numbers,
    "port": _is_number,
    "pid": _is_number,
    "item": _is_number,
    "round": _is_number,
    "attempts": _is_number,
    "exit_code": _is_number,
    "count": _is_number,
    "rows": _is_number,
    "files": _is_number,
    "bytes": _is_number,
    "contexts": _is_number,
    "engine": _is_code,
    "frames": _is_number,
    "boxes": _is_number,
    "accepted": _is_number,
    "taken": _is_number,
    "refused": _is_number,
    "missing": _is_number,
    "ms": _is_number,
    "seconds": _is_number,
    "after_s": _is_number,
}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    role      service that the process runs, part of each line
    priority  whether to begin with sd-daemon's ``<N>``, which journald turns into the priority
    """

    def __init__(self, role: str, *, priority: bool = False) -> None:
        super().__init__()
        self._role = role
        self._priority = priority

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "at": f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z",
            "level": record.levelname.lower(),
            "service": self._role,
        }
        if _is_ours(record.name):
            line["event"] = str(record.msg)
            line.update(_facts(record))
        else:
            line["event"] = "message of a library, its text is not repeated"
            line["library"] = record.name
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = _told(record.exc_info[1])
        text = json.dumps(line, ensure_ascii=True)
        return f"<{PRIORITIES.get(record.levelno, 6)}>{text}" if self._priority else text


def start_logging(role: str, stream: IO[str], *, level: str = "INFO", environ: Mapping[str, str] = os.environ) -> None:
    """Send every log record of this process to ``stream``, as JSON lines; Python's warnings too.

    Libraries are heard from WARNING on, ours from ``level`` on. Called once, at the start of a process.
    """
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines(role, priority=_is_journal(stream, environ)))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    logging.getLogger(OURS).setLevel(level)
    logging.captureWarnings(True)
    threading.excepthook = _thread_ended


def _thread_ended(ended: threading.ExceptHookArgs) -> None:
    """Tell it as everything else is told: Python's own way prints the exception's words."""
    logging.getLogger(__name__).error("a thread ended by an error", exc_info=ended.exc_value)


def _is_ours(name: str) -> bool:
    return name == OURS or name.startswith(OURS + ".")


def _facts(record: logging.LogRecord) -> dict[str, object]:
    """The facts of the record that have the form of their field; of others only that they were there."""
    facts: dict[str, object] = {}
    for name, has_form in FIELDS.items():
        if name in record.__dict__:
            value = record.__dict__[name]
            facts[name] = value if has_form(value) else "(not shown)"
    return facts


def _told(error: BaseException) -> dict[str, object]:
    """An exception by class and place in the program, with the words of our own errors only."""
    told: dict[str, object] = {"class": type(error).__name__, "at": _places(error)}
    if isinstance(error, ApplianceError):
        told["words"] = str(error)
    if isinstance(error, OSError) and error.errno is not None:
        told["errno"] = errno.errorcode.get(error.errno, str(error.errno))
    if error.__cause__ is not None:
        told["because"] = _told(error.__cause__)
    return told


def _places(error: BaseException) -> list[str]:
    """``file:line function``, the innermost last; files by their last two parts, so that no home folder is named."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {frame.name}" for frame in frames[-12:]]


def _is_journal(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether journald reads the stream itself. Source: systemd.exec(5), JOURNAL_STREAM."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
