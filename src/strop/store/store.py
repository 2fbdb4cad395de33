"""The Store: one database, whichever it is, behind two verbs."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Table, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError

from strop.errors import SettingsError
from strop.store.backend import Backend, DialectName
from strop.store.postgresql import Postgres
from strop.store.prepared import Prepared
from strop.store.schema import bring_up_to_date
from strop.store.sqlite import SqliteFile, SqliteMemory

Insert = sqlite.Insert | postgresql.Insert


class Store:
    """One database, for all threads of a process.

    What lasts: a commit survives a killed process at once. In a SQLite file (WAL, synchronous=NORMAL) a power cut or a
    crashed operating system may lose the last commits, and does not corrupt the file; PostgreSQL keeps them (unless its
    own settings say otherwise). `:memory:` lives as long as its Store.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._here = threading.local()

    @classmethod
    def open(cls, url: str | Path | None = None, *, wait_s: float = 30.0) -> Self:
        """Open the database and bring its schema up to date.

        `url` is a path, `sqlite:///path`, `postgresql://...`, or `:memory:` (also None, `sqlite://`) for a private one.
        `wait_s` is how long a writer waits for another process. Raises StoreTooNew, StoreUnwritable, StoreError,
        MissingExtra, and SettingsError for an URL that is none of these.
        """
        store = cls(_backend(url, wait_s))
        try:
            with store._in_our_words(writing=True):
                bring_up_to_date(store._backend)
        except BaseException:
            store.close()
            raise
        return store

    @property
    def url(self) -> str:
        """Where the database is, its password hidden."""
        return self._backend.url

    @property
    def dialect(self) -> DialectName:
        return self._backend.dialect

    @contextmanager
    def read(self) -> Generator[Connection]:
        """A read-only connection on one snapshot: what others commit meanwhile is not seen. Hold it briefly.

        In memory a reader inside a write() of the same thread sees what was written so far.
        """
        with self._in_our_words(writing=False), self._backend.read() as connection:
            yield connection

    def first(self, statement: Prepared, row: Mapping[str, Any]) -> Sequence[Any] | None:
        """First row of one statement on its own: cheaper than `read()`, because one statement needs no transaction."""
        with self._in_our_words(writing=False), self._backend.single() as connection:
            return statement.first(connection, row)

    @contextmanager
    def write(self, *, exclusive: bool = True) -> Generator[Connection]:
        """One transaction, committed at the end of the block, rolled back when it raises.

        One writer at a time over all processes, so what is read inside stays true until the commit. With
        `exclusive=False` PostgreSQL lets writers run side by side: for appending rows that depend on nothing read.
        Raises RuntimeError inside another write() of the same thread, which would wait for itself for ever.
        """
        if getattr(self._here, "writing", False):
            raise RuntimeError("write() inside a write() of the same thread: pass the connection on instead")
        self._here.writing = True
        try:
            with self._in_our_words(writing=True), self._backend.write(exclusive=exclusive) as connection:
                yield connection
        finally:
            self._here.writing = False

    def insert(self, table: Table) -> Insert:
        """An INSERT with `on_conflict_do_nothing` and `on_conflict_do_update` in this database's dialect."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    def insert_ignore(self, table: Table) -> Insert:
        """An INSERT that leaves a row alone which is already there (by any unique key); rowcount tells."""
        return self.insert(table).on_conflict_do_nothing().execution_options(preserve_rowcount=True)

    def upsert(self, table: Table, key: Sequence[str], update: Sequence[str]) -> Insert:
        """An INSERT that sets the `update` columns of a row with the same `key` columns, when there is one."""
        statement = self.insert(table)
        return statement.on_conflict_do_update(
            index_elements=list(key), set_={name: statement.excluded[name] for name in update}
        )

    def close(self) -> None:
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _in_our_words(self, *, writing: bool) -> Generator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            ours = self._backend.explain(error, writing=writing)
            if ours is None:
                raise
            raise ours from error


def _backend(url: str | Path | None, wait_s: float) -> Backend:
    if url is None or url in {":memory:", "sqlite://", "sqlite:///:memory:"}:
        return SqliteMemory()
    if isinstance(url, Path) or "://" not in url:
        return SqliteFile(Path(url).expanduser().absolute(), wait_s)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError("the database URL cannot be read", hint=_KINDS) from error
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        if parsed.database in {None, "", ":memory:"}:
            return SqliteMemory()
        return SqliteFile(Path(parsed.database or "").expanduser().absolute(), wait_s)
    if kind in {"postgresql", "postgres"}:
        return Postgres(parsed, wait_s)
    raise SettingsError(f"databases of kind {kind!r} are not supported", hint=_KINDS)


_KINDS = "use a file path, sqlite:///path, postgresql://user:password@host/name, or :memory:"
