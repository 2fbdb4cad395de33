"""The run's own rows: created, owned, journalled, ended. Every write of an owner is fenced by its lease."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from strop.errors import BadInput, NotFound
from strop.runs.outcome import Status
from strop.runs.tables import candidates, journal, looks, runs
from strop.store import Lease, Store

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as it is stored."""

    id: str
    task: str
    status: Status
    algorithm: str
    spec: Mapping[str, Any]
    directory: str | None
    data_fingerprint: str
    created_at: datetime
    updated_at: datetime
    seconds: float
    attempts: int
    cancel_requested: bool
    result: Mapping[str, Any] | None
    error: str | None


class Journal:
    """Reads and writes runs."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, *, task: str, algorithm: str, spec: Mapping[str, Any], directory: str | None, data_fingerprint: str
    ) -> RunRecord:
        """A new run, not yet started."""
        now = datetime.now(UTC)
        id = "".join(secrets.choice(ALPHABET) for _ in range(8))
        with self._store.write() as connection:
            connection.execute(
                runs.insert().values(
                    id=id, task=task, status="running", algorithm=algorithm, spec=dict(spec), directory=directory,
                    data_fingerprint=data_fingerprint, created_at=now, updated_at=now, seconds=0.0, attempts=0,
                    cancel_requested=0, result=None, error=None,
                )
            )  # fmt: skip
        return self.get(id)

    def get(self, id: str) -> RunRecord:
        """The run `id`; `last` is the newest, and an unambiguous beginning will do.

        Raises:
            NotFound: there is no such run, or several begin so.
        """
        with self._store.read() as connection:
            if id == "last":
                rows = connection.execute(select(runs).order_by(runs.c.created_at.desc()).limit(1)).mappings().all()
            else:
                rows = connection.execute(select(runs).where(runs.c.id == id)).mappings().all()
                if not rows and id.isalnum():
                    rows = connection.execute(select(runs).where(runs.c.id.like(f"{id}%"))).mappings().all()
        if len(rows) != 1:
            several = "several runs begin with" if rows else "there is no run"
            raise NotFound(f"{several} {id!r}", hint="`strop runs` lists them")
        return _record(rows[0])

    def all(self, *, task: str | None = None, limit: int = 50) -> list[RunRecord]:
        """Runs, newest first."""
        query = select(runs).order_by(runs.c.created_at.desc()).limit(limit)
        if task is not None:
            query = query.where(runs.c.task == task)
        with self._store.read() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]

    def done_before(self, record: RunRecord) -> bool:
        """Whether the same task was completed on the same data: then every call that it needs is recorded."""
        same = select(runs.c.spec).where(
            runs.c.data_fingerprint == record.data_fingerprint, runs.c.status == "completed", runs.c.id != record.id
        )
        with self._store.read() as connection:
            return any(spec == record.spec for spec in connection.execute(same).scalars())

    def begin(self, id: str, lease: Lease) -> None:
        """Another attempt starts."""
        self._update(id, lease, status="running", attempts=runs.c.attempts + 1, cancel_requested=0, error=None)

    def end(
        self,
        id: str,
        lease: Lease,
        *,
        status: Status,
        seconds: float,
        result: Mapping[str, Any] | None,
        error: str | None,
    ) -> None:
        """The attempt is over; `seconds` is its own duration and adds up."""
        kept = {} if result is None else {"result": dict(result)}
        self._update(id, lease, status=status, seconds=runs.c.seconds + seconds, error=error, **kept)

    def ask_to_cancel(self, id: str) -> RunRecord:
        """Ask whoever works on the run to stop.

        Raises:
            BadInput: it is not running.
        """
        record = self.get(id)
        if record.status != "running":
            raise BadInput(f"run {record.id} is not running but {record.status}")
        with self._store.write() as connection:
            connection.execute(update(runs).where(runs.c.id == record.id).values(cancel_requested=1))
        return record

    def note(self, id: str, lease: Lease, stage: str, data: Mapping[str, Any]) -> None:
        """Write what a stage found out; once a stage, the latest wins."""
        with self._store.write() as connection:
            lease.check(connection)
            row = {"run_id": id, "stage": stage, "at": datetime.now(UTC), "data": dict(data)}
            connection.execute(self._store.upsert(journal, ["run_id", "stage"], ["at", "data"]), row)

    def stages(self, id: str) -> dict[str, dict[str, Any]]:
        """What the stages of a run found out, by stage."""
        query = select(journal).where(journal.c.run_id == id).order_by(journal.c.at)
        with self._store.read() as connection:
            return {row.stage: row.data for row in connection.execute(query)}

    def keep_candidate(self, id: str, lease: Lease, row: Mapping[str, Any]) -> None:
        """Keep a candidate of the search; the same program again is not kept twice."""
        with self._store.write() as connection:
            lease.check(connection)
            connection.execute(self._store.insert_ignore(candidates), {"run_id": id, "at": datetime.now(UTC), **row})

    def forget_candidates(self, id: str, lease: Lease) -> None:
        """Drop what an earlier attempt found; its scores may have been measured in an outage."""
        with self._store.write() as connection:
            lease.check(connection)
            connection.execute(delete(candidates).where(candidates.c.run_id == id))

    def candidates(self, id: str) -> list[dict[str, Any]]:
        """The candidates of a run in the order in which they were found."""
        query = select(candidates).where(candidates.c.run_id == id).order_by(candidates.c.number)
        with self._store.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def look(self, id: str, lease: Lease, test_fingerprint: str, pair: str) -> int:
        """Open the sealed test set for a pair of programs: 1 for the first pair ever, counted for good.

        The same pair again is the same look: it can show nothing new.
        """
        with self._store.write() as connection:
            lease.check(connection)
            mine = connection.execute(
                select(looks.c.number).where(looks.c.test_fingerprint == test_fingerprint, looks.c.pair == pair)
            ).scalar_one_or_none()
            if mine is not None:
                return int(mine)
            number = 1 + _last_look(connection, test_fingerprint)
            connection.execute(
                looks.insert().values(
                    test_fingerprint=test_fingerprint, pair=pair, number=number, run_id=id, at=datetime.now(UTC)
                )
            )
        return number

    def looks(self, test_fingerprint: str) -> int:
        """How many times a test set has been opened."""
        with self._store.read() as connection:
            return _last_look(connection, test_fingerprint)

    def _update(self, id: str, lease: Lease, **values: Any) -> None:
        with self._store.write() as connection:
            lease.check(connection)
            connection.execute(update(runs).where(runs.c.id == id).values(updated_at=datetime.now(UTC), **values))


def _last_look(connection: Connection, test_fingerprint: str) -> int:
    query = select(func.max(looks.c.number)).where(looks.c.test_fingerprint == test_fingerprint)
    return int(connection.execute(query).scalar_one() or 0)


def _record(row: Mapping[Any, Any]) -> RunRecord:
    columns: dict[str, Any] = dict(row)
    columns["cancel_requested"] = bool(columns["cancel_requested"])
    return RunRecord(**columns)
