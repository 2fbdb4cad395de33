"""Group commit: one thread writes what all callers have to say to the ledger, many at a time in one transaction.

A call's intent (with its reservation in every budget above it) is committed before the call is made; its outcome and
its settlement are committed together afterwards. A process that dies in between leaves the intent behind: visible,
priced at its worst case, and counted as spent.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection

from strop.errors import BudgetExceeded, Fenced, StoreError, StropError
from strop.gateway.budget import Levels, refusal
from strop.gateway.switch import Switch
from strop.gateway.tables import calls
from strop.store import Lease, Store, Upsert

BATCH = 512
IDLE_S = 0.2
LINGER_S = 0.003
WAIT_S = 0.05
FOREIGN_WAIT_S = 30.0


class Gate:
    """One-shot: the caller waits, the writer opens, perhaps with an error. Cheaper than a Future."""

    __slots__ = ("_lock", "error")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.error: Exception | None = None

    def open(self, error: Exception | None = None) -> None:
        self.error = error
        self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()
        if self.error is not None:
            raise self.error


@dataclass(kw_only=True)
class Intent:
    """A call that wants to be made: its row, its reservation, and who waits for the answer."""

    row: dict[str, Any]
    budget: str | None
    worst: int
    switch: Switch
    lease: Lease | None
    waited_s: float = 0.0
    gate: Gate = field(default_factory=Gate)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A call that ended: its row as it is now, and how its reservation is settled."""

    row: Mapping[str, Any]
    budget: str | None
    held: int
    spent: int
    lease: Lease | None


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """A row for an answer that cost nothing now: replayed from the ledger, or shared with a call in flight."""

    row: Mapping[str, Any]
    lease: Lease | None


@dataclass(frozen=True, kw_only=True)
class Flush:
    """Everything said before this is durable once the gate opens. `also` runs in the same transaction."""

    gate: Gate
    lease: Lease | None = None
    also: Callable[[Connection], None] | None = None


Op = Intent | Outcome | Repeat | Flush
_OUTCOME_COLUMNS = (
    "status", "final", "response", "error_kind", "error", "tokens_in", "tokens_out", "tokens_cached",
    "tokens_reasoning", "cost_pico", "started_us", "finished_us",
)  # fmt: skip


@dataclass(kw_only=True)
class _Done:
    """What a transaction will have done once it is committed."""

    answers: list[tuple[Gate, Exception | None]] = field(default_factory=list[tuple[Gate, Exception | None]])
    waiting: deque[Intent] = field(default_factory=deque[Intent])
    held: dict[str, int] = field(default_factory=dict[str, int])

    def hold(self, budget: str | None, amount: int) -> None:
        if budget is not None:
            self.held[budget] = self.held.get(budget, 0) + amount


class Writer:
    """The thread. `submit` never blocks; a gate opens when its op is durable or has failed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._queue: SimpleQueue[Op | None] = SimpleQueue()
        self._waiting: deque[Intent] = deque()
        self._unsaved: list[Op] = []
        self._held_here: dict[str, int] = {}
        self._closed = False
        self._calls = Upsert(calls, key="id", update=_OUTCOME_COLUMNS)
        self._chains: dict[str, tuple[str, ...]] = {}
        self._thread = threading.Thread(target=self._run, name="strop-ledger", daemon=True)
        self._thread.start()

    def submit(self, op: Op) -> None:
        """Hand an op to the writer."""
        if self._closed and isinstance(op, Intent | Flush):
            op.gate.open(StoreError("the ledger is closed"))
            return
        self._queue.put(op)

    def flush(self, lease: Lease | None = None, also: Callable[[Connection], None] | None = None) -> None:
        """Return when everything submitted before is committed; `also` is committed with it.

        Raises:
            StoreError: it could not be written.
            Fenced: the lease belongs to another process now.
        """
        gate = Gate()
        self.submit(Flush(gate=gate, lease=lease, also=also))
        gate.wait()

    def close(self) -> None:
        """Commit what is left and end the thread."""
        self._closed = True
        self._queue.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._gather()
            if batch or self._waiting or self._unsaved or not open_:
                self._commit(batch)
        for intent in self._waiting:
            intent.gate.open(StoreError("the ledger was closed"))

    def _gather(self) -> tuple[list[Op], bool]:
        """The next ops: at least one, then whatever is there; outcomes alone linger for company."""
        batch: list[Op] = []
        urgent = False
        try:
            op = self._queue.get(timeout=WAIT_S if self._waiting else IDLE_S if self._unsaved else None)
        except Empty:
            return batch, True
        while True:
            if op is None:
                return batch, False
            batch.append(op)
            urgent = urgent or isinstance(op, Intent | Flush)
            if len(batch) >= BATCH:
                return batch, True
            try:
                op = self._queue.get_nowait() if urgent else self._queue.get(timeout=LINGER_S)
            except Empty:
                return batch, True

    def _commit(self, batch: list[Op]) -> None:
        """Everything in one transaction; callers hear of it, and what is known here changes, only after the commit."""
        ops = [*self._unsaved, *self._waiting, *batch]
        try:
            with self._store.write() as connection:
                done = self._apply(connection, ops)
        except StropError as error:
            self._failed(ops, error)
            return
        except Exception as error:  # noqa: BLE001 - the writer must outlive any single batch, and every caller must hear
            self._failed(ops, StoreError(f"the ledger could not be written: {error}"))
            return
        self._unsaved = []
        self._waiting = done.waiting
        for budget, change in done.held.items():
            self._held_here[budget] = self._held_here.get(budget, 0) + change
        for gate, problem in done.answers:
            gate.open(problem)

    def _failed(self, ops: list[Op], error: Exception) -> None:
        """Nothing was written: callers hear it; outcomes of paid calls are kept and tried again."""
        self._unsaved = [op for op in ops if isinstance(op, Outcome)]
        self._waiting = deque()
        for op in ops:
            if isinstance(op, Intent | Flush):
                op.gate.open(error)

    def _apply(self, connection: Connection, ops: list[Op]) -> _Done:
        done = _Done()
        live = _unfenced(connection, ops, done)
        outcomes = [op for op in live if isinstance(op, Outcome)]
        intents = [op for op in live if isinstance(op, Intent)]
        ids = {op.budget for op in (*outcomes, *intents) if op.budget is not None}
        levels = Levels(connection, ids, lock=self._store.dialect == "postgresql", chains=self._chains) if ids else None
        for op in outcomes:
            if levels is not None and op.budget is not None:
                levels.settle(op.budget, op.held, op.spent)
                done.hold(op.budget, -op.held)
        rows: list[Mapping[str, Any]] = [op.row for op in outcomes]
        rows += self._admit(levels, intents, done)
        rows += [op.row for op in live if isinstance(op, Repeat)]
        self._calls.run(connection, rows)
        if levels is not None:
            levels.save()
        for op in live:
            if isinstance(op, Flush):
                if op.also is not None:
                    op.also(connection)
                done.answers.append((op.gate, None))
        return done

    def _admit(self, levels: Levels | None, intents: list[Intent], done: _Done) -> list[Mapping[str, Any]]:
        """Answer every intent in its order: granted, refused for good, or kept until calls in flight have settled."""
        rows: list[Mapping[str, Any]] = []
        held_here = any(self._held_here.values())
        for intent in intents:
            if intent.switch.stopped is not None:
                done.answers.append((intent.gate, BudgetExceeded("the run was stopped")))
                continue
            answer, node = levels.reserve(intent.budget, intent.worst) if levels else ("granted", None)
            if answer == "wait" and not held_here and not rows:
                intent.waited_s += WAIT_S
            if answer == "granted":
                done.answers.append((intent.gate, None))
                done.hold(intent.budget, intent.worst)
                rows.append(intent.row)
            elif node is not None and (answer == "refused" or intent.waited_s > FOREIGN_WAIT_S):
                done.answers.append((intent.gate, refusal(intent.row["model"], intent.worst, node)))
            else:
                done.waiting.append(intent)
        return rows


def _unfenced(connection: Connection, ops: list[Op], done: _Done) -> list[Op]:
    """The ops whose owner still owns its run; the others' callers are told that they lost it."""
    fenced: dict[int, Fenced] = {}
    for lease in {id(op.lease): op.lease for op in ops if op.lease is not None}.values():
        try:
            lease.check(connection)
        except Fenced as error:
            fenced[id(lease)] = error
    if not fenced:
        return ops
    for op in ops:
        if isinstance(op, Intent | Flush) and id(op.lease) in fenced:
            done.answers.append((op.gate, fenced[id(op.lease)]))
    return [op for op in ops if id(op.lease) not in fenced]
