"""All that the reports of a site hold, as text: what SQLite gives, and the accounts unpacked."""

import sqlite3
import zlib
from pathlib import Path


def everything(state: Path) -> tuple[str, list[str], list[str]]:
    """Return the text, the ids and the studies that reports are kept of."""
    with sqlite3.connect(f"file:{state / 'inside' / 'reports.db'}?mode=ro", uri=True) as reports:
        accounts = [zlib.decompress(body).decode() for (body,) in reports.execute("SELECT packed FROM body")]
        rows = reports.execute("SELECT * FROM report").fetchall()
        ids = [spool_id for (spool_id,) in reports.execute("SELECT DISTINCT id FROM report")]
        studies = [uid for (uid,) in reports.execute("SELECT DISTINCT study FROM report WHERE study <> ''")]
    return "\n".join([*accounts, *map(repr, rows)]), ids, studies
