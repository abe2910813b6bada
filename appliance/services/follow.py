"""The inside follows the outside: what every destination has named may let go of its original.

The outbox numbers what it settles; the journal keeps the last number that it has followed and the outbox's
generation. A rebuilt outbox has a new generation, and then everything is followed again.
"""

from appliance.spool.inside import Spool
from appliance.spool.outbox import Outbox

PAGE = 1000  # settled instances followed in one commit
EVERY_S = 1.0


class Follower:
    """Carries the outbox's word into the journal."""

    def __init__(self, spool: Spool, outbox: Outbox) -> None:
        self._spool = spool
        self._outbox = outbox
        self._next = 0.0

    def step(self, now: float) -> bool:
        """Follow at most PAGE settled instances, each EVERY_S seconds or at once while more are waiting."""
        if now < self._next:
            return False
        generation = self._outbox.generation
        cursor = self._spool.followed(generation)
        settled = self._outbox.settled_since(cursor, PAGE)
        if not settled:
            self._next = now + EVERY_S
            return False
        self._spool.follow(settled, generation)
        return True
