"""What the inbox asks of the journal: the next item's number, and where an item's images are now."""

import threading
from collections.abc import Mapping

from appliance.lifecycle import State
from appliance.spool.inside import Spool


class JournalLedger:
    """Implements ``intake.follow_up.Ledger``; its methods may be called from any thread."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._floor = 0

    def at_least(self, used: int) -> None:
        """Item numbers up to ``used`` are on receipts already, whatever a rebuilt journal knows of them."""
        with self._lock:
            self._floor = max(self._floor, used)

    def next_item(self) -> int:
        """Return a number that no item ever had; durable before it returns."""
        with self._lock:
            number = self._spool.next_item()
            while number <= self._floor:
                number = self._spool.next_item()
            return number

    def item_counts(self, item: int) -> Mapping[tuple[State, str], int]:
        """Return how many images of the item are in which state for which reason."""
        return self._spool.item_counts(item)
