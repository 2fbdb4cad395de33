"""Transcripts as plain data, and OpenCode's stores built from export files."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from strop.agents.importers.opencode import OpenCodeImporter
from strop.agents.transcript import Refusal, Transcript

HERE = Path(__file__).parent
LOGS = HERE / "logs" / "opencode"
EXPECTED = HERE / "expected" / "opencode"
EXPORTS = sorted(path for path in LOGS.glob("*.json"))

TABLES = """
CREATE TABLE session (id text PRIMARY KEY, project_id text NOT NULL, parent_id text, slug text NOT NULL,
  directory text NOT NULL, path text, title text NOT NULL, version text NOT NULL, share_url text,
  summary_additions integer, summary_deletions integer, summary_files integer, summary_diffs text,
  cost real DEFAULT 0 NOT NULL, tokens_input integer DEFAULT 0 NOT NULL, tokens_output integer DEFAULT 0 NOT NULL,
  revert text, permission text, agent text, model text, time_created integer NOT NULL, time_updated integer NOT NULL,
  time_compacting integer, time_archived integer);
CREATE TABLE message (id text PRIMARY KEY, session_id text NOT NULL, time_created integer NOT NULL,
  time_updated integer NOT NULL, data text NOT NULL);
CREATE TABLE part (id text PRIMARY KEY, message_id text NOT NULL, session_id text NOT NULL,
  time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);
CREATE INDEX part_session_idx ON part (session_id);
"""


def read(path: Path, since: datetime | None = None) -> tuple[list[Transcript], list[Refusal]]:
    found = list(OpenCodeImporter().read(path, since))
    return [one for one in found if isinstance(one, Transcript)], [one for one in found if isinstance(one, Refusal)]


def one(path: Path) -> Transcript:
    """The only session of a source that has nothing to refuse."""
    transcripts, refusals = read(path)
    assert refusals == []
    assert len(transcripts) == 1
    return transcripts[0]


def plain(value: Any) -> Any:
    """Dataclasses as objects without what is at its default, times as epoch milliseconds, tuples as lists."""
    if isinstance(value, datetime):
        assert value.utcoffset() is not None
        return round(value.timestamp() * 1000)
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


STEP: dict[str, Any] = {"exit_code": None, "extra": {}, "started": None, "seconds": None}
TURN: dict[str, Any] = {
    "context": {},
    "steps": [],
    "error": None,
    "started": None,
    "ended": None,
    "reverted": False,
    "label": None,
    "label_complete": None,
    "extra": {},
}
SESSION: dict[str, Any] = {"client": "opencode", "parent": None, "system_prompt": None, "label": None, "extra": {}}


def expected(name: str) -> dict[str, Any]:
    """The hand-written session of that name with the defaults that the file leaves out."""
    session = json.loads((EXPECTED / f"{name}.json").read_text())
    turns = [TURN | turn | {"steps": [STEP | step for step in turn.get("steps", [])]} for turn in session["turns"]]
    return SESSION | session | {"turns": turns}


def without_source(transcript: Transcript) -> dict[str, Any]:
    found = plain(transcript)
    del found["source"]
    return found


def write_database(path: Path, exports: Iterable[dict[str, Any]], journal: str = "wal") -> None:
    store = sqlite3.connect(path)
    store.execute(f"PRAGMA journal_mode = {journal}")
    store.executescript(TABLES)
    for export in exports:
        insert(store, export)
    store.close()


def insert(store: sqlite3.Connection, export: dict[str, Any]) -> None:
    info = export["info"]
    row = {
        "id": info["id"],
        "project_id": info["projectID"],
        "parent_id": info.get("parentID"),
        "slug": info["slug"],
        **{key: info.get(key) for key in ("directory", "path", "title", "version", "cost", "agent")},
        **{key: json.dumps(info[key]) if key in info else None for key in ("model", "revert", "permission")},
        **{f"summary_{key}": value for key, value in info["summary"].items()},
        **{f"time_{key}": value for key, value in info["time"].items()},
        **{f"tokens_{key}": info["tokens"][key] for key in ("input", "output")},
    }
    store.execute(f"INSERT INTO session ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    for message in export["messages"]:
        data = dict(message["info"])
        name, created = data.pop("id"), data["time"]["created"]
        session = data.pop("sessionID")
        store.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?)", (name, session, created, created, json.dumps(data)))
        for part in message["parts"]:
            data = {key: value for key, value in part.items() if key not in ("id", "messageID", "sessionID")}
            row = (part["id"], name, session, created, created, json.dumps(data))
            store.execute("INSERT INTO part VALUES (?, ?, ?, ?, ?, ?)", row)
    store.commit()


def write_storage(root: Path, exports: Iterable[dict[str, Any]]) -> None:
    """The JSON files of versions up to 1.1; `root` is the `storage` directory."""
    for export in exports:
        info = export["info"]
        save(root / "session" / info["projectID"] / f"{info['id']}.json", info)
        for message in export["messages"]:
            name = message["info"]["id"]
            save(root / "message" / info["id"] / f"{name}.json", message["info"])
            for part in message["parts"]:
                save(root / "part" / name / f"{part['id']}.json", part)


def write_first_storage(root: Path, exports: Iterable[dict[str, Any]]) -> None:
    """The JSON files of the first versions, which kept everything under `session`."""
    for export in exports:
        info = export["info"]
        save(root / "session" / "info" / f"{info['id']}.json", info)
        for message in export["messages"]:
            name = message["info"]["id"]
            save(root / "session" / "message" / info["id"] / f"{name}.json", message["info"])
            for part in message["parts"]:
                save(root / "session" / "part" / info["id"] / name / f"{part['id']}.json", part)


def save(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def load(name: str) -> dict[str, Any]:
    return json.loads((LOGS / f"{name}.json").read_text())
