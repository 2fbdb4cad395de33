"""What a run leaves behind: its row, its journal of stages, its candidates, and the looks at sealed test sets."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from strop.store import JsonText, UtcDateTime, metadata

runs = Table(
    "runs",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("task", String(120), nullable=False),
    Column("status", String(20), nullable=False),
    Column("algorithm", String(60), nullable=False),
    Column("spec", JsonText, nullable=False),
    Column("directory", Text, nullable=True),
    Column("data_fingerprint", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancel_requested", Integer, nullable=False, default=0),
    Column("result", JsonText, nullable=True),
    Column("error", Text, nullable=True),
    Index("ix_runs_created", "created_at"),
)

journal = Table(
    "journal",
    metadata,
    Column("run_id", String(20), ForeignKey("runs.id"), primary_key=True),
    Column("stage", String(30), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("data", JsonText, nullable=False),
)

candidates = Table(
    "candidates",
    metadata,
    Column("run_id", String(20), ForeignKey("runs.id"), primary_key=True),
    Column("fingerprint", String(64), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("origin", Text, nullable=False),
    Column("score", Float, nullable=True),
    Column("n", Integer, nullable=False),
    Column("state", JsonText, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

looks = Table(
    "looks",
    metadata,
    Column("test_fingerprint", String(64), primary_key=True),
    Column("pair", String(80), primary_key=True),
    Column("number", Integer, nullable=False),
    Column("run_id", String(20), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    UniqueConstraint("test_fingerprint", "number", name="uq_looks_number"),
)
