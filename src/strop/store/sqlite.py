"""SQLite: a file shared by threads and processes, and a private database in memory."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import URL, Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from strop.errors import StoreError, StoreUnwritable
from strop.store.backend import DialectName

_KEPT_READERS = 32


class SqliteFile:
    """A database file in WAL mode: readers never wait, writers queue.

    Threads of this process queue on a lock, because SQLite's own waiting polls; processes queue on the file.
    Connections are kept open with SQLAlchemy's face on them, for its pool and its transactions cost twice the query.
    """

    dialect: ClassVar[DialectName] = "sqlite"

    def __init__(self, path: Path, wait_s: float) -> None:
        self._path = path
        self._wait_s = wait_s
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(path, error.strerror or str(error)) from error
        url = URL.create("sqlite", database=str(path))
        self.url = url.render_as_string()
        self._engine = create_engine(
            url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"timeout": wait_s, "check_same_thread": False, "isolation_level": None},
        )
        self._turn = threading.Lock()
        self._writer: Connection | None = None
        self._idle_readers: list[Connection] = []
        self._closed = False

    def _connect(self, *, query_only: bool) -> Connection:
        connection = self._engine.connect()
        driver = _driver(connection)
        driver.execute("PRAGMA synchronous=NORMAL")
        driver.execute("PRAGMA foreign_keys=ON")
        driver.execute(f"PRAGMA query_only={int(query_only)}")
        return connection

    @contextmanager
    def read(self) -> Generator[Connection]:
        with self.single() as connection:
            driver = _driver(connection)
            try:
                driver.execute("BEGIN")
                yield connection
            finally:
                driver.rollback()

    @contextmanager
    def single(self) -> Generator[Connection]:
        """One statement needs no BEGIN: beside busy threads each further statement may wait for the interpreter."""
        try:
            connection = self._idle_readers.pop()
        except IndexError:
            connection = self._connect(query_only=True)
        try:
            yield connection
        finally:
            if self._closed or len(self._idle_readers) >= _KEPT_READERS:
                connection.close()
            else:
                self._idle_readers.append(connection)

    @contextmanager
    def write(self, *, exclusive: bool) -> Generator[Connection]:  # noqa: ARG002 - every SQLite writer is alone
        with self._alone() as connection, _transaction(_driver(connection)):
            yield connection

    @contextmanager
    def upgrading(self) -> Generator[Connection]:
        self.settle()
        with self._alone() as connection:
            driver = _driver(connection)
            # Rebuilding a table drops it for a moment; references are checked at the end instead.
            driver.execute("PRAGMA foreign_keys=OFF")
            try:
                with _transaction(driver):
                    yield connection
                    _check_references(connection)
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def _alone(self) -> Generator[Connection]:
        """This process's only writing connection."""
        if not self._turn.acquire(timeout=self._wait_s):
            raise StoreError(
                f"another thread of this process has been writing to {self._path} for over {self._wait_s:g} s",
                hint="a write() must end quickly; no model is called inside one",
            )
        try:
            if self._writer is None:
                self._writer = self._connect(query_only=False)
            yield self._writer
        finally:
            if self._closed:
                self._drop_writer()
            self._turn.release()

    def refuse_foreign(self, connection: Connection) -> None:
        if connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one():
            raise StoreError(
                f"{self._path} is a SQLite database of another program; it was left as it is",
                hint="give Strop a path of its own",
            )

    def settle(self) -> None:
        """Switch the file to WAL, which it then stays in.

        SQLite's busy timeout does not cover this switch, so it is tried again by hand. Without WAL the promise about
        power cuts would not hold.
        """
        deadline = time.monotonic() + self._wait_s
        with self._alone() as connection:
            while True:
                try:
                    if _driver(connection).execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",):
                        return
                    raise StoreError(
                        f"the file system of {self._path} cannot keep a SQLite database safe (no shared memory)",
                        hint="network drives are like that: use a local disk, or PostgreSQL",
                    )
                except sqlite3.OperationalError as error:
                    if _condition(error) != "BUSY" or time.monotonic() > deadline:
                        raise
                time.sleep(0.02)

    def explain(self, error: Exception, *, writing: bool) -> StoreError | None:
        return _explain(error, self._path, self._wait_s, writing=writing)

    def close(self) -> None:
        """Connections in use are closed by whoever uses them, at the end of their block."""
        self._closed = True
        while self._idle_readers:
            self._idle_readers.pop().close()
        if self._turn.acquire(blocking=False):
            self._drop_writer()
            self._turn.release()

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class SqliteMemory:
    """A private database on one connection; threads take turns.

    The first one of a process is migrated, the others start as its copy: migrating takes longer than most tests.
    """

    dialect: ClassVar[DialectName] = "sqlite"
    _migrated: ClassVar[bytes] = b""
    url = "sqlite://"

    def __init__(self) -> None:
        engine = create_engine(
            self.url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "isolation_level": None},
        )
        self._turn = threading.RLock()
        self._connection = engine.connect()
        self._driver = _driver(self._connection)
        if SqliteMemory._migrated:
            with closing(sqlite3.connect(":memory:")) as template:
                template.deserialize(SqliteMemory._migrated)
                template.backup(self._driver)
        self._driver.execute("PRAGMA foreign_keys=ON")
        self._query_only = False

    @contextmanager
    def read(self) -> Generator[Connection]:
        with self._turn, self._only_queries(not self._driver.in_transaction):
            yield self._connection

    @contextmanager
    def single(self) -> Generator[Connection]:
        with self.read() as connection:
            yield connection

    @contextmanager
    def write(self, *, exclusive: bool) -> Generator[Connection]:  # noqa: ARG002 - every SQLite writer is alone
        with self._turn, self._only_queries(False), _transaction(self._driver):
            yield self._connection

    def upgrading(self) -> AbstractContextManager[Connection]:
        return self.write(exclusive=True)

    @contextmanager
    def _only_queries(self, wanted: bool) -> Generator[None]:
        before = self._query_only
        self._set_query_only(wanted)
        try:
            yield
        finally:
            self._set_query_only(before)

    def _set_query_only(self, wanted: bool) -> None:
        if wanted != self._query_only:
            self._driver.execute(f"PRAGMA query_only={int(wanted)}")
            self._query_only = wanted

    def refuse_foreign(self, connection: Connection) -> None:
        """Nobody else can have been here."""

    def settle(self) -> None:
        if not SqliteMemory._migrated:
            SqliteMemory._migrated = self._driver.serialize()

    def explain(self, error: Exception, *, writing: bool) -> StoreError | None:
        return _explain(error, Path(":memory:"), 0, writing=writing)

    def close(self) -> None:
        with self._turn:
            self._connection.close()


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.driver_connection
    return driver


@contextmanager
def _transaction(driver: sqlite3.Connection) -> Generator[None]:
    """The driver's own: SQLAlchemy's would end the outer one when an inner reader of the same connection leaves."""
    try:
        # Inside: a Ctrl-C that came while it waited is raised when it has begun.
        driver.execute("BEGIN IMMEDIATE")
        yield
        driver.commit()
    except BaseException:
        driver.rollback()
        raise


def _check_references(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise StoreError(
            f"the upgrade was undone: a row of table {broken[0]!r} refers to a missing row of {broken[2]!r}"
        )


def _condition(error: Exception) -> str:
    """SQLite's primary result code without its prefix: BUSY, FULL, READONLY, IOERR_WRITE..., or ''."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    name: str = getattr(cause, "sqlite_errorname", None) or ""
    code = name.removeprefix("SQLITE_")
    return code if code.startswith("IOERR") else code.split("_")[0]


def _unwritable(path: Path, why: str) -> StoreUnwritable:
    return StoreUnwritable(
        f"the database {path} cannot be written: {why}; what was committed before is intact",
        hint=f"free some space or make {path.parent} writable for this user, then repeat the command; "
        f"or name another place in STROP_DATABASE_URL",
    )


def _explain(error: Exception, path: Path, wait_s: float, *, writing: bool) -> StoreError | None:
    code = _condition(error)
    detail = str(error.orig if isinstance(error, DBAPIError) else error)
    if code in {"FULL", "CANTOPEN", "PERM"} or code in {"IOERR_WRITE", "IOERR_SHMSIZE", "IOERR_FSYNC"}:
        return _unwritable(path, detail)
    if code == "READONLY":
        # Inside read() this is a write that does not belong there: a fault of the program, not of the disk.
        return _unwritable(path, detail) if writing else None
    if code in {"BUSY", "LOCKED"}:
        return StoreError(
            f"another process has held the database {path} for over {wait_s:g} s",
            hint="end it (`fuser` or `lsof` on the file names it), or use PostgreSQL for many writers",
        )
    if code in {"NOTADB", "CORRUPT"} or code.startswith("IOERR"):
        return StoreError(
            f"the file {path} cannot be used as a database: {detail}",
            hint="put a good copy in its place, or move it away and start afresh",
        )
    return None
