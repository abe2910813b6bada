"""The inside follows the outside: what every destination has named may let go of its original.

The outbox numbers what it settles; the journal keeps the last number that it has followed and the outbox's
generation. A rebuilt outbox has a new generation, and then everything is followed again.
"""

from collections.abc import Callable

from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox

PAGE = 1000  # settled instances followed in one commit
EVERY_S = 1.0
MOST_PAGES = 20


class Follower:
    """Carries the outbox's word into the journal.

    on_new_outbox  called when the outbox was lost and begun again while we ran
    """

    def __init__(self, spool: Spool, outbox: Outbox, on_new_outbox: Callable[[], None] = lambda: None) -> None:
        self._spool = spool
        self._outbox = outbox
        self._on_new_outbox = on_new_outbox
        self._generation = ""
        self._next = 0.0

    def step(self, now: float) -> bool:
        """Follow at most PAGE instances each way, every EVERY_S seconds or at once while more are waiting."""
        if self._next - EVERY_S <= now < self._next:  # else it is due, or the clock was set back
            return False
        if self._page():
            return True
        self._next = now + EVERY_S
        return False

    def catch_up(self) -> None:
        """Follow what the outside has settled by now, up to MOST_PAGES; the rest follows by steps."""
        for _ in range(MOST_PAGES):
            if not self._page():
                break

    def _page(self) -> bool:
        generation = self._outbox.generation
        if self._generation not in ("", generation):
            self._on_new_outbox()
        self._generation = generation
        cursor = self._spool.followed(generation)
        settled = self._outbox.settled_since(cursor, PAGE)
        if settled:
            self._spool.follow(settled, generation)
        withdrawn = self._withdraw()
        return bool(settled) or withdrawn

    def _withdraw(self) -> bool:
        """Let the outside drop the rejected files of what an operator discarded."""
        outs = self._spool.withdrawable(PAGE)
        if outs:
            self._outbox.withdraw(outs)
            self._spool.withdrawn(outs)
        return bool(outs)
