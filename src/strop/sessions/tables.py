"""What a session leaves behind: its row with the result, and the decisions that hold for a resumed session too."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table, Text

from strop.store import JsonText, UtcDateTime, metadata

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(20), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("status", String(20), nullable=False),
    Column("config", JsonText, nullable=False),
    Column("problem", JsonText, nullable=True),
    Column("directory", Text, nullable=True),
    Column("data_fingerprint", String(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Column("seconds", Float, nullable=False, default=0.0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("cancel_requested", Integer, nullable=False, default=0),
    Column("result", JsonText, nullable=True),
    Column("error", Text, nullable=True),
    Index("ix_sessions_created", "created_at"),
)

session_notes = Table(
    "session_notes",
    metadata,
    Column("session_id", String(20), ForeignKey("sessions.id"), primary_key=True),
    Column("topic", String(80), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("data", JsonText, nullable=False),
)
