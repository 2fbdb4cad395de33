"""Which versions of a name were active, and the way back through them."""

from __future__ import annotations

from collections.abc import Iterator, Set
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from strop.errors import BadInput
from strop.registry.tables import activations as table
from strop.registry.version import Activation, Kind


class History:
    """The history of one name on an open connection. Rows are only ever added."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    def entries(self) -> tuple[Activation, ...]:
        rows = self._connection.execute(select(table).where(table.c.name == self._name).order_by(table.c.id))
        return tuple(
            Activation(
                name=row.name, number=row.number, previous=row.previous, kind=row.kind, at=row.at, by=row.by,
                reason=row.reason,
            )
            for row in rows
        )  # fmt: skip

    def activated(self, number: int, *, reason: str, by: str) -> None:
        newest = self._newest()
        previous, back_to = (newest.number, newest.id) if newest else (None, None)
        self._add(number, previous=previous, back_to=back_to, kind="activated", reason=reason, by=by)

    def rolled_back(self, steps: int, *, kept: Set[int], reason: str, by: str) -> int:
        """Go back `steps` among the versions in `kept` and return the number arrived at.

        Raises:
            BadInput: there are fewer steps to go back.
        """
        newest = self._newest()
        way = list(islice(self._way_back(newest, kept), steps))
        if newest is None or len(way) < steps:
            raise BadInput(
                f"cannot roll {self._name!r} back by {steps}: {len(way)} other versions were active before",
                hint="activate a version by its number instead",
            )
        place = way[-1]
        self._add(place.number, previous=newest.number, back_to=place.back_to, kind="rolled_back", reason=reason, by=by)
        return place.number

    def _way_back(self, newest: Row[Any] | None, kept: Set[int]) -> Iterator[Row[Any]]:
        """Earlier active versions, newest first. After 1, 2, 1 with 2 deleted, 1 is not a step back from 1."""
        shown = row = newest
        while row is not None and shown is not None:
            if row.number in kept and row.number != shown.number:
                yield row
                shown = row
            row = self._row(row.back_to)

    def _newest(self) -> Row[Any] | None:
        query = select(table).where(table.c.name == self._name).order_by(table.c.id.desc()).limit(1)
        return self._connection.execute(query).first()

    def _row(self, row_id: int | None) -> Row[Any] | None:
        return self._connection.execute(select(table).where(table.c.id == row_id)).first() if row_id else None

    def _add(self, number: int, *, previous: int | None, back_to: int | None, kind: Kind, reason: str, by: str) -> None:
        values = {"name": self._name, "number": number, "previous": previous, "back_to": back_to, "kind": kind}
        self._connection.execute(insert(table).values(**values, at=datetime.now(UTC), by=by[:120], reason=reason))
