"""How much of the disk each source's originals take: kept by triggers, so that asking costs nothing."""

from typing import Final

from appliance.spool.database import Database
from appliance.spool.settings import put

# Beside the rows, in the journal's schema. A journal of a version before is counted once, by ``count_once``.
SCHEMA: Final = """
CREATE TABLE held (source TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER held_insert AFTER INSERT ON instance WHEN NEW.purged = 0 BEGIN
    INSERT INTO held VALUES (NEW.source, NEW.size) ON CONFLICT DO UPDATE SET bytes = bytes + NEW.size;
END;
CREATE TRIGGER held_purge AFTER UPDATE OF purged ON instance WHEN NEW.purged <> OLD.purged BEGIN
    UPDATE held SET bytes = bytes + (OLD.purged - NEW.purged) * NEW.size WHERE source = NEW.source;
END;
CREATE TRIGGER held_delete AFTER DELETE ON instance WHEN OLD.purged = 0 BEGIN
    UPDATE held SET bytes = bytes - OLD.size WHERE source = OLD.source;
END;
"""
_COUNTED: Final = "held-counted"  # setting: the rows that were there before the triggers are in the sum


def count_once(database: Database) -> None:
    """Count the rows of a journal that an earlier version made; nothing if that was done."""
    with database.reading() as connection:
        if connection.execute("SELECT 1 FROM setting WHERE key = ?", (_COUNTED,)).fetchone() is not None:
            return
    with database.writing(durably=True) as connection:
        connection.execute("DELETE FROM held")
        connection.execute("INSERT INTO held SELECT source, sum(size) FROM instance WHERE purged = 0 GROUP BY source")
        put(connection, _COUNTED, "yes")


def held(database: Database) -> dict[str, int]:
    """Return source -> bytes of its originals that are on the disk, whatever their state."""
    with database.reading() as connection:
        return dict(connection.execute("SELECT source, bytes FROM held WHERE bytes > 0").fetchall())
