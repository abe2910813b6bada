"""After an item is done: its receipt follows the images until they have arrived, and old files are removed."""

import re
import shutil
from collections import deque
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Protocol

from appliance.intake import receipts
from appliance.intake.beneath import Beneath, Parts
from appliance.intake.receipts import Receipt
from appliance.intake.scan import FAILED, PROCESSED, RECEIPTS
from appliance.lifecycle import State

EVERY_S = 5.0  # a receipt is compared with the journal this often, or as often as there is time
AT_ONCE = 50  # receipts in one step
DUTY = 20  # counting may take one part in so many of the time
RECEIPT_DAYS = 365  # receipts are small, and questions come late

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


class Ledger(Protocol):
    """What the inbox needs of the journal."""

    def next_item(self) -> int:
        """Return a number that no item ever had; durable before it returns."""
        ...

    def at_least(self, used: int) -> None:
        """Item numbers up to ``used`` were given before, whatever the journal knows of them."""
        ...

    def item_counts(self, item: int) -> Mapping[tuple[State, str], int]:
        """Return how many images of the item are in which state for which reason ("" without one)."""
        ...


class FollowUp:
    """The receipts of one clinic that are still followed, and what is kept for some days only."""

    def __init__(self, clinic: Beneath, ledger: Ledger, monotonic: Callable[[], float]) -> None:
        self._clinic = clinic
        self._ledger = ledger
        self._monotonic = monotonic
        self._followed: deque[Receipt] = deque()
        self._last: dict[int, Mapping[tuple[State, str], int]] = {}
        self._next_round = float("-inf")
        self._left_of_round = 0
        self._spent = 0.0  # seconds that this round has taken: counting a large item costs as much as it is large
        self._purged = date.min

    def begin(self) -> None:
        """Read from the folder which receipts are not complete."""
        self._followed = deque(receipts.followed(self._clinic))

    def add(self, receipt: Receipt) -> None:
        """Follow a new receipt too."""
        self._followed.append(receipt)

    def __len__(self) -> int:
        return len(self._followed)

    def step(self, moment: datetime) -> None:
        """Compare some receipts with the journal and write those whose counts changed."""
        began = self._monotonic()
        if self._left_of_round == 0:
            if began < self._next_round:
                return
            self._left_of_round, self._spent = len(self._followed), 0.0
        for _ in range(min(AT_ONCE, self._left_of_round)):
            self._left_of_round -= 1
            receipt = self._followed.popleft()
            if self._is_still_followed(receipt, moment):
                self._followed.append(receipt)
            else:
                self._last.pop(receipt.item, None)
        now = self._monotonic()
        self._spent += now - began
        self._next_round = now + max(EVERY_S, DUTY * self._spent)

    def _is_still_followed(self, receipt: Receipt, moment: datetime) -> bool:
        counts = self._ledger.item_counts(receipt.item)
        if counts == self._last.get(receipt.item, {}):
            return True
        self._last[receipt.item] = counts
        return receipts.update(self._clinic, receipt, counts, moment)

    def purge(self, today: date, processed_days: int, failed_days: int | None) -> None:
        """Remove what was processed or not taken more than so many days ago, and very old receipts; once a day.

        failed_days  None: what was not taken stays
        """
        if self._purged == today:
            return
        self._purged = today
        for shelf, days in ((PROCESSED, processed_days), (FAILED, failed_days)):
            for name in self._clinic.names((shelf,)) if days is not None else ():
                if days is not None and _DATE.fullmatch(name) and _older(name, today, days):
                    self._remove_all((shelf,), name)
        for day, name in list(receipts.dated(self._clinic)):
            if _older(day, today, RECEIPT_DAYS):
                self._clinic.remove((RECEIPTS, name))

    def _remove_all(self, parts: Parts, name: str) -> None:
        with self._clinic.folder(parts) as folder:
            shutil.rmtree(name, ignore_errors=True, dir_fd=folder)


def _older(day: str, today: date, days: int) -> bool:
    try:
        return date.fromisoformat(day) < today - timedelta(days=days)
    except ValueError:
        return False
