"""A statement compiled once: on the hot path SQLAlchemy's own execution costs more than the database does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """A Core statement with named parameters, compiled for the dialect of the first connection that runs it.

    `names` are all its parameters. Values go to the driver as they are, so only plain types are allowed. On SQLite the
    driver's own cursor is used; on PostgreSQL, where a round trip costs more than SQLAlchemy, its execution is.
    """

    def __init__(self, statement: Executable, names: Sequence[str]) -> None:
        self._statement = statement
        self._names = list(names)
        self._text: dict[str, tuple[str, list[str] | None, Mapping[str, Any]]] = {}

    def run(self, connection: Connection, *rows: Mapping[str, Any]) -> None:
        """Execute once for each row of parameters."""
        text, given = self._given(connection, rows)
        if connection.dialect.name != "sqlite":
            connection.exec_driver_sql(text, given if len(given) > 1 else given[0])
        elif len(given) == 1:
            connection.connection.cursor().execute(text, given[0])
        else:
            connection.connection.cursor().executemany(text, given)

    def first(self, connection: Connection, row: Mapping[str, Any]) -> Sequence[Any] | None:
        """The first row of the answer, in the order of the statement's columns."""
        text, given = self._given(connection, (row,))
        if connection.dialect.name != "sqlite":
            return connection.exec_driver_sql(text, given[0]).first()
        cursor = connection.connection.cursor()
        cursor.execute(text, given[0])
        found: Sequence[Any] | None = cursor.fetchone()
        cursor.close()
        return found

    def all(self, connection: Connection, row: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Every row of the answer, in the order of the statement's columns."""
        text, given = self._given(connection, (row,))
        if connection.dialect.name != "sqlite":
            return connection.exec_driver_sql(text, given[0]).all()
        cursor = connection.connection.cursor()
        cursor.execute(text, given[0])
        found: Sequence[Sequence[Any]] = cursor.fetchall()
        cursor.close()
        return found

    def _given(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> tuple[str, list[Any]]:
        name = connection.dialect.name
        if name not in self._text:
            assert isinstance(self._statement, ClauseElement)
            compiled = self._statement.compile(dialect=connection.dialect, column_keys=self._names)
            positions: list[str] | None = getattr(compiled, "positiontup", None)
            fixed = {key: value for key, value in (compiled.params or {}).items() if key not in self._names}
            self._text[name] = (str(compiled), None if positions is None else list(positions), fixed)
        text, order, fixed = self._text[name]
        if fixed:
            rows = [{**fixed, **row} for row in rows]
        if order is None:
            return text, [dict(row) for row in rows]
        return text, [tuple(row[key] for key in order) for row in rows]


def state_of(connection: Connection) -> object:
    """Equal at two moments of two transactions of this process only if nobody changed anything in between.

    None on PostgreSQL, where that cannot be told cheaply.
    """
    if connection.dialect.name != "sqlite":
        return None
    driver: Any = connection.connection.driver_connection
    # The first counts what other connections have committed, the second what this one has changed.
    (version,) = driver.execute("PRAGMA data_version").fetchone()
    return driver, version, driver.total_changes


class Upsert:
    """Inserts rows, or changes the `update` columns of those whose `key` exists: many rows in few statements.

    SQLite's driver lets go of the interpreter at every row of an `executemany`, and beside busy threads each time may
    cost milliseconds; so rows travel together, in groups of a few fixed sizes whose statements stay prepared.
    """

    _SIZES = (64, 16, 4, 3, 2, 1)

    def __init__(self, table: Table, *, key: str, update: Sequence[str]) -> None:
        self._columns = tuple(column.name for column in table.columns)
        changes = ", ".join(f"{name} = excluded.{name}" for name in update)
        # Only names of our own tables and columns become text; every value is a parameter.
        self._head = f"INSERT INTO {table.name} ({', '.join(self._columns)}) VALUES "  # noqa: S608
        self._tail = f" ON CONFLICT ({key}) DO UPDATE SET {changes}"
        group = f"({', '.join('?' * len(self._columns))})"
        self._sqlite = {size: self._head + ", ".join([group] * size) + self._tail for size in self._SIZES}
        self._postgresql = self._head + f"({', '.join(f'%({name})s' for name in self._columns)})" + self._tail

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write `rows`; a column that a row does not name is NULL."""
        if not rows:
            return
        columns = self._columns
        if connection.dialect.name != "sqlite":
            given = [{name: row.get(name) for name in columns} for row in rows]
            connection.exec_driver_sql(self._postgresql, given)
            return
        cursor = connection.connection.cursor()
        done = 0
        while done < len(rows):
            size = next(size for size in self._SIZES if size <= len(rows) - done)
            values: list[Any] = []
            for row in rows[done : done + size]:
                values += row.values() if tuple(row) == columns else map(row.get, columns)
            cursor.execute(self._sqlite[size], values)
            done += size
