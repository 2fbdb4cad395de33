"""Our own memory for a session's results: what its hooks do when nobody asks for another one."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from strop.sessions.events import HooksIntegration, SessionEvent
from strop.sessions.hooks_command import TIMEOUT_S, Outcome
from strop.sessions.result import now
from strop.sessions.tables import session_notes
from strop.store import Store


@dataclass(frozen=True, kw_only=True)
class ResultSink:
    """Our own memory: the results under their key as a JSON file below `directory`, and as a row of the database."""

    store: Store
    directory: Path
    name: str = "results"
    events: frozenset[str] = frozenset({"hooks_integration"})
    timeout_s: float = TIMEOUT_S

    def run(self, event: SessionEvent) -> Outcome:
        """Write both; the row first, it is the one that is asked."""
        assert isinstance(event, HooksIntegration)
        with self.store.write() as connection:
            mine = (session_notes.c.session_id == event.session_id) & (session_notes.c.topic == event.key)
            connection.execute(session_notes.delete().where(mine))
            row = {"session_id": event.session_id, "topic": event.key, "at": now(), "data": json.loads(event.value)}
            connection.execute(session_notes.insert().values(**row))
        path = self.file(event.key)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"key": event.key, "session": event.session_id, "value": json.loads(event.value)}, indent=2)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(text + "\n", "utf-8")
        fresh.replace(path)
        return Outcome(ok=True, detail=f"{event.key} is in the database and in {path}")

    def close(self) -> Outcome | None:
        """Nothing is left to do."""

    def file(self, key: str) -> Path:
        """Where a key's newest value lies."""
        return self.directory / f"{key}.json"


def recall(store: Store, key: str = "swarm/training/dspy-results") -> Any:
    """The newest value that any session stored under a key, as it was given; None when there is none."""
    newest = select(session_notes.c.data).where(session_notes.c.topic == key).order_by(session_notes.c.at.desc())
    with store.read() as connection:
        return connection.execute(newest.limit(1)).scalar_one_or_none()
