"""Rows of the table `versions` on an open connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, true, update

from strop.errors import BadInput, NotFound
from strop.registry.manifest import spec_from
from strop.registry.tables import versions as table
from strop.registry.version import Version, Which

SHOWN = [column for column in table.c if column is not table.c.state]
"""All columns but the state, which may be big."""


def kept() -> ColumnElement[bool]:
    return table.c.deleted_at.is_(None)


def to_version(row: Row[Any]) -> Version:
    return Version(
        id=row.id,
        name=row.name,
        number=row.number,
        label=row.label,
        fingerprint=row.fingerprint,
        spec=spec_from(row.spec, where=f"version {row.number} of {row.name!r}"),
        manifest=row.manifest,
        metrics=row.metrics,
        lineage=row.lineage,
        notes=row.notes,
        origin=row.origin,
        active=row.active,
        created_at=row.created_at,
        deleted=row.deleted_at is not None,
    )


def one(connection: Connection, name: str, which: Which) -> Version:
    """
    Raises:
        NotFound: there is no such version, or it was deleted.
    """
    query = select(*SHOWN).where(table.c.name == name)
    if which is None or which == "active":
        query = query.where(table.c.active == true())
    elif which == "latest":
        query = query.where(kept()).order_by(table.c.number.desc()).limit(1)
    elif isinstance(which, int) or which.isdecimal():
        # A number that the database cannot hold is the number of no version.
        query = query.where(table.c.number == min(int(which), 2**31 - 1))
    else:
        query = query.where(table.c.label == which)
    row = connection.execute(query).first()
    if row is None or row.deleted_at is not None:
        raise _missing(connection, name, which, deleted=row is not None)
    return to_version(row)


def same_program(connection: Connection, name: str, fingerprint: str) -> Version | None:
    """The version of `name` that is this program already."""
    query = select(*SHOWN).where(table.c.name == name, table.c.fingerprint == fingerprint, kept())
    row = connection.execute(query).first()
    return None if row is None else to_version(row)


def new_number(connection: Connection, name: str) -> int:
    """One more than any number `name` ever had."""
    return 1 + (connection.execute(select(func.max(table.c.number)).where(table.c.name == name)).scalar() or 0)


def new_label(connection: Connection, name: str, number: int, wanted: str | None) -> str:
    """The wanted label, or `<number>.0.<first free>`.

    Raises:
        BadInput: the wanted label is or was another version's.
    """
    taken = set(connection.execute(select(table.c.label).where(table.c.name == name)).scalars())
    if wanted is None:
        return next(label for patch in range(len(taken) + 1) if (label := f"{number}.0.{patch}") not in taken)
    if wanted in taken:
        raise BadInput(f"{name!r} has a version with the label {wanted!r} already", hint="choose another label")
    return wanted


def check_parent(connection: Connection, name: str, lineage: Mapping[str, Any]) -> None:
    """
    Raises:
        BadInput: the lineage names a parent that never was.
    """
    parent, of = lineage.get("parent"), lineage.get("parent_name") or name
    if parent is None:
        return
    if not isinstance(parent, int) or not _exists(connection, (table.c.name == str(of)) & (table.c.number == parent)):
        raise BadInput(f"the parent {parent!r} is no version of {of!r}")


def switch(connection: Connection, name: str, number: int) -> None:
    """Make `number` the active one. Two steps, because the index allows one active row at every moment."""
    connection.execute(update(table).where(table.c.name == name, table.c.active == true()).values(active=False))
    connection.execute(update(table).where(table.c.name == name, table.c.number == number).values(active=True))


def _exists(connection: Connection, condition: ColumnElement[bool]) -> bool:
    return connection.execute(select(table.c.id).where(condition).limit(1)).first() is not None


def _missing(connection: Connection, name: str, which: Which, *, deleted: bool) -> NotFound:
    if not _exists(connection, (table.c.name == name) & kept()):
        known = sorted(connection.execute(select(table.c.name).where(kept()).distinct().limit(20)).scalars())
        hint = f"there are: {', '.join(known)}" if known else "a run registers its result"
        return NotFound(f"the registry has no {name!r}", hint=hint)
    if deleted:
        return NotFound(f"version {which} of {name!r} was deleted")
    hint = f"`strop versions list {name}` shows what there is"
    if which in {None, "active"}:
        return NotFound(f"no version of {name!r} is active", hint=f"{hint}; `strop versions activate` makes one active")
    return NotFound(f"{name!r} has no version {which!r}", hint=hint)
