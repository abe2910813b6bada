"""Small values that a database remembers beside its rows: cursors, the mark of a clean stop."""

import sqlite3

from appliance.spool.database import Database


class Settings:
    """Key and text, in the ``setting`` table that both schemas have."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: str = "") -> str:
        """Return the value of ``key``."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
        return default if row is None else str(row[0])

    def beginning(self, prefix: str) -> dict[str, str]:
        """Return key -> value of the keys that begin with ``prefix``."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT key, value FROM setting WHERE substr(key, 1, ?) = ?", (len(prefix), prefix)
            )
            return {str(key): str(value) for key, value in rows}

    def put(self, key: str, value: str) -> None:
        """Remember ``value``, durably."""
        with self._database.writing(durably=True) as connection:
            put(connection, key, value)


def put(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Remember a small value, within a transaction."""
    connection.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (key, value))
