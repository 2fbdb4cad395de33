"""The database of a campaign, read with SQL of its own: what the product says about itself is not evidence."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def opened(directory: Path) -> Iterator[sqlite3.Connection]:
    """The database of a task's directory, for reading."""
    with closing(sqlite3.connect(directory / ".strop" / "strop.db", timeout=10)) as connection:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA query_only=1")
        yield connection


def calls(directory: Path) -> list[dict[str, Any]]:
    """Every row of the ledger in its order."""
    with opened(directory) as connection:
        return [dict(row) for row in connection.execute("SELECT * FROM calls ORDER BY id")]


def count_calls(directory: Path) -> int:
    """How many rows the ledger has; 0 while there is no ledger yet."""
    try:
        with opened(directory) as connection:
            return int(connection.execute("SELECT count(*) FROM calls").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


def budget(directory: Path, id: str) -> dict[str, Any]:
    """One budget as it stands."""
    with opened(directory) as connection:
        return dict(connection.execute("SELECT * FROM budgets WHERE id = ?", (id,)).fetchone())


def everything(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, to compare two moments."""
    with opened(directory) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(map(tuple, connection.execute(f"SELECT * FROM {name}")), key=repr) for name in names}


def integrity(directory: Path) -> str:
    """SQLite's own check of the file: 'ok'."""
    with opened(directory) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def bought(directory: Path, status: str = "ok") -> Counter[str]:
    """How often each call was paid for with that outcome, by key."""
    rows = calls(directory)
    return Counter(row["key"] for row in rows if row["source"] in {"paid", "embedded"} and row["status"] == status)


def money(directory: Path, scope: str) -> tuple[int, int]:
    """Picodollars of a scope by its rows: settled, and the worst case of what may be billed without an answer."""
    mine = [row for row in calls(directory) if row["scope"] == scope and row["source"] in {"paid", "embedded"}]
    settled = sum(row["cost_pico"] for row in mine if row["cost_pico"] is not None)
    return settled, sum(row["worst_pico"] for row in mine if row["cost_pico"] is None)
