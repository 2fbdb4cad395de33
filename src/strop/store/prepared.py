"""A statement compiled once: on the hot path SQLAlchemy's own execution costs more than the database does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
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
