"""What became of recalls goes into the audit: the outside carries them out, and may neither read nor write it.

A line a study, destination and state of each page. How far the outbox's changes were followed is kept in a file; a
crash between audit and file writes a line twice, and never loses one.
"""

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from appliance.errors import Unsafe
from appliance.lifecycle import RecallState
from appliance.spool.files import open_regular, put_durably
from appliance.spool.overview import Overview, Unreadable
from appliance.watch.audit import Audit

LOOK_S = 1.0
PAGE = 1000  # changes followed at a time
_LARGEST = 4096  # bytes of the file that are read

WORDS = {
    RecallState.DELETED: "deletion accepted",
    RecallState.ABSENT: "confirmed absent",
    RecallState.IMPOSSIBLE: "not possible there, a person has to",
    RecallState.REPLACED: "replaced by a later version",
}


class RecallAudit:
    """Follows the recalls of the outbox into the audit.

    state     the folder of the configuration's ``state``
    followed  where it is kept how far that is
    clock     POSIX seconds
    """

    def __init__(self, state: Path, followed: Path, audit: Audit, *, clock: Callable[[], float]) -> None:
        self._overview = Overview(state)
        self._followed = followed
        self._audit = audit
        self._clock = clock
        self._next = float("-inf")

    def step(self) -> bool:
        """Follow one page; return whether anything changed. Rows that cannot be read now are followed later."""
        now = self._clock()
        if 0 <= self._next - now <= LOOK_S:
            return False
        self._next = now + LOOK_S
        try:
            generation, changed = self._overview.recalls_changed(self._read(), PAGE)
        except Unreadable:
            return False
        if not changed:
            return False
        counts = Counter((each.study, each.destination, each.state) for _, each in changed if each.state in WORDS)
        for (study, destination, state), n in counts.items():
            self._audit.write(who="appliance", what=f"recall: {WORDS[state]}", about=f"{study} at {destination}: {n}")
        put_durably(io.BytesIO(json.dumps([generation, changed[-1][0]]).encode()), self._followed)
        return True

    def _read(self) -> tuple[str, int]:
        """Return the generation of the outbox, and the number up to which it was followed."""
        try:
            with open_regular(self._followed) as body:
                generation, number = json.loads(body.read(_LARGEST))
            return str(generation), int(number)
        except (OSError, Unsafe, ValueError, TypeError):
            return "", 0
