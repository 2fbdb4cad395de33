"""Group commit: what all callers have to say to the ledger is written many at a time in one transaction.

A call's intent (with its reservation in every budget above it) is committed before the call is made; its outcome and
its settlement are committed together afterwards. A process that dies in between leaves the intent behind: visible,
priced at its worst case, and counted as spent.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, select

from strop.errors import BudgetExceeded, Fenced, StoreError, StropError
from strop.gateway.budget import Levels, Node, Shelf, refusal
from strop.gateway.call import Recorded
from strop.gateway.finding import find_all
from strop.gateway.switch import Switch
from strop.gateway.tables import calls
from strop.store import Lease, Store, Upsert, state_of

IDLE_S = 0.2
LINGER_S = 0.02
ROUNDS = 3
CROWD = 8
GATHER_S = 0.005
WAIT_S = 0.05
FOREIGN_WAIT_S = 30.0


class Gate:
    """One-shot: the caller waits, the writer opens, perhaps with an error. Cheaper than a Future."""

    __slots__ = ("_lock", "error", "opened")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.opened = False
        self.error: Exception | None = None

    def open(self, error: Exception | None = None) -> None:
        """Let the caller go on; the first answer counts."""
        if not self.opened:
            self.error = error
            self.opened = True
            self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()
        if self.error is not None:
            raise self.error

    def lets_pass(self, timeout_s: float) -> bool:
        """Whether it opens without an error in that time, also for one whose waiting was interrupted."""
        if not self.opened:
            self._lock.acquire(timeout=timeout_s)
        return self.opened and self.error is None


@dataclass(kw_only=True, slots=True, eq=False)
class Intent:
    """A call that wants to be made: its row, its reservation, and who waits for the answer.

    With `look` the call is not made when its answer is recorded already; then `known` is that answer. A caller that
    has `left` gets nothing any more.
    """

    row: dict[str, Any]
    budget: str | None
    worst: int
    switch: Switch
    lease: Lease | None
    look: bool = False
    known: Recorded | None = None
    left: bool = False
    waits_since: float | None = None
    gate: Gate = field(default_factory=Gate)


@dataclass(kw_only=True, slots=True)
class Outcome:
    """A call that ended: its row as it is now, and how its reservation is settled."""

    row: Mapping[str, Any]
    budget: str | None
    held: int
    spent: int
    lease: Lease | None


@dataclass(kw_only=True, slots=True)
class Withdrawal:
    """A declared call that was never sent: its row goes, and its reservation."""

    id: str
    budget: str | None
    held: int
    lease: Lease | None


@dataclass(kw_only=True, slots=True)
class Repeat:
    """A row for an answer that cost nothing now: replayed from the ledger, or shared with a call in flight."""

    row: Mapping[str, Any]
    lease: Lease | None


@dataclass(kw_only=True, slots=True, eq=False)
class Flush:
    """Everything said before this is durable once the gate opens. `also` runs in the same transaction."""

    gate: Gate
    lease: Lease | None = None
    also: Callable[[Connection], None] | None = None


Op = Intent | Outcome | Withdrawal | Repeat | Flush
_OUTCOME_COLUMNS = (
    "status", "final", "response", "error_kind", "error", "tokens_in", "tokens_out", "tokens_cached",
    "tokens_reasoning", "cost_pico", "started_us", "finished_us",
)  # fmt: skip


@dataclass(kw_only=True)
class _Done:
    """What a transaction will have done once it is committed."""

    answers: list[tuple[Gate, Exception | None]] = field(default_factory=list[tuple[Gate, Exception | None]])
    waiting: deque[Intent] = field(default_factory=deque[Intent])
    opened: int = 0
    held: dict[str, int] = field(default_factory=dict[str, int])
    proof: tuple[str, str | None] | None = None
    """A row that it has written, and its status; None for one that it has removed."""
    budgets: tuple[dict[str, Node], object] | None = None

    def hold(self, budget: str | None, amount: int) -> None:
        if budget is not None:
            self.held[budget] = self.held.get(budget, 0) + amount


class Writer:
    """Whoever has an intent or a flush commits it, with whatever else is there; who finds another at it waits for him.

    Outcomes and repeats wait a little for company: the next intent takes them along, or the writer's own thread does.
    A gate opens when its op is durable or has failed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._urgent: deque[Intent | Flush] = deque()
        self._patient: deque[Outcome | Withdrawal | Repeat] = deque()
        self._turn = threading.Lock()
        self._wake = threading.Event()
        self._waiting: deque[Intent] = deque()
        self._unsaved: list[Op] = []
        self._held_here: dict[str, int] = {}
        self._open = 0
        self._closed = False
        self._calls = Upsert(calls, key="id", update=_OUTCOME_COLUMNS)
        self._shelf = Shelf()
        self._thread = threading.Thread(target=self._run, name="strop-ledger", daemon=True)
        self._thread.start()

    def submit(self, op: Op) -> None:
        """Have an op committed: an intent or a flush now, unless another thread is at it; the others soon."""
        if isinstance(op, Intent | Flush):
            if self._closed:
                op.gate.open(StoreError("the ledger is closed"))
                return
            self._urgent.append(op)
            self._serve(op)
            return
        self._patient.append(op)
        if self._closed:
            with self._turn:
                self._commit()
            self._serve()
        elif not self._wake.is_set():
            self._wake.set()

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
        self._wake.set()
        self._thread.join(timeout=30)

    def _serve(self, mine: Op | None = None) -> None:
        """Commit until nobody urgent is left, but not for ever: after a few rounds the own thread takes over."""
        for _ in range(ROUNDS):
            if not self._urgent or not self._turn.acquire(blocking=False):
                return
            try:
                if self._open > CROWD:
                    # Many calls are under way, so more intents are about to come: fewer, fuller transactions.
                    time.sleep(GATHER_S)
                self._commit(mine)
            except BaseException:
                # Ctrl-C before the commit: whoever has come meanwhile counts on this thread.
                self._wake.set()
                raise
            finally:
                self._turn.release()
            if self._waiting or self._unsaved:
                # The own thread tries these again; it may be asleep without an end.
                self._wake.set()
        if self._urgent:
            self._wake.set()

    def _run(self) -> None:
        while not self._closed:
            self._wake.wait(WAIT_S if self._waiting else IDLE_S if self._unsaved else None)
            if not self._urgent and not (self._waiting and self._patient) and not self._closed:
                time.sleep(LINGER_S)
            self._wake.clear()
            with self._turn:
                self._commit()
            self._serve()
        with self._turn:
            self._commit()
        self._serve()

    def _take(self) -> list[Op]:
        """What is to be written now. The urgent first: whatever was said before a flush is then there as well."""
        urgent: list[Op] = _drained(self._urgent)
        patient: list[Op] = _drained(self._patient)
        return [*self._unsaved, *self._waiting, *patient, *urgent]

    def _commit(self, mine: Op | None = None) -> None:
        """Everything in one transaction; callers hear of it, and what is known here changes, only after the commit."""
        ops = self._take()
        if not ops:
            return
        done: _Done | None = None
        try:
            with self._store.write() as connection:
                done = self._apply(connection, ops)
        except StropError as error:
            self._failed(ops, error)
        except Exception as error:  # noqa: BLE001 - the writer must outlive any single batch, and every caller must hear
            self._failed(ops, StoreError(f"the ledger could not be written: {error}"))
        except BaseException:
            # Ctrl-C in the thread that commits for the others: they must neither wait for ever nor be counted twice.
            if done is not None and self._is_written(done):
                self._committed(done)
            else:
                self._unsaved, self._waiting = [op for op in ops if op is not mine], deque()
                if isinstance(mine, Intent | Flush):
                    mine.gate.open(StoreError("interrupted"))
            self._wake.set()
            raise
        else:
            self._committed(done)

    def _committed(self, done: _Done) -> None:
        self._unsaved = []
        self._waiting = done.waiting
        self._open += done.opened
        if done.budgets is not None:
            self._shelf.keep(*done.budgets)
        for budget, change in done.held.items():
            self._held_here[budget] = self._held_here.get(budget, 0) + change
        try:
            self._answer(done)
        except BaseException:
            # Ctrl-C: a gate that is open already does not mind.
            self._answer(done)
            raise

    def _answer(self, done: _Done) -> None:
        for gate, problem in done.answers:
            gate.open(problem)
        if self._closed:
            for intent in self._waiting:
                intent.gate.open(StoreError("the ledger was closed"))
            self._waiting = deque()

    def _is_written(self, done: _Done) -> bool:
        """Whether an interrupted transaction was committed: all of it or nothing was, so one row tells."""
        if done.proof is None:
            return True
        id, status = done.proof
        with self._store.read() as connection:
            return connection.execute(select(calls.c.status).where(calls.c.id == id)).scalar() == status

    def _failed(self, ops: list[Op], error: Exception) -> None:
        """Nothing was written: callers hear it; how reservations are settled is kept and tried again."""
        self._unsaved = [op for op in ops if isinstance(op, Outcome | Withdrawal)]
        self._waiting = deque()
        for op in ops:
            if isinstance(op, Intent | Flush):
                op.gate.open(error)

    def _apply(self, connection: Connection, ops: list[Op]) -> _Done:
        done = _Done()
        live = _unfenced(connection, ops, done)
        for op in ops:
            if isinstance(op, Outcome | Withdrawal):
                # Also of an owner that is fenced: whoever took over settles it, but here it has ended.
                done.opened -= 1
                done.hold(op.budget, -op.held)
        outcomes = [op for op in live if isinstance(op, Outcome)]
        withdrawn = [op for op in live if isinstance(op, Withdrawal)]
        intents = [op for op in live if isinstance(op, Intent)]
        ids = {op.budget for op in (*outcomes, *withdrawn, *intents) if op.budget is not None}
        levels = Levels(connection, ids, lock=self._store.dialect == "postgresql", shelf=self._shelf) if ids else None
        for op in (*outcomes, *withdrawn):
            if levels is not None and op.budget is not None:
                levels.settle(op.budget, op.held, op.spent if isinstance(op, Outcome) else 0)
        if withdrawn:
            connection.execute(delete(calls).where(calls.c.id.in_([op.id for op in withdrawn])))
            done.proof = withdrawn[0].id, None
        rows: list[Mapping[str, Any]] = [op.row for op in outcomes]
        rows += self._admit(levels, _unknown(connection, intents, done), done)
        rows += [op.row for op in live if isinstance(op, Repeat)]
        if rows:
            done.proof = rows[0]["id"], rows[0]["status"]
        self._calls.run(connection, rows)
        if levels is not None:
            levels.save()
        for op in live:
            if isinstance(op, Flush):
                if op.also is not None:
                    op.also(connection)
                done.answers.append((op.gate, None))
        if levels is not None and not any(isinstance(op, Flush) and op.also for op in live):
            done.budgets = levels.nodes, state_of(connection)
        return done

    def _admit(self, levels: Levels | None, intents: list[Intent], done: _Done) -> list[Mapping[str, Any]]:
        """Answer every intent in its order: granted, refused for good, or kept until calls in flight have settled."""
        rows: list[Mapping[str, Any]] = []
        now = time.monotonic()
        for intent in intents:
            if intent.left or intent.switch.stopped is not None:
                done.answers.append((intent.gate, BudgetExceeded("the run was stopped")))
                continue
            answer, node = levels.reserve(intent.budget, intent.worst) if levels else ("granted", None)
            others_hold = levels is not None and node is not None and not self._holds(levels, node, done)
            intent.waits_since = (intent.waits_since or now) if others_hold else None
            waited = now - intent.waits_since if intent.waits_since is not None else 0.0
            if answer == "granted":
                done.answers.append((intent.gate, None))
                done.hold(intent.budget, intent.worst)
                done.opened += 1
                rows.append(intent.row)
            elif node is not None and (answer == "refused" or waited > FOREIGN_WAIT_S):
                done.answers.append((intent.gate, refusal(intent.row["model"], intent.worst, node)))
            else:
                done.waiting.append(intent)
        return rows

    def _holds(self, levels: Levels, node: Node, done: _Done) -> bool:
        """Whether calls of this process hold money below `node`, so that waiting for them will help."""
        held = (*self._held_here.items(), *done.held.items())
        total: dict[str, int] = {}
        for budget, amount in held:
            total[budget] = total.get(budget, 0) + amount
        return any(amount and levels.is_below(budget, node.id) for budget, amount in total.items())


def _unknown(connection: Connection, intents: list[Intent], done: _Done) -> list[Intent]:
    """The intents without a recorded answer; the others get theirs."""
    wanted = [(op.row["key"], op.row["scope"]) for op in intents if op.look]
    found = find_all(connection, wanted) if wanted else {}
    if not found:
        return intents
    for op in intents:
        op.known = found.get((op.row["key"], op.row["scope"])) if op.look else None
        if op.known is not None:
            done.answers.append((op.gate, None))
    return [op for op in intents if op.known is None]


def _drained(queue: deque[Any]) -> list[Any]:
    """All that is in the queue now; others may go on appending."""
    return [queue.popleft() for _ in range(len(queue))]


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
