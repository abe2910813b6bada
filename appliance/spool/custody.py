"""Who owns a side's database, and whether the last owner ended cleanly: after an unclean stop it is checked."""

import threading
from collections.abc import Iterator

from appliance.spool.database import Database, DatabaseDamaged
from appliance.spool.settings import Settings

_RUNNING = "running"  # setting: there while an owner runs


class Custody:
    """The owner's mark in a database. Services that do not own the side never call ``begin``."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._settings = Settings(database)
        self._vouched = False

    def begin(self) -> bool:
        """Leave the mark; return whether there was none: the last owner ended cleanly, or there was none."""
        try:
            clean = not self._settings.get(_RUNNING)
            self._settings.put(_RUNNING, "yes")
        except DatabaseDamaged:
            return False  # whoever asks looks into the file now
        return clean

    def vouch(self) -> None:
        """The database was found sound: ``end`` may take the mark away."""
        self._vouched = True

    def end(self) -> None:
        """Take the mark away, if the database was found sound; do nothing for who did not begin, or met damage."""
        if self._vouched and not self.database.damaged:
            self._settings.put(_RUNNING, "")
            self._vouched = False


def look_if_unclean(custody: Custody) -> Iterator[None]:
    """Look whether the database is sound, if the last stop was no clean one; set it aside if it is not."""
    if not custody.begin():
        database = custody.database
        found: list[str] = []
        # Beside us: seconds for a million rows, in which the loop must feed its watchdog.
        failed: list[Exception] = []
        look = threading.Thread(target=lambda: _look(database, found, failed), name="quick-check", daemon=True)
        look.start()
        while look.is_alive():
            look.join(0.05)
            yield
        if failed:
            raise failed[0]  # it could not be looked at, so nothing is decided by it: looked at again
        if found:
            database.set_aside()
            custody.begin()
    custody.vouch()


def _look(database: Database, found: list[str], failed: list[Exception]) -> None:
    try:
        found += database.check()
    except Exception as error:  # noqa: BLE001 - the end of a thread: told to the one that waits for it
        failed.append(error)
