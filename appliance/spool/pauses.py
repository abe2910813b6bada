"""Destinations to which a person lets nothing go for now: for maintenance there, or while something is looked into.

What waits stays READY. A pause is kept over restarts, and in a file beside the outbox too: one that was lost or damaged
is made again from files, and must not let go what a person stopped. Of the two places either is enough. What must not
leave without leave has ``release: manual``.
"""

import io
import json
from dataclasses import asdict, dataclass

from appliance.errors import Unsafe
from appliance.spool.database import Database
from appliance.spool.files import open_regular, put_durably
from appliance.spool.settings import Settings

FILE = "pauses.json"  # beside the database

_PREFIX = "paused "
_LARGEST = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused a destination (a login), and when (POSIX seconds)."""

    by: str
    at: float


class Pauses:
    """The pauses of an outbox. One process changes them, the forward service."""

    def __init__(self, database: Database) -> None:
        self._settings = Settings(database)
        self._file = database.path.with_name(FILE)

    def pause(self, destination: str, by: str, at: float) -> None:
        """Remember a pause, durably; one that there is stays as it is."""
        pause = self.all().get(destination, Pause(by, at))
        self._settings.put(f"{_PREFIX}{destination}", json.dumps(asdict(pause)))
        self._put({**self._in_file(), destination: pause})

    def resume(self, destination: str) -> None:
        """Forget a pause, durably. Cut off in between, it is still paused."""
        self._settings.put(f"{_PREFIX}{destination}", "")
        self._put({name: pause for name, pause in self._in_file().items() if name != destination})

    def all(self) -> dict[str, Pause]:
        """Return destination -> its pause, of those that are paused."""
        found = self._settings.beginning(_PREFIX)
        rows = {name.removeprefix(_PREFIX): Pause(**json.loads(value)) for name, value in found.items() if value}
        return {**self._in_file(), **rows}

    def _in_file(self) -> dict[str, Pause]:
        """What the file says; nothing if it is none of ours: then the rows say it."""
        try:
            with open_regular(self._file) as body:
                found = json.loads(body.read(_LARGEST))
            return {str(name): Pause(str(each["by"]), float(each["at"])) for name, each in found.items()}
        except (FileNotFoundError, Unsafe, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _put(self, pauses: dict[str, Pause]) -> None:
        body = json.dumps({name: asdict(pause) for name, pause in pauses.items()})
        put_durably(io.BytesIO(body.encode()), self._file)
