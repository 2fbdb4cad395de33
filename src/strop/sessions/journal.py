"""The session's own rows: created, owned, noted, ended. Every write of an owner is fenced by its lease."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from strop.errors import BadInput, NotFound
from strop.sessions.result import SessionResult, SessionStatus, now
from strop.sessions.tables import session_notes, sessions
from strop.store import Lease, Store

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, kw_only=True)
class SessionRecord:
    """A session as it is stored. `problem` is None when its examples were given in memory."""

    id: str
    name: str
    status: SessionStatus
    config: Mapping[str, Any]
    problem: Mapping[str, Any] | None
    directory: str | None
    data_fingerprint: str
    created_at: datetime
    updated_at: datetime
    seconds: float
    attempts: int
    cancel_requested: bool
    result: Mapping[str, Any] | None
    error: str | None

    @property
    def found(self) -> SessionResult | None:
        """The result, whole or partial; None before the first attempt has ended."""
        return None if self.result is None else SessionResult.from_dict(self.result)


class SessionJournal:
    """Reads and writes sessions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self,
        *,
        name: str,
        config: Mapping[str, Any],
        problem: Mapping[str, Any] | None,
        directory: str | None,
        data_fingerprint: str,
    ) -> SessionRecord:
        """A new session, not yet started."""
        at = now()
        id = "s" + "".join(secrets.choice(ALPHABET) for _ in range(7))
        with self._store.write() as connection:
            connection.execute(
                sessions.insert().values(
                    id=id, name=name, status="running", config=dict(config), problem=problem, directory=directory,
                    data_fingerprint=data_fingerprint, created_at=at, updated_at=at, seconds=0.0, attempts=0,
                    cancel_requested=0, result=None, error=None,
                )
            )  # fmt: skip
        return self.get(id)

    def get(self, id: str) -> SessionRecord:
        """The session `id`; `last` is the newest, and an unambiguous beginning will do.

        Raises:
            NotFound: there is no such session, or several begin so.
        """
        newest = select(sessions).order_by(sessions.c.created_at.desc()).limit(1)
        with self._store.read() as connection:
            if id == "last":
                rows = connection.execute(newest).mappings().all()
            else:
                rows = connection.execute(select(sessions).where(sessions.c.id == id)).mappings().all()
                if not rows and id.isalnum():
                    rows = connection.execute(select(sessions).where(sessions.c.id.like(f"{id}%"))).mappings().all()
        if not rows and id == "last":
            raise NotFound(
                "there is no session yet", hint="`strop sessions train` begins one; -C names another directory"
            )
        if len(rows) != 1:
            several = "several sessions begin with" if rows else "there is no session"
            raise NotFound(f"{several} {id!r}", hint="`strop sessions` lists them")
        return _record(rows[0])

    def all(self, *, limit: int = 50) -> list[SessionRecord]:
        """Sessions, newest first."""
        query = select(sessions).order_by(sessions.c.created_at.desc()).limit(limit)
        with self._store.read() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def begin(self, id: str, lease: Lease) -> None:
        """Another attempt starts."""
        self._update(id, lease, status="running", attempts=sessions.c.attempts + 1, cancel_requested=0, error=None)

    def end(
        self, id: str, lease: Lease, *, status: SessionStatus, seconds: float, result: SessionResult, error: str | None
    ) -> None:
        """The attempt is over; `seconds` is its own duration and adds up."""
        self._update(
            id, lease, status=status, seconds=sessions.c.seconds + seconds, result=result.to_dict(), error=error
        )

    def note(self, id: str, lease: Lease, topic: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep a decision; when one was kept under this topic before, that one holds and is returned."""
        with self._store.write() as connection:
            lease.check(connection)
            row = {"session_id": id, "topic": topic, "at": now(), "data": dict(data)}
            connection.execute(self._store.insert_ignore(session_notes), row)
        return self.noted(id, topic) or data

    def noted(self, id: str, topic: str) -> Mapping[str, Any] | None:
        """The decision under `topic`, if one was taken."""
        mine = (session_notes.c.session_id == id) & (session_notes.c.topic == topic)
        with self._store.read() as connection:
            return connection.execute(select(session_notes.c.data).where(mine)).scalar_one_or_none()

    def ask_to_stop(self, id: str) -> SessionRecord:
        """Ask whoever works on the session to stop.

        Raises:
            BadInput: it is not running.
        """
        record = self.get(id)
        with self._store.write() as connection:
            mine = (sessions.c.id == record.id) & (sessions.c.status == "running")
            changed = connection.execute(update(sessions).where(mine).values(cancel_requested=1)).rowcount
        if changed != 1:
            ended = record.status.replace("_", " ")
            raise BadInput(f"session {record.id} is not running: {ended}", hint=f"strop sessions show {record.id}")
        return self.get(record.id)

    def _update(self, id: str, lease: Lease, **values: Any) -> None:
        with self._store.write() as connection:
            lease.check(connection)
            connection.execute(update(sessions).where(sessions.c.id == id).values(updated_at=now(), **values))


def _record(row: Mapping[Any, Any]) -> SessionRecord:
    columns: dict[str, Any] = dict(row)
    columns["cancel_requested"] = bool(columns["cancel_requested"])
    return SessionRecord(**columns)
