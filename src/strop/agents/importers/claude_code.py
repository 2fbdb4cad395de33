"""Claude Code: project histories, and the output of `claude -p` in its two JSON forms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from strop.agents.importers.claude_code_thread import Thread
from strop.agents.importers.fields import mapping
from strop.agents.importers.files import LINED, head, json_files, top_keys
from strop.agents.importers.lines import json_document, json_lines, parsed
from strop.agents.transcript import ClientName, Json, Refusal, Transcript, clipped

_CHAIN = frozenset({"parentUuid", "isSidechain", "leafUuid"})
_OWN = frozenset(
    {"uuid", "content", "operation", "mode", "lastPrompt", "customTitle", "aiTitle", "snapshot", "permissionMode"}
)
_QUIET = frozenset({
    "agent-color", "agent-name", "agent-setting", "attachment", "bridge-session", "control_request", "control_response",
    "file-history-snapshot", "last-prompt", "mode", "permission-mode", "pr-link", "progress", "queue-operation",
    "rate_limit_event", "stream_event", "tag", "worktree-state",
})  # fmt: skip
_MAX_UNKNOWN = 50
_LOOKED_AT = 50


class ClaudeCodeImporter:
    """Reads JSONL histories (one line a content block) and `claude -p` results."""

    client: ClientName = "claude-code"

    def stores(self, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:
        """The `projects` folders of CLAUDE_CONFIG_DIR, or of the two places that versions have used."""
        given = [Path(part) for part in environment.get("CLAUDE_CONFIG_DIR", "").split(",") if part.strip()]
        places = given or [home / ".claude", home / ".config" / "claude"]
        return tuple(place / "projects" for place in places if (place / "projects").is_dir())

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the first record's outermost keys are those of this client; of a folder, any of its first."""
        if path.is_dir():
            return (path.name == ".claude" and (path / "projects").is_dir()) or _any_in(path)
        keys = _first_keys(head)
        if "sessionId" in keys and "type" in keys:
            return bool(keys & _CHAIN) or ("part" not in keys and bool(keys & _OWN))
        if "type" in keys and "session_id" in keys and "payload" not in keys:
            return bool(keys & {"subtype", "message", "parent_tool_use_id", "total_cost_usd"})
        return {"type", "summary", "leafUuid"} <= keys or {"type", "messageId", "snapshot"} <= keys

    def read(self, path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
        """Every session under `path`, file by file; a sub-agent's work is a transcript of its own, with its parent."""
        root = path / "projects" if path.name == ".claude" and (path / "projects").is_dir() else path
        is_folder = root.is_dir()
        for file in json_files(root):
            if is_folder:
                if _older(file, since):
                    continue
                start = head(file)
                if not self.accepts(file, start):
                    if start.strip() and file.suffix.lower() in LINED:
                        yield Refusal(source=str(file), reason="no history of Claude Code; it is left out")
                    continue
            for found in _File(file).read():
                if isinstance(found, Refusal) or not (since and found.updated and found.updated < since):
                    yield found


class _File:
    """The conversations of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.threads: dict[tuple[str, str], Thread] = {}
        self.seen: set[str] = set()
        self.titles: dict[str, str] = {}
        self.summaries: list[tuple[str, Json]] = []
        self.sidechains: dict[str, str] = {}
        self.refusals: list[Refusal] = []
        self._last: tuple[str, Thread] | None = None

    def read(self) -> Iterator[Transcript | Refusal]:
        for found in _values(self.path):
            if isinstance(found, Refusal):
                yield found
                continue
            line, record = found
            if type(record) is not dict:
                yield self._refusal(line, "a record is expected here, an object in braces")
                continue
            reason = self._take(record)
            if reason is not None:
                yield self._refusal(line, reason)
        yield from self._transcripts()

    def _take(self, record: dict[str, Json]) -> str | None:
        """Hand a record to its conversation; the reason where it cannot be used."""
        kind = record.get("type")
        if kind in ("assistant", "user"):
            uuid = record.get("uuid")
            if type(uuid) is str:
                if uuid in self.seen:
                    return None
                self.seen.add(uuid)
            message = record.get("message")
            if type(message) is not dict:
                return f"a record of type {kind!r} has no message"
            last = self._last
            if last is not None and record.get("sessionId") == last[0] and record.get("isSidechain") is False:
                thread = last[1]
            else:
                thread = self._thread(record)
            if kind == "assistant":
                thread.assistant(record, message)
            else:
                thread.user(record, message)
            return None
        if type(kind) is not str:
            return "a record without a type"
        if kind in _QUIET and "uuid" not in record:
            return None
        self._other(kind, record)
        return None

    def _other(self, kind: str, record: dict[str, Json]) -> None:
        if kind == "summary":
            if isinstance(title := record.get("summary"), str):
                self.summaries.append((title, record.get("leafUuid")))
            return
        if kind in ("custom-title", "ai-title"):
            title = record.get("customTitle") or record.get("aiTitle")
            session = record.get("sessionId")
            if isinstance(title, str) and isinstance(session, str) and (kind[0] == "c" or session not in self.titles):
                self.titles[session] = title
            return
        if kind == "result":
            self._thread(record).result(record)
        elif kind == "system":
            self._thread(record).system(record)
        elif "uuid" in record:
            thread = self._thread(record)
            thread.passing(record.get("uuid"), record.get("parentUuid"))
            attachment = mapping(record.get("attachment"))
            if attachment.get("type") == "queued_command" and isinstance(said := attachment.get("prompt"), str):
                thread.queued(said)
        if kind not in _QUIET and kind not in ("result", "system"):
            counts = self._thread(record).unknown
            if kind in counts or len(counts) < _MAX_UNKNOWN:
                counts[clipped(kind, 100)] = counts.get(clipped(kind, 100), 0) + 1

    def _thread(self, record: dict[str, Json]) -> Thread:
        session = record.get("sessionId")
        if record.get("isSidechain") is not True:
            last = self._last
            if last is not None and last[0] == session:
                return last[1]
            streamed = session is None
            if streamed:
                session = record.get("session_id")
            upper = record.get("parent_tool_use_id")
            thread = self._known(session, upper if type(upper) is str else "", stream=streamed)
            if type(session) is str and not streamed:
                self._last = (session, thread)
            return thread
        return self._known(session, self._agent(record), stream=False)

    def _known(self, session: Json, agent: str, *, stream: bool) -> Thread:
        name = session[:200] if type(session) is str and session else self.path.stem[:200]
        thread = self.threads.get((name, agent))
        if thread is None:
            thread = self.threads[(name, agent)] = Thread(name, agent, stream=stream)
        return thread

    def _agent(self, record: dict[str, Json]) -> str:
        """The sub-agent of a side chain: its id, or where older versions have none, the root of its chain."""
        agent = record.get("agentId")
        if type(agent) is str and agent:
            return agent[:200]
        uuid, parent = record.get("uuid"), record.get("parentUuid")
        root = self.sidechains.get(parent, "") if type(parent) is str else ""
        if type(uuid) is str:
            root = root or uuid[:200]
            self.sidechains[uuid] = root
        return root or "sidechain"

    def _transcripts(self) -> Iterator[Transcript | Refusal]:
        source = str(self.path)
        for (session, agent), thread in self.threads.items():
            thread.title = clipped(self.titles.get(session, "") if not agent else "", 1_000)
            for title, leaf in self.summaries:
                if not thread.title and not agent and (leaf is None or thread.holds(leaf)):
                    thread.title = clipped(title, 1_000)
            found = thread.transcript(source, session if agent else None)
            if found is None:
                continue
            if not agent and not all(turn.task for turn in found.turns):
                yield Refusal(
                    source=source,
                    row=session,
                    reason="the prompt is not in this output of `claude -p`, so its turn has no task; "
                    "import the session from ~/.claude/projects instead",
                )
            yield found

    def _refusal(self, line: int | None, reason: str) -> Refusal:
        return Refusal(source=str(self.path), reason=reason, line=line)


def _values(path: Path) -> Iterable[tuple[int | None, Json] | Refusal]:
    """The records of a file with their lines; a document over several lines, or a list, has none."""
    start = head(path).removeprefix(b"\xef\xbb\xbf").lstrip()
    first = start.split(b"\n", 1)[0].rstrip()
    is_whole = first.endswith(b"}") or (len(first) > 1 and path.suffix.lower() in LINED)
    if not start or (start[:1] != b"[" and (start[:1] != b"{" or is_whole)):
        return json_lines(path)
    found = json_document(path)
    if isinstance(found, Refusal):
        return [found]
    return [(None, entry) for entry in (found if isinstance(found, list) else [found])]


def _first_keys(start: bytes) -> frozenset[str]:
    """The keys of the first record: parsed where it is complete, which is far quicker than looking for them."""
    first, newline, _ = start.partition(b"\n")
    if newline and first.rstrip().endswith(b"}"):
        try:
            return frozenset(mapping(parsed(first)))
        except ValueError:
            pass
    return top_keys(start)


def _any_in(directory: Path) -> bool:
    importer = ClaudeCodeImporter()
    return any(importer.accepts(file, head(file)) for file in islice(json_files(directory), _LOOKED_AT))


def _older(file: Path, since: datetime | None) -> bool:
    """Whether the file was last written before `since`; what it holds is then older still."""
    try:
        return since is not None and datetime.fromtimestamp(file.stat().st_mtime, UTC) < since
    except OSError:
        return False
