"""Budgets as a tree in the database: a reservation must fit every level, whichever process asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from sqlalchemy import Connection, bindparam, or_, select, update

from strop.errors import BudgetExceeded, StoreError
from strop.gateway.money import show
from strop.gateway.tables import budgets
from strop.store import Lease, Prepared, Store, Upsert, state_of

Answer = Literal["granted", "wait", "refused"]


@dataclass(kw_only=True, slots=True)
class Node:
    """One level: what may be spent, what is spent for good, what is held for calls in flight (picodollars)."""

    id: str
    parent: str | None
    limit: int | None
    spent: int
    held: int
    changed: bool = False

    @property
    def left(self) -> int | None:
        """What is neither spent nor held; None without a limit."""
        return None if self.limit is None else self.limit - self.spent - self.held


@cache
def _fetch(n: int, *, lock: bool) -> Prepared:
    """Rows of `n` budgets, in the order of their ids so that processes lock them in the same order."""
    names = [f"id{number}" for number in range(n)]
    query = select(budgets).where(or_(*(budgets.c.id == bindparam(name) for name in names))).order_by(budgets.c.id)
    return Prepared(query.with_for_update() if lock else query, names)


_SAVE = Upsert(budgets, key="id", update=("spent_pico", "held_pico"))


class Shelf:
    """Budgets as a transaction left them, good until anybody changes the database; and which stand above which."""

    def __init__(self) -> None:
        self.chains: dict[str, tuple[str, ...]] = {}
        self._nodes: dict[str, Node] = {}
        self._state: object = None

    def take(self, ids: Iterable[str], state: object) -> dict[str, Node] | None:
        """The budgets and all above them as they are now, if that is known. What is taken is gone until kept again."""
        known, self._nodes = self._nodes, {}
        fits = state is not None and state == self._state
        return known if fits and known.keys() >= set(ids) else None

    def keep(self, nodes: dict[str, Node], state: object) -> None:
        """`nodes` are committed, and the database was in this state at the end of the transaction."""
        for node in nodes.values():
            node.changed = False
        self._nodes, self._state = nodes, state


class Levels:
    """The budget rows of one transaction: loaded once, changed in memory, written back once."""

    def __init__(self, connection: Connection, ids: Iterable[str], *, lock: bool, shelf: Shelf | None = None) -> None:
        self._connection = connection
        chains = self._chains = {} if shelf is None else shelf.chains
        known = None if shelf is None else shelf.take(ids, state_of(connection))
        self.nodes: dict[str, Node] = known or {}
        wanted = [] if known else sorted({above for id in ids for above in chains.get(id, (id,))})
        while wanted:
            query = _fetch(len(wanted), lock=lock)
            for id, parent, limit, spent, held in query.all(connection, {f"id{n}": id for n, id in enumerate(wanted)}):
                self.nodes[id] = Node(id=id, parent=parent, limit=limit, spent=spent, held=held)
            missing = [id for id in wanted if id not in self.nodes]
            if missing:
                raise StoreError(f"there is no budget {missing[0]!r}")
            wanted = sorted({n.parent for n in self.nodes.values() if n.parent} - self.nodes.keys())
        if not known:
            for id in self.nodes:
                chains[id] = tuple(node.id for node in self.chain(id))

    def chain(self, budget: str | None) -> list[Node]:
        """The node and everything above it."""
        nodes: list[Node] = []
        while budget is not None:
            node = self.nodes[budget]
            nodes.append(node)
            budget = node.parent
        return nodes

    def is_below(self, budget: str, node: str) -> bool:
        """Whether `budget` is `node` or below it, as far as it is part of this transaction or was of one before."""
        if budget in self.nodes:
            return any(each.id == node for each in self.chain(budget))
        return node in self._chains.get(budget, ())

    def reserve(self, budget: str | None, amount: int) -> tuple[Answer, Node | None]:
        """Hold `amount` on every level, or say whether waiting for calls in flight could help."""
        chain = self.chain(budget)
        answer: Answer = "granted"
        tight: Node | None = None
        for node in chain:
            if node.limit is None or node.spent + node.held + amount <= node.limit:
                continue
            if node.spent + amount > node.limit:
                return "refused", node
            answer, tight = "wait", node
        if answer == "granted":
            for node in chain:
                node.held += amount
                node.changed = True
        return answer, tight

    def settle(self, budget: str | None, held: int, spent: int) -> None:
        """Turn what was held for a call into what it cost."""
        for node in self.chain(budget):
            node.held -= held
            node.spent += spent
            node.changed = True

    def save(self) -> None:
        """Write the changed rows back."""
        _SAVE.run(
            self._connection,
            [
                {"id": n.id, "parent": n.parent, "limit_pico": n.limit, "spent_pico": n.spent, "held_pico": n.held}
                for n in self.nodes.values()
                if n.changed
            ],
        )


class Budgets:
    """Opens and reads budgets."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, id: str, *, limit_pico: int | None, parent: str | None = None, lease: Lease | None = None) -> Node:
        """Create the budget `id`, or change the limit of an existing one; what was spent stays spent.

        Raises:
            Fenced: the lease belongs to another process now.
        """
        with self._store.write() as connection:
            if lease is not None:
                lease.check(connection)
            row = connection.execute(select(budgets).where(budgets.c.id == id)).one_or_none()
            if row is None:
                connection.execute(
                    budgets.insert().values(id=id, parent=parent, limit_pico=limit_pico, spent_pico=0, held_pico=0)
                )
                return Node(id=id, parent=parent, limit=limit_pico, spent=0, held=0)
            connection.execute(update(budgets).where(budgets.c.id == id).values(limit_pico=limit_pico))
            return Node(id=id, parent=row.parent, limit=limit_pico, spent=row.spent_pico, held=row.held_pico)

    def read(self, id: str) -> Node | None:
        """The budget as it stands."""
        with self._store.read() as connection:
            row = connection.execute(select(budgets).where(budgets.c.id == id)).one_or_none()
        if row is None:
            return None
        return Node(id=row.id, parent=row.parent, limit=row.limit_pico, spent=row.spent_pico, held=row.held_pico)


def refusal(model: str, worst: int, node: Node) -> BudgetExceeded:
    """The error of a call that does not fit, with the arithmetic that anybody can redo."""
    limit = node.limit or 0
    return BudgetExceeded(
        f"a call to {model!r} may cost up to {show(worst)}, but of {show(limit)} only {show(limit - node.spent)} "
        f"is left ({show(node.spent)} spent)",
        hint="raise --budget, or lower max_tokens of the model: a call's worst case is priced by it",
    )
