"""Claude Code's tool calls and their results, as steps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from strop.agents.importers.fields import NOTHING, bounded, seconds_between, when
from strop.agents.transcript import MAX_TEXT, Json, Step, StepStatus, clipped

_TOOLS = {
    "Agent": "task", "Bash": "bash", "Edit": "edit", "Glob": "glob", "Grep": "grep", "LS": "list", "MultiEdit": "edit",
    "NotebookEdit": "edit", "NotebookRead": "read", "Read": "read", "Task": "task", "TodoRead": "todo",
    "TodoWrite": "todo", "WebFetch": "fetch", "WebSearch": "search", "Write": "write", "web_search": "search",
}  # fmt: skip
_EXIT = re.compile(r"(?:Error: )?Exit code (-?\d{1,10})(?:\n|$)")
_ABORTED = re.compile(r"\[Request interrupted by user|Interrupted by user|.{0,20}Command was aborted", re.DOTALL)
_DENIED = re.compile(
    r"requires approval|haven't granted it yet|^The user doesn't want to (?:proceed|take)|^User rejected tool use"
    r"|tool use was rejected|^(?:Error: )?Permission to use .{1,200} (?:has been |was )?(?:auto-)?(?:denied|not gr)"
    r"|requested permissions to ",
    re.DOTALL,
)
_DENIED_MARKS = (
    "requires approval", "haven't granted it", "doesn't want to", "rejected", "Permission to use",
    "requested permissions",
)  # fmt: skip
"""One of them is in whatever `_DENIED` finds."""
_INVALID = re.compile(r"(?:<tool_use_error>)?(?:Error: )?(?:InputValidationError|No such tool available|Unknown tool)")
_LOOKED_AT = 400
"""Characters of a result in which the client's own words are looked for; what follows is the tool's."""
_DEEP = 12


@dataclass(slots=True)
class Call:
    """One tool call while its session is being read; times are still texts."""

    id: str
    tool: str
    arguments: Mapping[str, Json]
    started: Json
    ended: Json = None
    result: str = ""
    status: StepStatus = "unfinished"
    exit_code: int | None = None
    extra: dict[str, Json] = field(default_factory=dict)

    def exited(self, code: int) -> None:
        """Write down how a command ended that was left running; one that was killed says nothing of itself."""
        self.exit_code = code
        self.status = "ok" if code == 0 else "failed"

    def step(self) -> Step:
        """The call as it stands now."""
        started = when(self.started)
        return Step(
            tool=self.tool,
            arguments=self.arguments,
            result=self.result,
            status=self.status,
            exit_code=self.exit_code,
            call=self.id,
            started=started,
            seconds=seconds_between(started, when(self.ended)) if self.ended is not None else None,
            extra=self.extra or NOTHING,
        )


def call_of(block: Mapping[str, Json], at: Json) -> Call:
    """A `tool_use` block (or the provider's own `server_tool_use`) without its result."""
    name = block.get("name")
    tool = name if isinstance(name, str) else ""
    given = block.get("input")
    call = block.get("id")
    return Call(
        id=call if isinstance(call, str) else "",
        tool=_TOOLS.get(tool, clipped(tool, 200)),
        arguments=kept(given) if isinstance(given, dict) else NOTHING,
        started=at,
    )


def kept(given: dict[str, Json]) -> Mapping[str, Json]:
    """Arguments as they came where they are flat and short, which they nearly always are; bounded otherwise."""
    for value in given.values():
        kind = type(value)
        if kind is dict or kind is list or (kind is str and len(value) > MAX_TEXT):  # pyright: ignore[reportArgumentType] - kind is str
            break
    else:
        return given
    found = bounded(given, _DEEP)
    return found if isinstance(found, dict) else NOTHING


def settle(call: Call, block: Mapping[str, Json], rich: Json, at: Json) -> None:
    """Write a `tool_result` block into its call. `rich` is the record's toolUseResult where it is the block's."""
    content = block.get("content")
    result = content if isinstance(content, str) else said(content)
    call.result = result = clipped(result)
    call.ended = at
    start = result[:_LOOKED_AT]
    if block.get("is_error") is True:
        _failed(call, start)
        return
    call.status = "ok"
    details = rich if isinstance(rich, dict) else NOTHING
    if details.get("interrupted") is True:
        call.status = "aborted"
    elif start.startswith("<tool_use_error>"):
        _failed(call, start)
    elif start.startswith(
        ("Claude requested permissions to ", "The user doesn't want to ", "This command requires appr")
    ):
        call.status = "denied"
    elif call.tool == "bash":
        _ended_well(call, details, start)
    if details:
        agent = details.get("agentId")
        if isinstance(agent, str):
            call.extra["agent"] = clipped(agent, 200)


def _failed(call: Call, start: str) -> None:
    if found := _EXIT.match(start):
        call.exit_code = int(found[1])
        call.status = "aborted" if _ABORTED.match(start, found.end()) else "failed"
    elif _ABORTED.match(start):
        call.status = "aborted"
    elif _INVALID.match(start):
        call.status = "invalid"
    elif any(map(start.__contains__, _DENIED_MARKS)) and _DENIED.search(start):
        call.status = "denied"
    else:
        call.status = "failed"


def _ended_well(call: Call, details: Mapping[str, Json], start: str) -> None:
    """The client reports every exit code but 0 as an error, save those that it explains away (grep without a match)."""
    reason = details.get("returnCodeInterpretation")
    if isinstance(reason, str) and reason:
        call.extra["exit"] = clipped(reason, 200)
    elif details.get("backgroundTaskId") or start.startswith("Command running in background"):
        call.status = "unknown"
    else:
        call.exit_code = 0


def said(content: Json) -> str:
    """The texts of a list of content blocks; other kinds of blocks are named in brackets."""
    if not isinstance(content, list):
        return content if isinstance(content, str) else ""
    parts: list[str] = []
    for block in content:
        if isinstance(block, str):
            parts.append(block)
        elif isinstance(block, dict):
            words = block.get("text")
            kind = block.get("type")
            parts.append(words if isinstance(words, str) else f"[{kind}]" if isinstance(kind, str) else "")
    return "\n".join(part for part in parts if part)
