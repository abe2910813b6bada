"""Once a day each database is looked at from end to end: a page that a disk spoilt is found before it is needed.

What is found is not mended here: the service that owns the database is asked to make it from the files again.
"""

import logging
import threading

from appliance.spool.database import Database, DatabaseDamaged
from appliance.spool.requests import Requests
from appliance.spool.settings import Settings

log = logging.getLogger(__name__)

EVERY_S = 86_400.0
_LOOKED = "full-check"  # setting: when it was looked at last, POSIX seconds


class FullCheck:
    """The daily look at one database, beside its owner.

    owner  the service that is asked to rebuild it
    """

    def __init__(self, database: Database, owner: str, requests: Requests) -> None:
        self._database = database
        self._settings = Settings(database)
        self._owner = owner
        self._requests = requests
        self._look: threading.Thread | None = None
        self._found: list[str] = []
        self._asked = float("-inf")

    def step(self, now: float) -> bool:
        """Begin to look when a day is over, and tell what was found; return whether a look is under way."""
        try:
            return self._step(now)
        except DatabaseDamaged:  # met even before looking
            self._ask(now)
            return False

    def _step(self, now: float) -> bool:
        if self._look is None:
            if 0 <= now - float(self._settings.get(_LOOKED) or 0) < EVERY_S:
                return False
            self._settings.put(_LOOKED, str(now))
            self._look = threading.Thread(target=self._check, name=f"full-check-{self._owner}", daemon=True)
            self._look.start()
        if self._look.is_alive():
            return True
        self._look = None
        if self._found:
            self._ask(now)
        return False

    def _ask(self, now: float) -> None:
        if 0 <= now - self._asked < EVERY_S:
            return
        self._asked = now
        log.error("database damaged; it is rebuilt from the files", extra={"service": self._owner})
        self._requests.ask(self._owner, "rebuild", {})

    def _check(self) -> None:
        self._found = self._database.check(full=True)
