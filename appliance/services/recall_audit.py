"""What became of recalls goes into the audit, by the inside: the outside may not read it, and so may not write it.

A line a study, destination and state of each page. The journal remembers how far the outbox's changes were followed; a
crash between audit and memory writes a line twice, and never loses one.
"""

import logging
from collections import Counter

from appliance.lifecycle import RecallState
from appliance.spool.outbox import Outbox
from appliance.spool.settings import Settings
from appliance.watch.audit import Audit

log = logging.getLogger(__name__)

EVERY_S = 1.0
PAGE = 1000  # changes followed at a time
FOLLOWED = "recalls-followed"  # setting: generation of the outbox and the last number

WORDS = {
    RecallState.DELETED: "deletion accepted",
    RecallState.ABSENT: "confirmed absent",
    RecallState.IMPOSSIBLE: "not possible there, a person has to",
    RecallState.REPLACED: "replaced by a later version",
}


class RecallAudit:
    """Follows the recalls of the outbox into the audit.

    settings  the journal's
    """

    def __init__(self, settings: Settings, outbox: Outbox, audit: Audit) -> None:
        self._settings = settings
        self._outbox = outbox
        self._audit = audit
        self._next = 0.0

    def step(self, now: float) -> None:
        """Follow one page, every EVERY_S. What cannot be written now is written later; nobody waits for it."""
        if self._next - EVERY_S <= now < self._next:
            return
        self._next = now + EVERY_S
        generation = self._outbox.generation
        known, _, number = self._settings.get(FOLLOWED).partition(" ")
        changed = self._outbox.recalls.changed_since(int(number) if known == generation else 0, PAGE)
        if not changed:
            return
        counts = Counter((each.study, each.destination, each.state) for _, each in changed if each.state in WORDS)
        try:
            for (study, destination, state), n in counts.items():
                self._audit.write(
                    who="appliance", what=f"recall: {WORDS[state]}", about=f"{study} at {destination}: {n}"
                )
        except OSError as error:
            log.warning("audit cannot be written; tried again", extra={"errno": error.errno})
            return
        self._settings.put(FOLLOWED, f"{generation} {changed[-1][0]}")
