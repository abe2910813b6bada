"""One SQLite file that several services of two users share: how it is opened, written, checked and set aside.

WAL, so that readers and one writer do not wait for each other. Mode 0660 before WAL is switched on: SQLite gives the
files beside it the mode of the database, and a second user could not write. ``trusted_schema`` is off and the schema is
compared with ours, because the other side's program may have been taken over and can write the file.

All commits go through ``Database.commit``.
"""

import errno
import fcntl
import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from appliance.errors import CannotStart, SpoolFull, Unsafe
from appliance.spool.files import fsync_folder, make_folder

BUSY_S = 30.0  # how long a writer waits for another service's transaction
DATABASE_MODE = 0o660
WAL_LIMIT = 64 * 1024 * 1024  # bytes the write-ahead log is cut back to
CACHE_KB = 16 * 1024  # pages kept by a connection: the hot indexes of a large backlog
_MAKES = re.compile(r"^CREATE (?:TABLE|INDEX|TRIGGER) (\w+)", re.MULTILINE)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Damaged(Exception):
    """The file is no sound database of ours; what it indexed is rebuilt from files."""


class DatabaseDamaged(CannotStart):
    """A database turned out to be broken while it was used: its owner ends, and rebuilds it when started anew."""


class Database:
    """A connection of this process, opened at need and again when the file was replaced. Any thread may use it.

    schema    SQL that makes this version; run in one transaction, so that a reader sees all of it or nothing
    version   stored as user_version; a file of a newer version is refused, to an older one what it lacks is added
    """

    def __init__(self, path: Path, schema: str, version: int = 1, *, read_only: bool = False) -> None:
        self.path = path
        self.set_aside_to: Path | None = None  # where a damaged predecessor went, if this process moved it
        self.damaged = False  # it was found broken while this process used it
        self._schema = schema
        self._version = version
        self._read_only = read_only
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        if not read_only:
            make_folder(path.parent)
            with self._lock:
                self._connected()

    @contextmanager
    def writing(self, *, durably: bool) -> Iterator[sqlite3.Connection]:
        """One transaction, begun IMMEDIATE; committed at the end, rolled back on any exception.

        durably  on return it survives a power cut, and everything committed before too. Without, it survives the death
                 of every process but a power cut may take it: enough where a file says the same, or nothing is lost.

        Raises SpoolFull when there is no space, DatabaseDamaged when the file is broken.
        """
        with self._lock, self._damage_is_told():
            connection = self._connected()
            with _full_is_told(self.path):
                # Not inside a transaction: SQLite would not change it there.
                connection.execute(f"PRAGMA synchronous={'FULL' if durably else 'NORMAL'}")
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    self.commit(connection)
                except BaseException:
                    if connection.in_transaction:  # a full disk makes SQLite roll back by itself
                        connection.execute("ROLLBACK")
                    raise

    def commit(self, connection: sqlite3.Connection) -> None:
        """Commit: the one place."""
        connection.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view, whatever others write meanwhile. Keep it short: it holds back the log's reuse."""
        with self._lock, self._damage_is_told():
            connection = self._connected()
            if connection.in_transaction:  # within ``writing`` of the same thread
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("ROLLBACK")

    @property
    def is_there(self) -> bool:
        """Whether what was read last was the file, and no stand-in for one that is not there, or not ready."""
        return self._inode != 0

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._inode = 0

    def check(self, *, full: bool = False) -> list[str]:
        """Return what is wrong with the file, nothing if it is sound; ``full`` compares indexes with rows as well.

        Opens a connection of its own, so that others go on; seconds for a million rows.
        """
        try:
            connection = _connect(self.path)
            try:
                rows = connection.execute(f"PRAGMA {'integrity_check' if full else 'quick_check'}(20)").fetchall()
            finally:
                connection.close()
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                return [str(error)]
            raise
        return [text for (text,) in rows if text != "ok"]

    def set_aside(self) -> None:
        """Rename the file to ``<name>.damaged-<time>`` and begin an empty one.

        Other processes notice at their next use, since the name leads to another file, and open the new one.
        """
        with self._lock:
            self.close()
            with _alone(self.path.parent):
                self._rename_aside()
            self.damaged = False
            self._connected()

    @contextmanager
    def _damage_is_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self.damaged = True
            raise DatabaseDamaged(
                f"{self.path.name} is damaged. No image is lost: the files are the truth, and it is rebuilt from them"
                " when its service is started anew. Look at the disk."
            ) from error

    def _rename_aside(self) -> None:
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = self.path.with_name(f"{self.path.name}.damaged-{moment}")
        # The database first: beside an empty one SQLite deletes a log that is left over, while a damaged one without
        # its log may have lost the mark of the unclean stop, and would be taken for sound after a power cut here.
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        fsync_folder(self.path.parent)
        self.set_aside_to = aside

    # --- opening --------------------------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._inode == _inode(self.path):
            return self._connection
        self.close()
        if self._read_only:
            self._connection, self._inode = self._open_to_read()
        else:
            self._connection, self._inode = self._open_to_write()
        return self._connection

    def _open_to_write(self) -> tuple[sqlite3.Connection, int]:
        # One process at a time: switching WAL on does not wait for another that does, and only one may replace it.
        with _alone(self.path.parent):
            _make_file(self.path)
            try:
                connection = self._open_sound()
            except Damaged:
                self._rename_aside()
                _make_file(self.path)
                connection = self._open_sound()
            return connection, _inode(self.path)

    def _open_sound(self) -> sqlite3.Connection:
        """Open with our schema, made if there is none yet. Raises Damaged, CannotStart."""
        connection = _connect(self.path)
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA journal_size_limit={WAL_LIMIT}")
            connection.execute(f"PRAGMA cache_size=-{CACHE_KB}")
            self._make_schema(connection)
        except sqlite3.DatabaseError as error:
            connection.close()
            if is_damage(error):
                raise Damaged(str(error)) from error
            raise _not_opened(self.path, error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_schema(self, connection: sqlite3.Connection) -> None:
        found = _version(connection)
        if found < self._version:
            with _full_is_told(self.path):
                connection.execute("BEGIN IMMEDIATE")
                for statement in _statements(self._schema) if not found else self._lacking(connection):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={self._version}")
                self.commit(connection)
        if found:
            self._compare(connection, found)

    def _lacking(self, connection: sqlite3.Connection) -> list[str]:
        """Return the statements that make what an older version lacks. A version adds tables, indexes and triggers."""
        there = {name for _, name, _ in _objects(connection)}
        makes = [(each, _MAKES.search(each)) for each in _statements(self._schema)]
        return [statement for statement, made in makes if made is not None and made[1] not in there]

    def _compare(self, connection: sqlite3.Connection, found: int) -> None:
        if found > self._version:
            raise CannotStart(
                f"{self.path.name} was written by a newer version of the appliance (schema {found}). Nothing was"
                " changed and nothing is lost. Install that version again."
            )
        if _objects(connection) != _objects(_in_memory(self._schema)):
            raise Damaged("a table, index or trigger is not ours")

    def _open_to_read(self) -> tuple[sqlite3.Connection, int]:
        """Open the file, or an empty stand-in while there is none (or none that is ready)."""
        inode = _inode(self.path)
        if inode:
            _check_file(self.path)
            connection = _connect(self.path)
            connection.execute("PRAGMA query_only=ON")
            with suppress(sqlite3.DatabaseError):  # damaged: its owner will replace it
                if _version(connection) == self._version:
                    return connection, inode
            connection.close()
        return _in_memory(self._schema), 0


def _inode(path: Path) -> int:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return 0


def _make_file(path: Path) -> None:
    """Make an empty file of the right mode unless there is one. Raises Unsafe for anything but a plain file."""
    with suppress(FileExistsError), _full_is_told(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, DATABASE_MODE)
        os.fchmod(fd, DATABASE_MODE)
        os.close(fd)
        fsync_folder(path.parent)
    _check_file(path)


def _check_file(path: Path) -> None:
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise Unsafe(
            f"{path} is a link or special file, not a database. It was not opened and nothing was changed. Find out who"
            " put it there and remove it; the database is rebuilt from the files."
        )


def _connect(path: Path) -> sqlite3.Connection:
    # mode=rw for readers too: in WAL mode a reader takes part in the shared memory, which query_only does not hinder.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA trusted_schema=OFF")
    return connection


def _in_memory(schema: str) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    for statement in _statements(schema):
        connection.execute(statement)
    return connection


def _statements(schema: str) -> Iterator[str]:
    """Split the schema: executescript would commit our transaction first."""
    statement = ""
    for line in schema.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    rows = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master").fetchall()
    return {(kind, name, sql) for kind, name, sql in rows}


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether SQLite says that the file is broken, or none of its own."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _DAMAGED


def _is_full(error: sqlite3.DatabaseError) -> bool:
    # SHMSIZE: not even the shared memory beside the database could be made.
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def _not_opened(path: Path, error: sqlite3.DatabaseError) -> Exception:
    """Return what to raise for a file that cannot be opened: the disk's doing is told as that."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if _is_full(error):
        return SpoolFull(
            f"The file system of {path.parent} is full, so {path.name} cannot be opened. What was acknowledged is kept;"
            " nothing goes on until there is space. Free space there, then start again."
        )
    known = {sqlite3.SQLITE_READONLY: errno.EROFS, sqlite3.SQLITE_IOERR: errno.EIO, sqlite3.SQLITE_CANTOPEN: 0}
    if code not in known:
        return error
    return OSError(known[code], str(error), str(path))


@contextmanager
def _full_is_told(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if _is_full(error):
            raise SpoolFull(
                f"The file system of {path.parent} is full, so {path.name} cannot be written. What was acknowledged is"
                " kept; senders are told to retry later. Free space there."
            ) from error
        raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: one process at a time replaces a database in it."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
