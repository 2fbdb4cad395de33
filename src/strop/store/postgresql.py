"""PostgreSQL through psycopg 3."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import ClassVar

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from strop.errors import MissingExtra, StoreError, StoreUnwritable
from strop.store.backend import DialectName

# Names of two advisory locks, arbitrary but for ever: a program of another version must take the same ones.
_WRITER_LOCK = 0x5354524F50_01
_SCHEMA_LOCK = 0x5354524F50_02

_POOLED = 16


class Postgres:
    """A PostgreSQL database.

    An exclusive write takes one advisory lock, so that reading and then writing is as safe as on SQLite. A session that
    dies or freezes inside a transaction is ended by the server after two minutes, and with it its locks.
    """

    dialect: ClassVar[DialectName] = "postgresql"

    def __init__(self, url: URL, wait_s: float) -> None:
        self.url = url.set(drivername="postgresql").render_as_string(hide_password=True)
        self._wait_s = wait_s
        try:
            self._readers = self._engine(url, read_only=True)
            self._writers = self._engine(url, read_only=False)
        except ModuleNotFoundError as error:
            raise MissingExtra("a PostgreSQL database", "postgres") from error

    def _engine(self, url: URL, *, read_only: bool) -> Engine:
        """Readers and writers have their own connections: to change one's kind at every use costs more than a query."""
        import psycopg

        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=_POOLED,
            max_overflow=-1,
            pool_use_lifo=True,
            pool_pre_ping=True,
            hide_parameters=True,
        )

        def prepare(connection: psycopg.Connection, _record: object) -> None:
            connection.execute(f"SET lock_timeout = {max(1, int(self._wait_s * 1000))}".encode())
            connection.execute("SET idle_in_transaction_session_timeout = '120s'")
            connection.execute("SET timezone = 'UTC'")
            connection.commit()
            if read_only:
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                connection.read_only = True

        event.listen(engine, "connect", prepare)
        return engine

    @contextmanager
    def read(self) -> Generator[Connection]:
        with self._readers.connect() as connection:
            yield connection

    @contextmanager
    def single(self) -> Generator[Connection]:
        with self.read() as connection:
            yield connection

    @contextmanager
    def write(self, *, exclusive: bool) -> Generator[Connection]:
        with self._writers.begin() as connection:
            if exclusive:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER_LOCK})")
            yield connection

    @contextmanager
    def upgrading(self) -> Generator[Connection]:
        with self._writers.begin() as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})")
            yield connection

    def refuse_foreign(self, connection: Connection) -> None:
        """Other programs may have tables in the same PostgreSQL database."""

    def settle(self) -> None:
        pass

    def explain(self, error: Exception, *, writing: bool) -> StoreError | None:
        if not isinstance(error, DBAPIError):
            return None
        state: str = getattr(error.orig, "sqlstate", None) or ""
        detail = str(error.orig).strip()
        if state == "25006" and not writing:
            # A write inside read(): a fault of the program, not of the server.
            return None
        if state in {"53100", "25006", "42501"}:
            return StoreUnwritable(
                f"the database {self.url} cannot be written: {detail}; what was committed before is intact",
                hint="free space on the server, or connect as a user who may write to the primary",
            )
        if state == "55P03":
            return StoreError(
                f"another process has held the database {self.url} for over {self._wait_s:g} s",
                hint="the view pg_stat_activity of the server names it",
            )
        if error.connection_invalidated or state[:2] in {"08", "28", "3D", "53", "57"} or _unreachable(error, state):
            return StoreError(
                f"the database {self.url} cannot be reached: {detail}",
                hint="check that the server runs and that STROP_DATABASE_URL is right",
            )
        return None

    def close(self) -> None:
        self._readers.dispose()
        self._writers.dispose()


def _unreachable(error: DBAPIError, state: str) -> bool:
    """A connection attempt that failed carries no state from a server."""
    return not state and isinstance(error, OperationalError)
