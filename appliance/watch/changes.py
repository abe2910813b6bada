"""Changes of the configuration and the rules, written into the audit: whoever made them need not say so."""

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from appliance.errors import Unsafe
from appliance.spool.files import open_regular, put_durably
from appliance.watch.audit import Audit

LOOK_S = 30.0
_LARGEST = 16 * 1024 * 1024  # bytes of a file that are looked at


class Changes:
    """Looks now and then whether files are as they were noted.

    files   what they are -> where: "configuration", "rules", "rules of trial-1"
    noted   where their digests are kept, so that a change while nothing ran is seen too
    clock   POSIX seconds
    """

    def __init__(self, files: Mapping[str, Path], noted: Path, audit: Audit, *, clock: Callable[[], float]) -> None:
        self._files = files
        self._noted = noted
        self._audit = audit
        self._clock = clock
        self._next = float("-inf")

    def step(self) -> bool:
        """Write what changed into the audit; return whether anything did."""
        now = self._clock()
        if 0 <= self._next - now <= LOOK_S:
            return False
        self._next = now + LOOK_S
        before = self._read()
        found = {name: digest for name, file in self._files.items() if (digest := _digest(file))}
        changed = {name: digest for name, digest in found.items() if before.get(name) != digest}
        for name, digest in changed.items():
            what = "changed" if name in before else "first seen"
            self._audit.write(who="appliance", what=f"{name} {what}", about=f"SHA-256 {digest}")
        if changed:
            put_durably(io.BytesIO(json.dumps(before | found).encode()), self._noted)
        return bool(changed)

    def _read(self) -> dict[str, str]:
        try:
            with open_regular(self._noted) as body:
                found = json.loads(body.read(_LARGEST))
            return {str(name): str(digest) for name, digest in found.items()}
        except (OSError, Unsafe, ValueError, AttributeError):
            return {}


def _digest(file: Path) -> str:
    """Return the SHA-256 (hex) of a file; "" if it cannot be read now."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
