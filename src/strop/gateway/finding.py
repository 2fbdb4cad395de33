"""Finds recorded answers: one at a time on a reader's connection, or many within the transaction that records calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, literal_column, or_, select

from strop.gateway.call import Failure, Recorded
from strop.gateway.prices import TokenUse
from strop.gateway.tables import calls
from strop.store import Prepared, Store

_FOUND = (
    "id", "status", "response", "error_kind", "error", "tokens_in", "tokens_out", "tokens_cached", "tokens_reasoning",
    "cost_pico", "started_us", "finished_us", "key", "scope",
)  # fmt: skip
_MOST = 256


def _answers() -> Select[Any]:
    """Final calls that were bought, in the order in which they are preferred."""
    c = calls.c
    bought = or_(c.source == literal_column("'paid'"), c.source == literal_column("'embedded'"))
    return select(*(c[name] for name in _FOUND)).where(c.final, bought).order_by(c.status.desc(), c.id)


@cache
def _one() -> Prepared:
    c = calls.c
    mine = and_(c.status == literal_column("'failed'"), c.scope == bindparam("scope"))
    query = _answers().where(c.key == bindparam("key"), or_(c.status == literal_column("'ok'"), mine))
    return Prepared(query.limit(literal_column("1")), ("key", "scope"))


@cache
def _several(n: int) -> Prepared:
    names = [f"key{number}" for number in range(n)]
    return Prepared(_answers().where(calls.c.key.in_([bindparam(name) for name in names])), names)


def find(store: Store, key: str, scope: str) -> Recorded | None:
    """The answer recorded under `key` by anybody, or the final failure recorded by this scope."""
    row = store.first(_one(), {"key": key, "scope": scope})
    return None if row is None else _recorded(row)


def find_all(connection: Connection, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Recorded]:
    """The same for many pairs of key and scope."""
    pairs = list(wanted)
    found: dict[tuple[str, str], Recorded] = {}
    for start in range(0, len(pairs), _MOST):
        part = pairs[start : start + _MOST]
        size = 1 << (len(part) - 1).bit_length()
        padded = [part[min(number, len(part) - 1)][0] for number in range(size)]
        rows = _several(size).all(connection, {f"key{number}": key for number, key in enumerate(padded)})
        for key, scope in part if rows else ():
            for row in rows:
                if row[-2] == key and (row[1] == "ok" or (row[1] == "failed" and row[-1] == scope)):
                    found[key, scope] = _recorded(row)
                    break
    return found


def _recorded(row: Sequence[Any]) -> Recorded:
    (id, status, response, kind, error, tokens_in, tokens_out, cached, reasoning, cost, started, finished, _, _) = row
    use = None
    if tokens_in is not None:
        use = TokenUse(input=tokens_in, output=tokens_out or 0, cached=cached or 0, reasoning=reasoning or 0)
    return Recorded(
        id=id,
        response=response,
        failure=Failure(kind=kind, detail=error or "") if status == "failed" else None,
        use=use,
        cost_pico=cost,
        latency_us=(finished or 0) - (started or 0),
    )
