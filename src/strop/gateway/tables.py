"""The ledger's tables. Money is whole picodollars, times are whole microseconds since 1970 UTC."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from strop.store import metadata

budgets = Table(
    "budgets",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("parent", String(120), ForeignKey("budgets.id"), nullable=True),
    Column("limit_pico", BigInteger, nullable=True),
    Column("spent_pico", BigInteger, nullable=False, default=0),
    Column("held_pico", BigInteger, nullable=False, default=0),
)

calls = Table(
    "calls",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("key", String(64), nullable=False),
    Column("scope", String(120), nullable=False),
    Column("phase", String(40), nullable=False),
    Column("role", String(20), nullable=False),
    Column("model", String(200), nullable=False),
    Column("status", String(10), nullable=False),
    Column("source", String(10), nullable=False),
    Column("origin", String(32), nullable=True),
    Column("attempt", Integer, nullable=False),
    Column("final", Boolean, nullable=False),
    Column("request", Text, nullable=True),
    Column("response", Text, nullable=True),
    Column("error_kind", String(20), nullable=True),
    Column("error", Text, nullable=True),
    Column("tokens_in", Integer, nullable=True),
    Column("tokens_out", Integer, nullable=True),
    Column("tokens_cached", Integer, nullable=True),
    Column("tokens_reasoning", Integer, nullable=True),
    Column("price", Text, nullable=True),
    Column("worst_pico", BigInteger, nullable=False),
    Column("cost_pico", BigInteger, nullable=True),
    Column("budget", String(120), nullable=True),
    Column("owner", String(80), nullable=False),
    Column("queued_us", BigInteger, nullable=False),
    Column("started_us", BigInteger, nullable=True),
    Column("finished_us", BigInteger, nullable=True),
    Index("ix_calls_key", "key"),
    Index("ix_calls_scope", "scope", "status"),
)
