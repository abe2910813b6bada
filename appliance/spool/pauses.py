"""Destinations to which a person lets nothing go for now: for maintenance there, or while something is looked into.

What waits stays READY. A pause is kept over restarts, and is no lock: an outbox that was lost has forgotten it. What
must not leave without leave has ``release: manual``.
"""

import json
from dataclasses import dataclass

from appliance.spool.database import Database
from appliance.spool.settings import Settings

_PREFIX = "paused "


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused a destination (a login), and when (POSIX seconds)."""

    by: str
    at: float


class Pauses:
    """The pauses that the outbox knows."""

    def __init__(self, database: Database) -> None:
        self._settings = Settings(database)

    def pause(self, destination: str, by: str, at: float) -> None:
        """Remember a pause, durably; one that there is stays as it is."""
        if destination not in self.all():
            self._settings.put(f"{_PREFIX}{destination}", json.dumps({"by": by, "at": at}))

    def resume(self, destination: str) -> None:
        """Forget a pause, durably."""
        self._settings.put(f"{_PREFIX}{destination}", "")

    def all(self) -> dict[str, Pause]:
        """Return destination -> its pause, of those that are paused."""
        found = self._settings.beginning(_PREFIX)
        return {name.removeprefix(_PREFIX): Pause(**json.loads(value)) for name, value in found.items() if value}
