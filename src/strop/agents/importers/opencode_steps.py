"""An OpenCode tool part as a step: what was called, and what truly came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from strop.agents.importers.fields import (
    NOTHING,
    bounded_mapping,
    mapping,
    maybe_whole,
    rest,
    seconds_between,
    text,
    when,
)
from strop.agents.transcript import Json, Step, StepStatus

_NEUTRAL = {
    "multiedit": "edit",
    "apply_patch": "patch",
    "webfetch": "fetch",
    "websearch": "search",
    "codesearch": "search",
    "todowrite": "todo",
    "todoread": "todo",
}

_DENIED = (
    "The user rejected permission",
    "The user has specified a rule which prevents",
    "The user dismissed this question",
)
_ABORTED = ("Tool execution aborted", "Tool execution was interrupted")
_ABORTED_COMMAND = "User aborted the command"
_WRONG_ARGUMENTS = "called with invalid arguments"

_PART = frozenset({"id", "sessionID", "messageID", "type", "callID", "tool", "state", "metadata"})
_STATE = frozenset({"status", "input", "raw", "output", "error", "title", "metadata", "time", "attachments"})
_METADATA = frozenset(
    {
        *("output", "exit", "truncated", "description", "title", "diff", "filediff", "files", "preview", "loaded"),
        *("display", "filepath", "exists", "count", "matches", "todos", "parentSessionId", "model", "outputPath"),
    }
)


def steps_of(tools: Iterable[dict[str, Json]]) -> list[Step]:
    """The tool parts of one message in the order of starting; a message calls its tools in parallel."""
    found = [_step(part) for part in tools]
    if len(found) < 2:
        return found
    # A call without a time keeps its place behind the one before it.
    latest: datetime | None = None
    ranks: list[tuple[bool, float, int]] = []
    for place, step in enumerate(found):
        latest = step.started or latest
        ranks.append((latest is not None, latest.timestamp() if latest else 0.0, place))
    return [found[place] for _, _, place in sorted(ranks)]


def _step(part: dict[str, Json]) -> Step:
    state = mapping(part.get("state"))
    metadata = mapping(state.get("metadata"))
    status = _status(part, state, metadata)
    tool = text(part.get("tool")) or "unknown"
    given = mapping(state.get("input"))
    output = text(state.get("output")) or text(state.get("error")) or text(metadata.get("output"))
    if tool == "invalid":
        # The client records a call of an unknown tool under this name, with the name that was called as an argument.
        tool = text(given.get("tool")) or tool
        output = output or text(given.get("error"))
        given = {key: value for key, value in given.items() if key not in {"tool", "error"}}
    time = mapping(state.get("time"))
    started, ended = when(time.get("start")), when(time.get("end"))
    return Step(
        tool=_NEUTRAL.get(tool, tool),
        arguments=bounded_mapping(given),
        result=output,
        status=status,
        exit_code=maybe_whole(metadata.get("exit")),
        call=text(part.get("callID")),
        started=started,
        seconds=seconds_between(started, ended),
        extra=_extra(part, state, metadata) or NOTHING,
    )


def _status(part: dict[str, Json], state: dict[str, Json], metadata: dict[str, Json]) -> StepStatus:
    match state.get("status"):
        case "completed":
            return _completed(part, state, metadata)
        case "error":
            error = text(state.get("error"))
            if error.startswith(_DENIED):
                return "denied"
            if error.startswith(_ABORTED) or metadata.get("interrupted") is True:
                return "aborted"
            return "invalid" if _WRONG_ARGUMENTS in error or part.get("tool") == "invalid" else "failed"
        case "running" | "pending":
            return "unfinished"
        case _:
            return "unknown"


def _completed(part: dict[str, Json], state: dict[str, Json], metadata: dict[str, Json]) -> StepStatus:
    """`completed` only means that the call returned: a command may have failed or been killed, a tool may not exist."""
    if part.get("tool") == "invalid":
        return "invalid"
    if "exit" in metadata:
        code = maybe_whole(metadata["exit"])
        if code is None:
            return "aborted"
        return "ok" if code == 0 else "failed"
    ending = text(state.get("output"))[-200:]
    return "aborted" if part.get("tool") == "bash" and _ABORTED_COMMAND in ending else "ok"


def _extra(part: dict[str, Json], state: dict[str, Json], metadata: dict[str, Json]) -> Mapping[str, Json]:
    if part.keys() <= _PART and state.keys() <= _STATE and metadata.keys() <= _METADATA:
        return NOTHING
    extra = rest(part, _PART)
    extra.update(rest(state, _STATE))
    unknown = rest(metadata, _METADATA)
    if child := text(unknown.pop("sessionId", None)):
        extra["session"] = child
    if not unknown.get("diagnostics", True):
        del unknown["diagnostics"]
    if unknown:
        extra["metadata"] = unknown
    return extra
