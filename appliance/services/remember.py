"""The journal's memory of how far the mapping was: one that was put back to an earlier state is noticed."""

from appliance.mapping.lineage import SEEN, as_text, check_not_behind
from appliance.mapping.store import MappingStore
from appliance.spool.settings import Settings

EVERY_S = 10.0  # keyed pseudonyms come back by themselves, so this need not follow each


class Remember:
    """Compares the mapping with the journal's memory once, then keeps that memory up to date."""

    def __init__(self, settings: Settings, mapping: MappingStore) -> None:
        self._settings = settings
        self._mapping = mapping
        self._seen = ""
        self._next: float | None = None

    def step(self, now: float) -> None:
        """Remember how far the mapping is, every EVERY_S. The first time raises CannotStart if it is behind."""
        if self._next is None:
            self._seen = self._settings.get(SEEN)
            check_not_behind(self._mapping, self._seen)
        elif self._next - EVERY_S < now < self._next:
            return
        self._next = now + EVERY_S
        self.remember()

    def remember(self) -> None:
        """Remember how far the mapping is."""
        standing = as_text(self._mapping.standing())
        if standing != self._seen:
            self._settings.put(SEEN, standing)
            self._seen = standing
