"""One thread of Codex, as the records of its rollout come in."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from strop.agents.importers.codex_calls import Calls
from strop.agents.importers.codex_transcript import transcript_of
from strop.agents.importers.codex_turn import Draft, Meter, added, reason_of, usage_of
from strop.agents.importers.codex_words import request_of, words_of
from strop.agents.importers.fields import NOTHING, items, mapping, text, whole
from strop.agents.transcript import Json, Transcript, clipped

_CALLS = {"function_call": "arguments", "custom_tool_call": "input", "tool_search_call": "arguments"}
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output", "mcp_tool_call_output"})
_MAX_UNKNOWN = 50


class Thread:
    """Collects the records of one thread, in the order of the file."""

    def __init__(self, name: str, *, stream: bool = False) -> None:
        self.id = name
        self.stream = stream
        """`codex exec --json` does not repeat the prompt."""
        self.drafts: list[Draft] = []
        self.current: Draft | None = None
        self.unknown: dict[str, int] = {}
        self.meta: Mapping[str, Json] = NOTHING
        self.forked: str | None = None
        self.model = ""
        self.directory = ""
        self.ends = False
        """This version writes down when a turn ends."""
        self._meter = Meter()
        self._calls = Calls(self._work)
        self._waiting: tuple[str, Json] | None = None
        self._events = False
        self._keys: set[str] = set()
        self._events_of: Mapping[str, Callable[[Mapping[str, Json], Json], None]] = {
            "agent_message": self._agent_message,
            "error": self._error,
            "exec_command_begin": self._calls.told,
            "exec_command_end": self._calls.told,
            "item_completed": self._item_event,
            "mcp_tool_call_end": self._calls.told,
            "patch_apply_end": self._calls.told,
            "task_complete": self._complete,
            "task_started": self._task_started,
            "thread_rolled_back": self._rolled_back,
            "token_count": self._tokens,
            "turn_aborted": self._aborted,
            "turn_complete": self._complete,
            "turn_started": self._task_started,
            "user_message": self._user_message,
        }

    def head(self, payload: Mapping[str, Json]) -> None:
        """The head of a session. A resumed one repeats it; a forked one brings its parent's along, after its own."""
        if not self.meta:
            self.meta = payload
            if isinstance(name := payload.get("id") or payload.get("session_id"), str) and name:
                self.id = name[:200]
            self.directory = text(payload.get("cwd"))[:1_000]
            forked = payload.get("forked_from_id")
            self.forked = forked[:200] if isinstance(forked, str) else None
        elif isinstance(name := payload.get("id"), str) and name[:200] != self.id:
            self.forked = self.forked or name[:200]

    def turn_context(self, payload: Mapping[str, Json]) -> None:
        """What the next request works with."""
        self.model = text(payload.get("model"), self.model)[:200]
        self.directory = text(payload.get("cwd"), self.directory)[:1_000]
        if self.current is not None and self.current.is_open and not self.current.last:
            self.current.model = self.model

    def event(self, payload: Mapping[str, Json], at: Json) -> None:
        """One `event_msg`; those that repeat what the items say are passed over."""
        kind = payload.get("type")
        handler = self._events_of.get(kind) if type(kind) is str else None
        if handler is not None:
            handler(payload, at)

    def item(self, payload: Mapping[str, Json], at: Json) -> None:
        """One `response_item`: what went to the model or came from it."""
        kind = payload.get("type")
        if type(kind) is not str:
            return
        if kind == "message":
            self._message(payload, at)
        elif kind in _OUTPUTS:
            self._calls.output(payload.get("call_id"), payload.get("output", payload.get("tools")), at)
            if self.current is not None and self.current.is_open:
                self.current.ended = at
        elif kind in _CALLS:
            name = payload.get("name") or kind
            self._calls.started(payload.get("call_id"), name, payload.get(_CALLS[kind]), at)
        elif kind == "local_shell_call":
            action = mapping(payload.get("action"))
            given = {key: action[key] for key in ("command", "working_directory", "timeout_ms") if action.get(key)}
            self._calls.started(payload.get("call_id") or payload.get("id"), "local_shell", given, at)
        elif kind == "web_search_call":
            query = mapping(payload.get("action")).get("query")
            self._searched(payload.get("id"), query, payload.get("status") == "completed", at)

    def _searched(self, identity: Json, query: Json, completed: bool, at: Json) -> None:
        given: Json = {"query": query} if isinstance(query, str) else {}
        self._calls.started(identity, "web_search", given, at).status = "ok" if completed else "unknown"

    def _message(self, payload: Mapping[str, Json], at: Json) -> None:
        role = payload.get("role")
        if role == "assistant":
            self._say(words_of(payload.get("content")), at)
        elif role == "user":
            words = request_of(words_of(payload.get("content")))
            kinds = mapping(payload.get("internal_chat_message_metadata_passthrough")).get("content_item_kinds")
            named = isinstance(kinds, list)
            if words and (not named or "user.text" in items(kinds)):
                current = self.current
                if current is not None and current.task == words and not current.last and current.is_open:
                    return
                if named or not self._events:
                    # Held back until the client's own event confirms it, or work begins without one.
                    self._waiting = (words, at)

    def _user_message(self, payload: Mapping[str, Json], at: Json) -> None:
        kind = payload.get("kind")
        if kind in (None, "plain"):
            self._confirm(request_of(text(payload.get("message"))), "", at)

    def _confirm(self, words: str, key: str, at: Json) -> None:
        """A request that the client itself calls one; both of its events may tell of the same."""
        self._events = True
        self._waiting = None
        if not words or (key and key[:200] in self._keys):
            return
        current = self.current
        if current is not None and current.task == words and not current.last and current.is_open:
            return
        self._open(words, key, at)

    def _open(self, task: str | None, key: str, at: Json) -> Draft:
        self._measure()
        branch = mapping(self.meta.get("git")).get("branch")
        context: dict[str, Json] = {"directory": self.directory} if self.directory else {}
        if isinstance(branch, str):
            context["branch"] = branch[:1_000]
        draft = Draft(
            key=key[:200] or str(len(self.drafts) + 1),
            task=task,
            started=at,
            ended=at,
            context=context,
            model=self.model,
        )
        self._keys.add(draft.key)
        self.drafts.append(draft)
        self.current = draft
        return draft

    def _work(self, at: Json) -> Draft:
        """The turn that work belongs to which comes in now."""
        if self._waiting is not None:
            (words, asked), self._waiting = self._waiting, None
            return self._open(words, "", asked)
        current = self.current
        if current is None or not current.is_open:
            current = self._open("" if self.stream else None, "", at)
        current.ended = at
        return current

    def _say(self, words: str, at: Json) -> None:
        if words:
            draft = self._work(at)
            draft.answer, draft.last, draft.error = clipped(words), "text", None

    def _agent_message(self, payload: Mapping[str, Json], at: Json) -> None:
        self._say(text(payload.get("message")), at)

    def _item_event(self, payload: Mapping[str, Json], at: Json) -> None:
        self.completed_item(mapping(payload.get("item")), at)

    def completed_item(self, item: Mapping[str, Json], at: Json) -> None:
        """An item of a turn in the newer event's words, or in those of `codex exec --json`."""
        kind = item.get("type")
        if kind == "UserMessage":
            self._confirm(request_of(words_of(item.get("content"))), text(item.get("id")), at)
        elif kind in (
            "CommandExecution",
            "FileChange",
            "McpToolCall",
            "command_execution",
            "file_change",
            "mcp_tool_call",
        ):
            self._calls.told(item, at)
        elif kind in ("AgentMessage", "agent_message"):
            self._say(words_of(item.get("content")) or text(item.get("text")), at)
        elif kind == "web_search":
            self._searched(item.get("id"), item.get("query"), True, at)
        elif kind == "error" and self.current is not None:
            self._work(at).extra["warning"] = reason_of(item)

    def _task_started(self, payload: Mapping[str, Json], at: Json) -> None:  # noqa: ARG002 - the handlers' shape
        self.ends = True
        if self.current is not None and self.current.is_open and self.current.last:
            # What comes next is another task of the client's; without a request of its own it is nobody's.
            self._measure()
            self.current = None

    def _complete(self, payload: Mapping[str, Json], at: Json) -> None:
        self.ends = True
        draft = self._work(at)
        last = payload.get("last_agent_message")
        if isinstance(last, str) and last:
            draft.answer, draft.last = clipped(last), "text"
        draft.completed, draft.ended = True, at
        if error := payload.get("error"):
            draft.error = reason_of(error)

    def _aborted(self, payload: Mapping[str, Json], at: Json) -> None:
        self.ends = True
        draft = self._work(at)
        draft.aborted, draft.ended = True, at
        if isinstance(reason := payload.get("reason"), str) and reason != "interrupted":
            draft.extra["aborted"] = reason[:200]

    def _error(self, payload: Mapping[str, Json], at: Json) -> None:
        self._work(at).error = reason_of(payload)

    def _rolled_back(self, payload: Mapping[str, Json], at: Json) -> None:  # noqa: ARG002 - the handlers' shape
        left = whole(payload.get("num_turns"))
        for draft in reversed(self.drafts):
            if left and draft.task is not None and not draft.reverted:
                draft.reverted = True
                left -= 1

    def _tokens(self, payload: Mapping[str, Json], at: Json) -> None:  # noqa: ARG002 - the handlers' shape
        info = payload.get("info")
        if type(info) is dict:
            self._meter.take(info.get("total_token_usage"))

    def recorded(self, payload: Mapping[str, Json]) -> None:
        """A `token_usage_record`, which says the same as the event and may one day replace it."""
        self._meter.take(payload.get("thread_token_usage"), spare=True)

    def _measure(self) -> None:
        used = self._meter.since()
        if self.current is not None:
            self.current.usage = added(self.current.usage, used)

    def streamed(self, record: Mapping[str, Json]) -> bool:
        """One line of `codex exec --json`; False for a type that is none of its."""
        kind = record.get("type")
        if kind == "thread.started":
            if isinstance(name := record.get("thread_id"), str) and name:
                self.id = name[:200]
        elif kind == "turn.started":
            self.ends = True
            self._open("", "", None)
        elif kind == "item.completed":
            self.completed_item(mapping(record.get("item")), None)
        elif kind == "turn.completed":
            draft = self._work(None)
            draft.completed = True
            draft.usage = added(draft.usage, usage_of(mapping(record.get("usage"))))
        elif kind in ("turn.failed", "error"):
            self._work(None).error = reason_of(record.get("error", record))
        else:
            return kind in ("item.started", "item.updated")
        return True

    def count(self, kind: str) -> None:
        """A type of record that this version does not know."""
        if kind in self.unknown or len(self.unknown) < _MAX_UNKNOWN:
            self.unknown[kind] = self.unknown.get(kind, 0) + 1

    def transcript(self, source: str) -> Transcript | None:
        """Everything collected so far; None where nobody asked for anything."""
        if self._waiting is not None:
            (words, at), self._waiting = self._waiting, None
            self._open(words, "", at)
        self._measure()
        return transcript_of(self, source)
