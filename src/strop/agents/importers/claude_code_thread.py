"""One conversation of Claude Code, the person's or a sub-agent's, as its records come in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from strop.agents.commands import AFTER
from strop.agents.importers.claude_code_steps import Call, call_of, said, settle
from strop.agents.importers.claude_code_turn import Draft, short, turn_of, unknown_fields
from strop.agents.importers.fields import NOTHING, mapping, maybe_whole, number
from strop.agents.transcript import Json, Transcript, clipped

_NO_TASK = (
    "<command-name>", "<command-message>", "<command-args>", "<local-command-", "Caveat:", "<bash-input>",
    "<bash-stdout>", "<bash-stderr>", "<task-notification>", "<user-memory-input>",
)  # fmt: skip
_COMMAND = ("<command-name>", "<command-message>")
_NOT_SAID = ("<system-reminder>", "<ide_opened_file>", "<ide_selection>", "<ide_diagnostics>")
_INTERRUPTED = "[Request interrupted by user"
_NOTED = re.compile(
    r"<tool-use-id>(?P<call>[^<]{1,200})</tool-use-id>.{0,2000}?<status>(?:completed|failed)</status>"
    r".{0,2000}?\bexit code (?P<code>-?\d{1,10})\b",
    re.DOTALL,
)
_TAG = re.compile(r"<(system-reminder|ide_\w+)>.*?</\1>\s*", re.DOTALL)


class Thread:
    """Collects the records of one conversation, in the order of the file."""

    def __init__(self, session: str, agent: str = "", *, stream: bool = False) -> None:
        self.session = session
        self.agent = agent
        self.stream = stream
        """`claude -p --output-format stream-json` does not repeat the prompt."""
        self.title = ""
        self.drafts: list[Draft] = []
        self.current: Draft | None = None
        self.directory: Json = None
        self.version: Json = None
        self.model: Json = None
        self.unknown: dict[str, int] = {}
        self.agent_type = ""
        self._begins_at_root = False
        self._draft_of: dict[str, Draft | None] = {}
        self._calls: dict[str, Call] = {}
        self._running: dict[str, Call] = {}
        """Commands that were left running, by the client's name for them."""
        self._early: dict[str, tuple[Mapping[str, Json], Json, Json]] = {}
        self._stops_recorded = False

    def assistant(self, record: dict[str, Json], message: dict[str, Json]) -> None:
        """One content block (or several) of one message of the model."""
        draft = self._owner(record) or self._begun(record)
        at = record.get("timestamp")
        draft.ended = at
        content = message.get("content")
        if record.get("isApiErrorMessage") is True:
            draft.error = clipped(said(content) or "API error", 2_000)
            return
        model = message.get("model")
        if model == "<synthetic>":
            return
        draft.model = model
        draft.error, draft.interrupted = None, False
        identity = message.get("id")
        if identity != draft.message or identity is None:
            draft.message, draft.said, draft.stop = identity, [], None
        stop = message.get("stop_reason")
        if stop is not None:
            draft.stop = stop
            self._stops_recorded = True
        usage = message.get("usage")
        if type(usage) is dict:
            draft.usages[identity if type(identity) is str else str(len(draft.usages))] = usage
        if type(content) is list:
            for block in content:
                if type(block) is dict:
                    self._block(draft, block, at)
        elif type(content) is str:
            draft.said.append(clipped(content))
            draft.last = "text"

    def _block(self, draft: Draft, block: dict[str, Json], at: Json) -> None:
        kind = block.get("type")
        if kind == "text":
            text = block.get("text")
            if type(text) is str and text:
                draft.said.append(clipped(text))
                draft.last = "text"
        elif kind in ("tool_use", "server_tool_use", "mcp_tool_use"):
            call = call_of(block, at)
            draft.calls.append(call)
            draft.last = "tool"
            if call.id:
                self._calls[call.id] = call
                if self._early and call.id in self._early:
                    settle(call, *self._early.pop(call.id))
        elif type(block.get("tool_use_id")) is str:
            self._result(block, None, at)

    def user(self, record: dict[str, Json], message: dict[str, Json]) -> None:
        """A request, results of tools, or one of the client's own notes in the user's name."""
        content = message.get("content")
        if type(content) is list:
            results = [block for block in content if type(block) is dict and block.get("type") == "tool_result"]
            if results:
                self._results(record, results)
                return
        draft = self._owner(record)
        if record.get("isMeta") is True or record.get("isCompactSummary") is True:
            return
        if record.get("isVisibleInTranscriptOnly") is True:
            return
        if type(content) is list:
            text = said([block for block in content if not _is_note(block)])
        else:
            text = _TAG.sub("", content) if type(content) is str and "<" in content else content
        if type(text) is not str or not text.strip():
            return
        if text.startswith(_INTERRUPTED):
            if draft is not None:
                draft.interrupted, draft.ended = True, record.get("timestamp")
        elif text.startswith(_COMMAND):
            self._open(record, None)
        elif not text.lstrip().startswith(_NO_TASK):
            self._open(record, clipped(text))
        else:
            self._noted(text)

    def _results(self, record: dict[str, Json], results: list[dict[str, Json]]) -> None:
        draft = self._owner(record) or self._begun(record)
        at = record.get("timestamp")
        draft.ended = at
        rich = None
        if len(results) == 1:
            rich = record.get("toolUseResult") or record.get("tool_use_result")
        for block in results:
            self._result(block, rich, at)

    def _result(self, block: dict[str, Json], rich: Json, at: Json) -> None:
        identity = block.get("tool_use_id")
        if type(identity) is not str:
            return
        call = self._calls.get(identity)
        if call is None:
            # Damaged or reordered logs: the call may still come.
            self._early[identity] = (block, rich, at)
        else:
            settle(call, block, rich, at)
            if type(rich) is dict and ("backgroundTaskId" in rich or self._running):
                self._looked_after(call, rich)

    def _looked_after(self, call: Call, rich: dict[str, Json]) -> None:
        """A command that is left running, or the end of one that was, seen in the result of asking for it."""
        if isinstance(name := rich.get("backgroundTaskId"), str):
            self._running[name] = call
            return
        told = mapping(rich.get("task")) or rich
        name, code = told.get("task_id", told.get("shellId")), maybe_whole(told.get("exitCode"))
        if isinstance(name, str) and code is not None and name in self._running:
            self._running[name].exited(code)

    def _noted(self, text: str) -> None:
        """The client's note that a command which was left running has ended."""
        if (found := _NOTED.search(text[:5_000])) and (call := self._calls.get(found["call"])) and call.tool == "bash":
            call.exited(int(found["code"]))

    def system(self, record: dict[str, Json]) -> None:
        """Hooks, durations and the head of a stream."""
        draft = self._owner(record)
        kind = record.get("subtype")
        if kind in ("turn_duration", "stop_hook_summary"):
            if draft is not None:
                draft.completed = True
        elif kind == "init":
            self.model = record.get("model") or self.model
            self.version = record.get("claude_code_version") or self.version
            self.directory = self.directory or record.get("cwd")

    def result(self, record: dict[str, Json]) -> None:
        """The last record of a `claude -p` output."""
        draft = self.current or self._begun(record)
        cost = number(record.get("total_cost_usd"))
        draft.cost = cost if cost is None or cost >= 0 else None
        draft.total = mapping(record.get("usage"))
        kind, words = record.get("subtype"), record.get("result")
        if record.get("is_error") is True or (isinstance(kind, str) and kind.startswith("error")):
            reason = words if isinstance(words, str) and words else kind
            draft.error = clipped(reason, 2_000) if isinstance(reason, str) else "error"
        else:
            draft.completed, draft.stop = True, draft.stop or "end_turn"
            if isinstance(words, str) and words:
                draft.said = [clipped(words)]
        denials = record.get("permission_denials")
        for denial in denials if isinstance(denials, list) else []:
            identity = mapping(denial).get("tool_use_id")
            if isinstance(identity, str) and identity in self._calls:
                self._calls[identity].status = "denied"

    def holds(self, uuid: Json) -> bool:
        """Whether a record of that id is in this conversation."""
        return isinstance(uuid, str) and uuid in self._draft_of

    def passing(self, uuid: Json, parent: Json) -> None:
        """A record that carries nothing but its place in the chain."""
        if type(uuid) is str:
            self._draft_of[uuid] = self._draft_of.get(parent, self.current) if type(parent) is str else self.current

    def queued(self, text: str) -> None:
        """Something that the person said while the turn ran."""
        if text.lstrip().startswith(_NO_TASK):
            self._noted(text)
        elif self.current is not None:
            heard = self.current.extra.setdefault("said_meanwhile", [])
            if isinstance(heard, list) and len(heard) < 20:
                heard.append(clipped(text, 2_000))

    def _owner(self, record: dict[str, Json]) -> Draft | None:
        """The turn a record belongs to: its parent's in the chain, else the one that is under way."""
        parent, uuid = record.get("parentUuid"), record.get("uuid")
        draft = self.current
        if type(parent) is str:
            draft = self._draft_of.get(parent) or draft
        if type(uuid) is str:
            self._draft_of[uuid] = draft
        return draft

    def _begun(self, record: dict[str, Json]) -> Draft:
        """A turn for work that comes before any request: a stream, or a log whose beginning is lost."""
        return self._open(record, "" if self.stream else None)

    def _open(self, record: dict[str, Json], task: str | None) -> Draft:
        uuid, at = record.get("uuid"), record.get("timestamp")
        directory, branch = record.get("cwd"), record.get("gitBranch")
        context: dict[str, Json] = {}
        if isinstance(directory, str) and directory:
            context["directory"] = clipped(directory, 1_000)
            self.directory = self.directory or directory
        if isinstance(branch, str) and branch:
            context["branch"] = clipped(branch, 1_000)
        self.version = record.get("version") or self.version
        draft = Draft(
            key=uuid[:200] if type(uuid) is str and uuid else str(len(self.drafts) + 1),
            task=task,
            before=self._before(record),
            started=at,
            ended=at,
            context=context,
            extra=unknown_fields(record),
        )
        self.drafts.append(draft)
        self.current = draft
        if type(uuid) is str:
            self._draft_of[uuid] = draft
        return draft

    def _before(self, record: dict[str, Json]) -> Draft | None:
        """The turn that a request continues; an edited request continues the one before the original."""
        parent = record.get("parentUuid")
        is_root = parent is None and "parentUuid" in record
        if not self.drafts:
            self._begins_at_root = is_root
        if type(parent) is str:
            return self._draft_of.get(parent, self.current)
        return None if is_root and self._begins_at_root else self.current

    def transcript(self, source: str, parent: str | None) -> Transcript | None:
        """Everything collected so far; None where nobody asked for anything."""
        live: set[int] = set()
        step = self.drafts[-1] if self.drafts else None
        while step is not None and id(step) not in live:
            live.add(id(step))
            step = step.before
        for before, after in pairwise(self.drafts):
            if before.task is None and (before.calls or before.said):
                after.extra[AFTER] = True
        asked = [draft for draft in self.drafts if draft.task is not None]
        turns = tuple(
            turn_of(
                draft,
                self.agent_type,
                reverted=id(draft) not in live,
                newest=draft is self.drafts[-1],
                stops=self._stops_recorded,
            )
            for draft in asked
        )
        if not turns:
            return None
        models = [draft.model for draft in asked if isinstance(draft.model, str)]
        model = models[-1] if models else self.model
        return Transcript(
            client="claude-code",
            id=f"{self.session}/{self.agent}" if self.agent else self.session,
            source=source,
            turns=turns,
            parent=parent,
            title=self.title,
            directory=short(self.directory),
            version=short(self.version),
            agent=self.agent_type,
            model=f"anthropic/{short(model)}"
            if isinstance(model, str) and model.startswith("claude-")
            else short(model),
            started=min((turn.started for turn in turns if turn.started), default=None),
            updated=max((turn.ended for turn in turns if turn.ended), default=None),
            extra={"unknown_records": dict(self.unknown)} if self.unknown else NOTHING,
        )


def _is_note(block: Json) -> bool:
    text = block.get("text") if isinstance(block, dict) else block
    return isinstance(text, str) and text.lstrip().startswith(_NOT_SAID)
