"""Histories of coding agents in any size, grown from the real logs under tests/agents/logs, the same every time."""

from __future__ import annotations

import itertools
import json
import random
import re
import shutil
import sqlite3
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

LOGS = Path(__file__).parents[1] / "tests" / "agents" / "logs"
SEED = 20261121
COPIES = 12
"""How often a real log is repeated inside one session."""
LONG = frozenset({"output", "stdout", "aggregated_output", "result", "originalFile", "gen_ai.tool.call.result"})
"""Keys under which the clients keep what a tool returned."""

ID = re.compile(
    r"\b(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|(ses|msg|prt|call|toolu|req)_[0-9A-Za-z_]{4,})"
)


class Pages:
    """Texts that look like source code, listings and test reports; a few hundred different ones."""

    def __init__(self, random: random.Random) -> None:
        words = ["return", "self", "value", "import", "def", "None", "assert", "naïve", "index", "path", "for", "in"]
        marks = ["(", "):", " = ", '"', "'", "\\", "\t", " # ", "->", "[0]", "{}", ", "]
        self.random = random
        self._pages: list[str] = []
        for number in range(300):
            lines: list[str] = []
            for line in range(max(2, int(random.lognormvariate(4.4, 0.8)))):
                said = "".join(random.choice(words) + random.choice(marks) for _ in range(random.randint(2, 9)))
                lines.append(f"{line + 1:5d}\t{'    ' * random.randint(0, 3)}{said}")
            self._pages.append(f"<file number={number}>\n" + "\n".join(lines))

    def page(self) -> str:
        return self.random.choice(self._pages)


def grown(value: Any, pages: Pages, *, within_result: bool = False) -> Any:
    """A copy of a log's value in which what tools returned has the length of real work."""
    if isinstance(value, dict):
        result = value.get("type") == "tool_result"
        return {
            key: pages.page()
            if isinstance(entry, str) and entry and (key in LONG or (key == "content" and (result or within_result)))
            else grown(entry, pages, within_result=key == "file" or (within_result and key == "content"))
            for key, entry in value.items()
        }
    if isinstance(value, list):
        return [grown(entry, pages, within_result=within_result) for entry in value]
    return value


def renamed(text: str, copy: int, session: int, sessions: Container[str] = ()) -> str:
    """The text with every id changed: a session's by `session`, all others by `copy`, which keeps them in order."""

    def other(found: re.Match[str]) -> str:
        name, kind = found[0], found[1]
        number = session if kind == "ses" or name in sessions else copy
        if kind:
            return f"{kind}_{number:07d}{name[len(kind) + 1 :]}"
        return f"{(int(name[:8], 16) + number) % 16**8:08x}{name[8:]}"

    return ID.sub(other, text)


def lined(files: list[Path], target: Path, pages: Pages, size: int, *, once: frozenset[str] = frozenset()) -> None:
    """Histories of one record a line; records of the types in `once` open a file and are not repeated."""
    target.mkdir(parents=True)
    logs = [[json.loads(line) for line in file.read_text("utf-8").splitlines()] for file in files]
    named = {
        str(record.get("sessionId") or record.get("payload", {}).get("session_id")) for log in logs for record in log
    }
    written = 0
    for number in itertools.count():
        log = logs[number % len(logs)]
        with (target / f"rollout-{number:05d}.jsonl").open("w", encoding="utf-8") as file:
            for copy in range(COPIES):
                for record in log:
                    if copy and record.get("type") in once:
                        continue
                    line = json.dumps(grown(record, pages), ensure_ascii=False, separators=(",", ":"))
                    written += file.write(renamed(line, number * COPIES + copy + 1, number + 1, named) + "\n")
        if written >= size:
            return


def claude_code(target: Path, pages: Pages, size: int) -> None:
    lined(sorted((LOGS / "claude-code").glob("*.jsonl")), target, pages, size)


def codex(target: Path, pages: Pages, size: int) -> None:
    once = frozenset({"session_meta", "world_state"})
    lined(sorted((LOGS / "codex").glob("*.jsonl")), target, pages, size, once=once)


def otel(target: Path, pages: Pages, size: int) -> None:
    """One file of exports, as a collector writes it: the traces of many conversations."""
    target.mkdir(parents=True)
    text = "".join(json.dumps(json.loads(line)) + "\n" for line in (LOGS / "otel" / "genai.jsonl").open("rb"))
    text = text.replace("2 failed", "@page@")
    written = 0
    with (target / "traces.jsonl").open("w", encoding="utf-8") as file:
        for number in itertools.count():
            # JSON inside JSON: escaped once for the attribute, once for the line.
            page = json.dumps(json.dumps(pages.page())[1:-1])[1:-1]
            named = text.replace('"t1"', f'"trace{number}"').replace("conv-1", f"conv-{number // COPIES}")
            named = re.sub(r'Id": "(a1|c1|c2|http|title)"', rf'Id": "\1-{number}"', named)
            written += file.write(named.replace("@page@", page))
            if written >= size:
                return


def documents(grow: Callable[[Any, int], Any], files: list[Path], target: Path, size: int) -> None:
    target.mkdir(parents=True)
    logs = [json.loads(file.read_text("utf-8")) for file in files]
    written = 0
    for number in itertools.count():
        text = json.dumps(grow(logs[number % len(logs)], number), indent=2, ensure_ascii=False)
        written += (target / f"session-{number:05d}.json").write_text(text, "utf-8")
        if written >= size:
            return


def opencode(target: Path, pages: Pages, size: int) -> None:
    """Files of `opencode export`."""

    def longer(log: Any, number: int) -> Any:
        messages = [
            message
            for copy in range(COPIES)
            for message in json.loads(
                renamed(json.dumps(grown(log["messages"], pages)), number * COPIES + copy, number)
            )
        ]
        return {"info": json.loads(renamed(json.dumps(log["info"]), 0, number)), "messages": messages}

    names = ("edit_ok", "tool_fail", "multi_turn", "reason")
    documents(longer, [LOGS / "opencode" / f"{name}.json" for name in names], target, size)


def log(target: Path, pages: Pages, size: int) -> None:
    """Files of the session-log format."""

    def longer(log: Any, number: int) -> Any:
        examples = [grown(example, pages) for _ in range(COPIES) for example in log["examples"]]
        return {**log, "session": f"ses_{number}", "examples": examples}

    documents(longer, [LOGS / "log" / "full.json"], target, size)


def opencode_db(target: Path, pages: Pages, size: int) -> None:
    """The client's database: a row a message, a row a part."""
    exports = target.with_name(target.name + "-exports")
    opencode(exports, pages, size)
    target.mkdir(parents=True)
    store = sqlite3.connect(target / "opencode.db")
    store.executescript("""
        CREATE TABLE session (id TEXT PRIMARY KEY, project_id TEXT, parent_id TEXT, slug TEXT, directory TEXT,
          title TEXT, version TEXT, time_created INTEGER, time_updated INTEGER);
        CREATE TABLE message (id TEXT PRIMARY KEY, session_id TEXT, time_created INTEGER, time_updated INTEGER,
          data TEXT);
        CREATE TABLE part (id TEXT PRIMARY KEY, message_id TEXT, session_id TEXT, time_created INTEGER,
          time_updated INTEGER, data TEXT);
        CREATE INDEX message_session_idx ON message (session_id);
        CREATE INDEX part_session_idx ON part (session_id);
    """)
    for file in sorted(exports.iterdir()):
        export = json.loads(file.read_text("utf-8"))
        info = export["info"]
        times = (info["time"]["created"], info["time"]["updated"])
        told = ("id", "projectID", "parentID", "slug", "directory", "title", "version")
        store.execute("INSERT INTO session VALUES (?,?,?,?,?,?,?,?,?)", (*(info.get(name) for name in told), *times))
        for message in export["messages"]:
            own = message["info"]
            data = json.dumps({key: value for key, value in own.items() if key not in ("id", "sessionID")})
            store.execute("INSERT INTO message VALUES (?,?,?,?,?)", (own["id"], info["id"], *times, data))
            for part in message["parts"]:
                data = json.dumps({k: v for k, v in part.items() if k not in ("id", "sessionID", "messageID")})
                row = (part["id"], own["id"], info["id"], *times, data)
                store.execute("INSERT INTO part VALUES (?,?,?,?,?,?)", row)
    store.commit()
    store.close()
    shutil.rmtree(exports)


GROWN = {
    "opencode": opencode, "opencode-db": opencode_db, "claude-code": claude_code, "codex": codex, "log": log,
    "otel": otel,
}  # fmt: skip
