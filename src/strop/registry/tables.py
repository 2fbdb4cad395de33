"""Versions and the history of what was active. A program's state is in its row: no crash can part a row from a file.

A deleted version keeps its row without its state, so that its number and label never mean another program and its
descendants can still name it.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint, text

from strop.store import JsonText, UtcDateTime, metadata

versions = Table(
    "versions",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("number", Integer, nullable=False),
    Column("label", String(60), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("spec", JsonText, nullable=False),
    Column("state", JsonText, nullable=True),
    Column("manifest", JsonText, nullable=False),
    Column("metrics", JsonText, nullable=False),
    Column("lineage", JsonText, nullable=False),
    Column("notes", Text, nullable=False),
    Column("origin", String(200), nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("deleted_at", UtcDateTime, nullable=True),
    UniqueConstraint("name", "number", name="uq_versions_number"),
    UniqueConstraint("name", "label", name="uq_versions_label"),
    Index("ix_versions_fingerprint", "name", "fingerprint"),
    Index("uq_versions_active", "name", unique=True, sqlite_where=text("active"), postgresql_where=text("active")),
)

# `back_to` is the row that a rollback from here returns to: followed on, the versions active before, newest first.
activations = Table(
    "activations",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(120), nullable=False),
    Column("number", Integer, nullable=False),
    Column("previous", Integer, nullable=True),
    Column("back_to", Integer, ForeignKey("activations.id"), nullable=True),
    Column("kind", String(20), nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("by", String(120), nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_activations_name", "name", "id"),
)
