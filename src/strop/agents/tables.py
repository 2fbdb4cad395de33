"""Sessions and turns of agents' histories, the files they were read from, and what could not be read.

Everything in them is redacted. Times are microseconds since 1970, so that rows can pass to the driver as they are.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text

from strop.store import metadata

agent_sessions = Table(
    "agent_sessions",
    metadata,
    Column("key", String(32), primary_key=True),
    Column("client", String(20), nullable=False),
    Column("session", Text, nullable=False),
    Column("parent", Text, nullable=True),
    Column("title", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("started_us", BigInteger, nullable=True),
    Column("updated_us", BigInteger, nullable=True),
    Column("label", Boolean, nullable=True),
    Column("system_prompt", Text, nullable=True),
    Column("extra", Text, nullable=False),
    Column("imported_us", BigInteger, nullable=False),
)

# `example` is the whole example as JSON, `digest` that of what was imported (labels given later are not in it).
# `told` is false where the log did not carry the task (OpenCode's event streams): such a turn yields to one that does.
agent_turns = Table(
    "agent_turns",
    metadata,
    Column("id", String(24), primary_key=True),
    Column("session_key", String(32), ForeignKey("agent_sessions.key"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("told", Boolean, nullable=False),
    Column("success", Boolean, nullable=True),
    Column("flags", Integer, nullable=False),
    Column("digest", String(32), nullable=False),
    Column("example", Text, nullable=False),
    Index("ix_agent_turns_session_key", "session_key", "number"),
    Index("ix_agent_turns_at_us", "at_us", "session_key", "number"),
)

# `path` is a hash: a path may hold a person's name. `settings` names how the file was read.
agent_files = Table(
    "agent_files",
    metadata,
    Column("path", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("settings", String(64), nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("read_us", BigInteger, nullable=False),
)

agent_refusals = Table(
    "agent_refusals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("path", String(64), nullable=False),
    Column("source", Text, nullable=False),
    Column("line", BigInteger, nullable=True),
    Column("place", Text, nullable=True),
    Column("reason", Text, nullable=False),
    Index("ix_agent_refusals_path", "path"),
)
