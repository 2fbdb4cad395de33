"""The ledger: every call, what it cost and what it answered. The only source of cost, latency and error figures."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, func, select, update

from strop.gateway.budget import Levels
from strop.gateway.call import Recorded, process_name
from strop.gateway.finding import find
from strop.gateway.tables import calls
from strop.gateway.writer import Writer
from strop.store import Lease, Store

MEMORY_CALLS = 2048
BOUGHT = ("paid", "embedded")


@dataclass(frozen=True, kw_only=True)
class Line:
    """Totals of the calls that share a model, a role and a phase. Money is picodollars."""

    scope: str
    model: str
    role: str
    phase: str
    calls: int
    bought: int
    replayed: int
    shared: int
    failed: int
    lost: int
    tokens_in: int
    tokens_out: int
    cost_pico: int
    uncertain_pico: int
    practice: bool
    latency_us: int


class Ledger:
    """Reads the calls; its writer records them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.writer = Writer(store)
        self._recent: OrderedDict[str, Recorded] = OrderedDict()
        self._lock = threading.Lock()

    def recorded(self, key: str, scope: str) -> Recorded | None:
        """The answer recorded under `key` by anybody, or the final failure recorded by this scope."""
        known = self.recent(key, scope)
        if known is not None:
            return known
        return find(self._store, key, scope)

    def recent(self, key: str, scope: str) -> Recorded | None:
        """What this process has just recorded under `key`, committed or not."""
        with self._lock:
            return self._recent.get(key) or self._recent.get(f"{scope}|{key}")

    def remember(self, key: str, scope: str, call: Recorded) -> None:
        """Keep a fresh answer at hand until it is committed, and a while longer. Failures are the scope's own."""
        with self._lock:
            self._recent[key if call.failure is None else f"{scope}|{key}"] = call
            if len(self._recent) > MEMORY_CALLS:
                self._recent.popitem(last=False)

    def settle_lost(self, scope: str, lease: Lease | None = None) -> int:
        """Calls of this scope that an earlier owner left in flight become `lost`, spent at their worst case.

        Returns how many there were. Only the scope's owner may say so, before its own first call: what comes back of
        an earlier attempt in this process is fenced by its lease. Without a lease this process's own calls are left.
        """
        lost: list[Row[Any]] = []

        def write(connection: Any) -> None:
            query = select(calls.c.id, calls.c.budget, calls.c.worst_pico).where(
                calls.c.scope == scope, calls.c.status == "open"
            )
            if lease is None:
                query = query.where(calls.c.owner != process_name())
            lost.extend(connection.execute(query).all())
            if not lost:
                return
            levels = Levels(connection, {r.budget for r in lost if r.budget}, lock=self._store.dialect == "postgresql")
            for row in lost:
                if row.budget:
                    levels.settle(row.budget, row.worst_pico, row.worst_pico)
            levels.save()
            connection.execute(
                update(calls).where(calls.c.id == bindparam("c_id")).values(status="lost"),
                [{"c_id": row.id} for row in lost],
            )

        self.writer.flush(lease, write)
        return len(lost)

    def forget_failures(self, scope: str, lease: Lease | None = None) -> None:
        """Let a resumed run ask again what failed in an outage: its recorded failures are no longer answers."""
        self.writer.flush()
        with self._store.write() as connection:
            if lease is not None:
                lease.check(connection)
            connection.execute(
                update(calls).where(calls.c.scope == scope, calls.c.status == "failed").values(final=False)
            )
        with self._lock:
            # Answers stay: those that are not committed yet would be paid again.
            for key in [key for key, call in self._recent.items() if call.failure is not None]:
                del self._recent[key]

    def lines(self, scope: str | None = None) -> list[Line]:
        """Totals by scope, model, role and phase, dearest first. `scope=None` is everything ever recorded."""
        self.writer.flush()
        c = calls.c

        def count(*conditions: Any) -> Any:
            return func.coalesce(func.sum(case((and_(*conditions), 1), else_=0)), 0)

        def total(column: Any) -> Any:
            return func.coalesce(func.sum(column), 0)

        bought = c.source.in_(BOUGHT)
        uncertain = and_(bought, c.cost_pico.is_(None))
        query = select(
            c.scope, c.model, c.role, c.phase,
            func.count().label("calls"),
            count(bought).label("bought"),
            count(c.source == "replayed").label("replayed"),
            count(c.source == "shared").label("shared"),
            count(c.status == "failed").label("failed"),
            count(c.status == "lost").label("lost"),
            total(case((bought, c.tokens_in), else_=0)).label("tokens_in"),
            total(case((bought, c.tokens_out), else_=0)).label("tokens_out"),
            total(c.cost_pico).label("cost_pico"),
            total(case((uncertain, c.worst_pico), else_=0)).label("uncertain_pico"),
            total(case((bought, c.finished_us - c.started_us), else_=0)).label("latency_us"),
        ).group_by(c.scope, c.model, c.role, c.phase)  # fmt: skip
        if scope is not None:
            query = query.where(c.scope == scope)
        with self._store.read() as connection:
            rows = connection.execute(query).mappings().all()
        lines = [_line(row) for row in rows]
        return sorted(lines, key=lambda line: (-line.cost_pico, line.scope, line.model, line.phase))

    def outages(self, scope: str) -> list[tuple[str, int, int, str]]:
        """Models with calls that got no answer for the provider's fault: model, how many, of how many, the last."""
        self.writer.flush()
        kinds = ("rate_limit", "server", "timeout", "connection", "garbage", "auth", "not_found")
        mine = and_(calls.c.scope == scope, calls.c.source.in_(BOUGHT), calls.c.final)
        out = and_(calls.c.status == "failed", calls.c.error_kind.in_(kinds))
        query = (
            select(
                calls.c.model,
                func.sum(case((out, 1), else_=0)),
                func.count(),
                func.max(case((out, calls.c.error), else_=None)),
            )
            .where(mine)
            .group_by(calls.c.model)
        )
        with self._store.read() as connection:
            rows = connection.execute(query).all()
        return [(str(r[0]), int(r[1]), int(r[2]), str(r[3])) for r in rows if r[1]]

    def rows(
        self, scope: str, *, status: Sequence[str] = (), after: str = "", limit: int = 1000
    ) -> list[dict[str, Any]]:
        """The calls of a scope in the order in which they were made, a page at a time."""
        self.writer.flush()
        query = select(calls).where(calls.c.scope == scope, calls.c.id > after).order_by(calls.c.id).limit(limit)
        if status:
            query = query.where(calls.c.status.in_(status))
        with self._store.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def every_row(self, scope: str) -> Iterator[dict[str, Any]]:
        """All calls of a scope without holding them all."""
        after = ""
        while page := self.rows(scope, after=after):
            yield from page
            after = page[-1]["id"]

    def close(self) -> None:
        """Commit what is left."""
        self.writer.close()


def _line(row: Mapping[Any, Any]) -> Line:
    counts: dict[str, Any] = {name: int(row[name]) for name in _COUNTED}
    model = str(row["model"])
    return Line(
        scope=row["scope"], model=model, role=row["role"], phase=row["phase"],
        practice=model.startswith("embedded/"), **counts,
    )  # fmt: skip


_COUNTED = (
    "calls", "bought", "replayed", "shared", "failed", "lost", "tokens_in", "tokens_out", "cost_pico",
    "uncertain_pico", "latency_us",
)  # fmt: skip
