"""What an operator or another service asks for, as files: the service that owns the state carries it out.

    <root>/<owner>/<id>.json          {"verb": …, "args": {…}}; stays until answered, so it may be carried out twice
    <root>/<owner>/answers/<id>.json  what became of it; removed by whoever waited, or after a day

Each owner's folder belongs to the group of its side, so the outside can neither ask the inside nor read its answers.
Whoever may write into a folder may ask; nothing in a file is trusted: links are not followed, sizes are limited, what
is no request is removed unanswered.
"""

import io
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.errors import Unsafe
from appliance.spool.files import is_part, make_folder, open_regular, put_durably, unlink

LARGEST = 1024 * 1024  # bytes of a request or answer
AT_ONCE = 50  # requests taken in a step
ANSWERS_S = 86_400.0  # an answer that nobody fetched is removed
POLL_S = 0.05

_ANSWERS = "answers"
_NAME = re.compile(r"[a-z]{1,16}(-[a-z]{1,16})?")
_ID = re.compile(r"[0-9]{20}-[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Request:
    """Something asked. ``verb`` and ``args`` are as whoever asked wrote them: to be checked."""

    id: str
    owner: str
    verb: str
    args: dict[str, Any]


class Requests:
    """Asking and answering through a folder. ``clock`` gives POSIX seconds."""

    def __init__(self, root: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._root = root
        self._clock = clock

    def ask(self, owner: str, verb: str, args: dict[str, Any]) -> str:
        """Leave a request for ``owner``, durably; return its id."""
        request_id = f"{int(self._clock() * 1e9):020d}-{secrets.token_hex(8)}"
        body = json.dumps({"verb": verb, "args": args}).encode()
        if len(body) > LARGEST:
            raise ValueError(f"a request is at most {LARGEST} bytes; ask in several")
        put_durably(io.BytesIO(body), self._folder(owner) / f"{request_id}.json")
        return request_id

    def take(self, owner: str) -> list[Request]:
        """Return what ``owner`` is asked, the oldest first; each again until it is answered."""
        folder = self._folder(owner)
        self._forget(folder / _ANSWERS, lambda _: True)
        self._forget(folder, is_part)
        names = sorted(
            path.name for path in folder.iterdir() if not path.name.startswith(".") and path.name != _ANSWERS
        )
        return [request for name in names[:AT_ONCE] if (request := _read_request(folder / name, owner)) is not None]

    def answer(self, owner: str, request_id: str, answer: dict[str, Any]) -> None:
        """Say what became of a request, durably; only then is the request removed."""
        name = f"{_checked(request_id)}.json"
        answers = self._folder(owner) / _ANSWERS
        make_folder(answers)
        put_durably(io.BytesIO(json.dumps(answer).encode()), answers / name)
        unlink(self._folder(owner) / name)

    def wait(self, owner: str, request_id: str, timeout_s: float) -> dict[str, Any] | None:
        """Return the owner's answer when it comes, None after ``timeout_s``."""
        path = self._folder(owner) / _ANSWERS / f"{_checked(request_id)}.json"
        until = time.monotonic() + timeout_s
        while True:
            found = _read_json(path)
            if found is not None:
                unlink(path)
                return found
            if time.monotonic() >= until:
                return None
            time.sleep(POLL_S)

    def _folder(self, owner: str) -> Path:
        if _NAME.fullmatch(owner) is None or owner == _ANSWERS:
            raise ValueError("an owner is the name of a service")
        folder = self._root / owner
        make_folder(folder)
        return folder

    def _forget(self, folder: Path, what: Callable[[Path], bool]) -> None:
        """Remove what nobody fetched, or whose writer was killed, after a day."""
        if not folder.is_dir():
            return
        for path in folder.iterdir():
            try:
                if what(path) and self._clock() - path.lstat().st_mtime > ANSWERS_S:
                    unlink(path)
            except FileNotFoundError:
                continue  # fetched at this moment


def _checked(request_id: str) -> str:
    if _ID.fullmatch(request_id) is None:
        raise ValueError("no id of a request")
    return request_id


def _read_request(path: Path, owner: str) -> Request | None:
    try:
        body = _read_json(path) if _ID.fullmatch(path.stem) and path.suffix == ".json" else None
    except PermissionError:
        body = None  # what its owner may not read was not asked by our commands, and must not stop its service
    verb, args = (body or {}).get("verb"), (body or {}).get("args")
    if isinstance(verb, str) and isinstance(args, dict):
        return Request(path.stem, owner, verb, args)
    if not path.is_dir() or path.is_symlink():  # a folder is left: removing trees on somebody's word is no service
        unlink(path)
    return None


def _read_json(path: Path) -> dict[str, Any] | None:
    """Return the object in a file; None if there is no such file, or no object in it."""
    try:
        with open_regular(path) as file:
            body = file.read(LARGEST + 1)
    except (FileNotFoundError, Unsafe):
        return None
    if len(body) > LARGEST:
        return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
