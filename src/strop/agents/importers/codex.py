"""Codex: rollouts of every age, and the output of `codex exec --json`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from strop.agents.importers.codex_thread import Thread
from strop.agents.importers.fields import mapping
from strop.agents.importers.files import LINED, head, json_files, top_keys
from strop.agents.importers.lines import json_lines
from strop.agents.transcript import ClientName, Json, Refusal, Transcript

_FOLDERS = ("sessions", "archived_sessions")
_ITEMS = frozenset({
    "custom_tool_call", "custom_tool_call_output", "function_call", "function_call_output", "local_shell_call",
    "message", "reasoning", "web_search_call",
})  # fmt: skip
_QUIET = frozenset({"compacted", "ghost_snapshot", "inter_agent_communication", "world_state"})
_ENVELOPE = re.compile(
    rb'\{"timestamp": ?"[^"]{10,40}", ?(?:"ordinal": ?\d+, ?)?'
    rb'"type": ?"(?:session_meta|response_item|event_msg)", ?"payload": ?\{'
)
_LOOKED_AT = 50


class CodexImporter:
    """Reads rollouts (one thread a file)."""

    client: ClientName = "codex"

    def stores(self, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
        """`sessions` and `archived_sessions` of CODEX_HOME, or of ~/.codex."""
        given = environment.get("CODEX_HOME", "").strip()
        place = Path(given) if given else home / ".codex"
        return tuple(place / folder for folder in _FOLDERS if (place / folder).is_dir())

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the first record is a rollout's or a stream's; of a directory, that of any of its first files."""
        if path.is_dir():
            return (path.name == ".codex" and (path / "sessions").is_dir()) or _any_in(path)
        if _ENVELOPE.match(head):
            return True
        keys = top_keys(head)
        if {"type", "payload"} <= keys or {"type", "thread_id"} <= keys:
            return True
        is_oldest = "timestamp" in keys and "id" in keys and keys <= {"id", "timestamp", "instructions", "git"}
        return is_oldest or ("msg" in keys and "id" in keys)

    def read(self, path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
        """Every thread under `path`, one a file."""
        is_folder = path.is_dir()
        roots = [path / folder for folder in _FOLDERS if (path / folder).is_dir()] or [path]
        for file in (file for root in roots for file in json_files(root)):
            if is_folder:
                if _older(file, since):
                    continue
                start = head(file)
                if not self.accepts(file, start):
                    if start.strip() and file.suffix.lower() in LINED:
                        yield Refusal(source=str(file), reason="no rollout of Codex; it is left out")
                    continue
            for found in _file(file):
                if isinstance(found, Refusal) or not (since and found.updated and found.updated < since):
                    yield found


def _file(path: Path) -> Iterator[Transcript | Refusal]:
    source = str(path)
    thread = Thread(path.stem[:200])
    for found in json_lines(path):
        if isinstance(found, Refusal):
            yield found
            continue
        line, record = found
        reason = _take(thread, record) if type(record) is dict else "a record is expected here, an object in braces"
        if reason is not None:
            yield Refusal(source=source, line=line, reason=reason)
    transcript = thread.transcript(source)
    if transcript is None:
        return
    if not all(turn.task for turn in transcript.turns):
        yield Refusal(
            source=source,
            row=transcript.id,
            reason="the prompt is not in this output of `codex exec`, so its turn has no task; "
            "import the rollout from ~/.codex/sessions instead",
        )
    yield transcript


def _take(thread: Thread, record: dict[str, Json]) -> str | None:
    """Hand a record to its thread; the reason where it cannot be used."""
    kind, payload, at = record.get("type"), record.get("payload"), record.get("timestamp")
    if type(payload) is dict:
        if kind == "response_item":
            thread.item(payload, at)
        elif kind == "event_msg":
            thread.event(payload, at)
        elif kind == "session_meta":
            thread.head(payload)
        elif kind == "turn_context":
            thread.turn_context(payload)
        elif kind == "token_usage_record":
            thread.recorded(payload)
        elif type(kind) is not str:
            return "a record without a type"
        elif kind not in _QUIET:
            thread.count(kind[:100])
        return None
    return _bare(thread, record)


def _bare(thread: Thread, record: dict[str, Json]) -> str | None:
    """Records without an envelope: the oldest rollouts, and the streams of old and new."""
    kind = record.get("type")
    if type(kind) is str:
        if kind in _ITEMS:
            thread.item(record, record.get("timestamp"))
        elif kind.startswith(("thread.", "turn.", "item.")) or kind == "error":
            thread.stream = True
            if not thread.streamed(record):
                thread.count(kind[:100])
        elif kind in ("session_meta", "response_item", "event_msg", "turn_context"):
            return f"a record of type {kind!r} has no payload"
        elif kind not in _QUIET:
            thread.count(kind[:100])
    elif isinstance(message := record.get("msg"), dict):
        thread.event(message, None)
    elif isinstance(prompt := record.get("prompt"), str):
        thread.event({"type": "user_message", "message": prompt}, None)
    elif "id" in record and "timestamp" in record:
        thread.head(record)
    elif "record_type" not in record and "model" not in mapping(record):
        return "a record without a type"
    return None


def _any_in(directory: Path) -> bool:
    importer = CodexImporter()
    return any(importer.accepts(file, head(file)) for file in islice(json_files(directory), _LOOKED_AT))


def _older(file: Path, since: datetime | None) -> bool:
    """Whether the file was last written before `since`; what it holds is then older still."""
    try:
        return since is not None and datetime.fromtimestamp(file.stat().st_mtime, UTC) < since
    except OSError:
        return False
