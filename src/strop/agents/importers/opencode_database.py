"""OpenCode's SQLite store (1.2 and later): one session in memory at a time, and never a byte written beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

from strop.agents.importers.fields import text
from strop.agents.importers.lines import MAX_LINE, parsed
from strop.agents.importers.opencode_messages import Session, outcome
from strop.agents.transcript import Json, Refusal, Transcript

MAGIC = b"SQLite format 3\0"

_Cell: TypeAlias = "bytes | int | float | None"

_WAIT = 2.0
"""Seconds to wait for a client that holds the database's lock."""

_BROKEN = (sqlite3.Error, UnicodeDecodeError)
"""What reading a database raises; the second one where SQLite quotes a damaged name in its message."""

_SESSION_COLUMNS = {
    "id": "id",
    "parent_id": "parentID",
    "slug": "slug",
    "project_id": "projectID",
    "workspace_id": "workspaceID",
    "directory": "directory",
    "path": "path",
    "title": "title",
    "version": "version",
    "agent": "agent",
    "permission": "permission",
    "cost": "cost",
}
_JSON_COLUMNS = {"model": "model", "revert": "revert", "metadata": "metadata"}


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """How this version of the client lays out a session, and the queries that fit."""

    columns: Sequence[str]
    info: str
    messages: str


_FOLDED = ("time_", "tokens_", "summary_", "share_")
"""Columns that the export folds into objects which are not kept; the times are read by name."""


def is_database(head: bytes) -> bool:
    return head.startswith(MAGIC)


def holds_sessions(path: Path) -> bool:
    """Whether the database at `path` is OpenCode's, by its tables; False where it cannot be read."""
    try:
        with closing(_connected(path)) as store:
            return _has_tables(store)
    except (*_BROKEN, OSError):
        return False


def read_database(path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
    """Every session of the database, sub-agents' too, oldest first."""
    try:
        with closing(_connected(path)) as store:
            if not _has_tables(store):
                yield Refusal(
                    source=str(path),
                    reason="it lacks the tables 'session', 'message' and 'part' of OpenCode 1.x; "
                    "export the sessions with `opencode export` and import those files",
                )
                return
            layout = _layout(store)
            for name in _session_ids(store, since):
                session = _session(store, layout, path, name)
                yield from outcome(session, since)
    except _BROKEN as error:
        yield Refusal(source=str(path), reason=_plain(error))


def _connected(path: Path) -> sqlite3.Connection:
    """A read-only connection that leaves nothing beside the client's data."""
    quiet = "&immutable=1" if _at_rest(path) else ""
    store = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{quiet}", uri=True, timeout=_WAIT)
    store.text_factory = bytes
    store.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 4 * MAX_LINE)
    store.execute("PRAGMA query_only = 1")
    return store


def _at_rest(path: Path) -> bool:
    """Whether a database in WAL mode has no `-wal` file, so that no client has it open.

    SQLite would create that file for a mere reader and leave it there, unless it is told that nobody writes.
    """
    with path.open("rb") as file:
        versions = file.read(20)[18:20]
    return versions == b"\2\2" and not path.with_name(path.name + "-wal").exists()


def _has_tables(store: sqlite3.Connection) -> bool:
    found = store.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    return {b"session", b"message", b"part"} <= {row[0] for row in found}


def _session_ids(store: sqlite3.Connection, since: datetime | None) -> list[bytes]:
    columns = _columns(store, "session")
    order = ", ".join(name for name in ("time_created", "id") if name in columns)
    query, values = f"SELECT id FROM session ORDER BY {order}", ()  # noqa: S608  (names from a fixed list)
    if since is not None and "time_updated" in columns:
        values = (int(since.timestamp() * 1000),)
        query = query.replace("ORDER BY", "WHERE time_updated IS NULL OR time_updated >= ? ORDER BY")
    return [row[0] for row in store.execute(query, values) if isinstance(row[0], bytes)]


def _columns(store: sqlite3.Connection, table: str) -> list[str]:
    return [_word(row[1]) for row in store.execute(f"PRAGMA table_info({table})")]


def _layout(store: sqlite3.Connection) -> _Layout:
    columns = [column for column in _columns(store, "session") if column.isidentifier()]
    chosen = ", ".join(f'"{column}"' for column in columns)
    order = "ORDER BY time_created, id" if "time_created" in _columns(store, "message") else "ORDER BY id"
    return _Layout(
        columns=columns,
        info=f"SELECT {chosen} FROM session WHERE id = ?",  # noqa: S608  (identifiers)
        messages=f"SELECT id, data FROM message WHERE session_id = ? {order}",  # noqa: S608  (one of two fixed texts)
    )


def _session(store: sqlite3.Connection, layout: _Layout, path: Path, name: bytes) -> Session:
    key = _word(name)
    session = Session(source=f"{path}#{key}", info={"id": key})
    try:
        _fill_info(store, layout, session, key)
        parts = _parts(store, session, key)
        _fill_messages(store, layout, session, key, parts)
    except sqlite3.OperationalError:
        raise
    except _BROKEN as error:
        session.refuse(f"the session cannot be read: {_plain(error)}", key)
    return session


def _fill_info(store: sqlite3.Connection, layout: _Layout, session: Session, key: str) -> None:
    columns = layout.columns
    row = store.execute(layout.info, (key,)).fetchone()
    if row is None:
        return
    times: dict[str, Json] = {}
    for column, cell in zip(columns, row, strict=True):
        if cell is None:
            continue
        if column in ("time_created", "time_updated"):
            times[column.removeprefix("time_")] = _value(cell)
        elif column in _SESSION_COLUMNS:
            session.info[_SESSION_COLUMNS[column]] = _value(cell)
        elif column in _JSON_COLUMNS:
            session.info[_JSON_COLUMNS[column]] = _json(session, cell, f"{key}.{column}")
        elif not column.startswith(_FOLDED):
            session.info[column] = _value(cell)
    session.info["time"] = times


def _parts(store: sqlite3.Connection, session: Session, key: str) -> dict[str, list[Json]]:
    """The session's parts by message, in the order of their ids, which is the order of writing."""
    found: dict[str, list[Json]] = {}
    rows = store.execute("SELECT id, message_id, data FROM part WHERE session_id = ?", (key,)).fetchall()
    # SQLite would carry the contents along while it sorts.
    rows.sort(key=_place)
    last, of_message = None, list[Json]()
    for name, message, data in rows:
        row = _word(name)
        part = _json(session, data, row)
        if part is not None:
            part["id"] = row
            if message != last:
                last, of_message = message, found.setdefault(_word(message), [])
            of_message.append(part)
    return found


def _place(row: tuple[_Cell, _Cell, _Cell]) -> tuple[bytes, bytes]:
    name, message, _ = row
    return (
        message if isinstance(message, bytes) else _word(message).encode(),
        name if isinstance(name, bytes) else _word(name).encode(),
    )


def _fill_messages(
    store: sqlite3.Connection, layout: _Layout, session: Session, key: str, parts: dict[str, list[Json]]
) -> None:
    for name, data in store.execute(layout.messages, (key,)):
        row = _word(name)
        info = _json(session, data, row)
        of_message = parts.pop(row, [])
        if info is not None:
            info["id"] = row
            info["sessionID"] = key
            session.add(info, of_message, row)
    for orphan in parts:
        session.refuse("parts of the session belong to a message that is not there", orphan)


def _json(session: Session, cell: _Cell, row: str) -> dict[str, Json] | None:
    """The JSON object of a cell; None, after a refusal that names the row, where there is none."""
    if type(cell) is bytes:
        try:
            value = parsed(cell)
        except ValueError as error:
            session.refuse(str(error), row)
            return None
        if type(value) is dict:
            return value
    session.refuse("the row's JSON is no object", row)
    return None


def _value(cell: _Cell) -> Json:
    return text(cell.decode("utf-8", "replace")) if isinstance(cell, bytes) else cell


def _word(cell: _Cell) -> str:
    return cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)


def _plain(error: Exception) -> str:
    told = "malformed" if isinstance(error, UnicodeDecodeError) else str(error)
    if "locked" in told or "busy" in told:
        return "the database is locked by another program; close OpenCode or try again later"
    if "malformed" in told or "not a database" in told or "disk image" in told:
        return f"the database is damaged ({told}); `opencode export` may still read single sessions"
    if "unable to open" in told:
        return "the database cannot be opened: check that the file exists and may be read"
    return f"the database cannot be read: {told}"
