"""Once a day the inside's books are compared with the disk: every image that waits has its file, every row is counted.

Nothing is mended here. An image that waits and is gone is quarantined ``original-missing`` when its turn comes; this
says it before, and for those whose turn a person decides. What was delivered may lose its original: the destinations
are asked by ``reconciling``.
"""

import logging
from collections import Counter
from collections.abc import Callable

from appliance.lifecycle import State
from appliance.spool.inside import Spool
from appliance.spool.journal_view import Undelivered

log = logging.getLogger(__name__)

EVERY_S = 86_400.0
PAGE = 500  # rows of one step
_LOOKED = "books"  # setting: when they were last compared, POSIX seconds


class Books:
    """The daily comparison, beside the owner of the rows.

    told  is given what waits and has no file, by state, and how many rows are counted wrongly; both must be 0
    """

    def __init__(self, spool: Spool, told: Callable[[dict[str, int], int], None]) -> None:
        self._spool = spool
        self._told = told
        self._after: int | None = None
        self._missing: Counter[str] = Counter()

    def step(self, now: float) -> bool:
        """Begin when a day is over, then look at a page; return whether there is more to look at."""
        settings = self._spool.journal.settings
        if self._after is None:
            if 0 <= now - float(settings.get(_LOOKED) or 0) < EVERY_S:
                return False
            self._after, self._missing = 0, Counter()
        page = self._spool.journal.undelivered(self._after, PAGE)
        self._missing.update(each.seen.value for each in page if self._is_gone(each))
        if len(page) == PAGE:
            self._after = page[-1].seq
            return True
        self._after = None
        settings.put(_LOOKED, str(now))
        uncounted = self._spool.journal.uncounted()
        self._told(dict(self._missing), uncounted)
        if self._missing or uncounted:
            log.error("the books and the disk disagree", extra={"missing": self._missing.total(), "count": uncounted})
        return False

    def _is_gone(self, row: Undelivered) -> bool:
        if self._spool.layout.find(row.id) is not None:
            return False
        # It may have moved, or gone as it should, between the row and the look.
        state, _, purged = self._spool.journal.states([row.id]).get(row.id, (State.DISCARDED, "", True))
        return not purged and state is row.state and self._spool.layout.find(row.id) is None
