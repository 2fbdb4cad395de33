"""Claude Code's turns: one request and what was done about it, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strop.agents.importers.claude_code_steps import Call
from strop.agents.importers.fields import NOTHING, when, whole
from strop.agents.transcript import Finish, Json, Turn, Usage, clipped

_STOPS: Mapping[str, Finish] = {
    "end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length",
    "refusal": "error",
}  # fmt: skip
_KNOWN = frozenset({
    "agentId", "cwd", "entrypoint", "gitBranch", "isMeta", "isSidechain", "message", "origin", "parentUuid",
    "parent_tool_use_id", "promptId", "sessionId", "session_id", "slug", "timestamp", "type", "userType", "uuid",
    "version",
})  # fmt: skip
_SMALL = 200


@dataclass(slots=True)
class Draft:
    """A turn while its session is being read. `task` None: the work of a slash command, which is nobody's request."""

    key: str
    task: str | None
    before: Draft | None
    """The turn that this one continues; None for the first."""
    started: Json = None
    ended: Json = None
    context: Mapping[str, Json] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    usages: dict[str, Mapping[str, Json]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    message: Json = None
    model: Json = None
    stop: Json = None
    last: str = ""
    """What came last from the assistant: `text`, `tool` or nothing."""
    error: str | None = None
    interrupted: bool = False
    completed: bool = False
    cost: float | None = None
    total: Mapping[str, Json] = field(default_factory=dict)
    """Usage of the whole turn, as a result record gives it."""
    extra: dict[str, Json] = field(default_factory=dict)


def turn_of(draft: Draft, agent: str, *, reverted: bool, newest: bool, stops: bool) -> Turn:
    """The turn as it stands. `newest`: nothing was asked after it; `stops`: its client says why a message ended."""
    return Turn(
        key=draft.key,
        task=draft.task or "",
        context=draft.context,
        steps=tuple([call.step() for call in draft.calls]),
        answer="\n".join(draft.said),
        finish=_finish(draft, newest=newest, stops=stops),
        usage=_usage(draft),
        error=draft.error or ("the model refused to answer" if draft.stop == "refusal" else None),
        started=when(draft.started),
        ended=when(draft.ended),
        model=short(draft.model),
        agent=agent,
        reverted=reverted,
        extra=draft.extra or NOTHING,
    )


def _finish(draft: Draft, *, newest: bool, stops: bool) -> Finish:
    found: Finish = "unknown"
    if draft.error is not None:
        found = "error"
    elif draft.interrupted or any(call.status == "unfinished" for call in draft.calls):
        found = "interrupted"
    elif draft.stop == "tool_use" or (draft.stop is None and draft.last == "tool"):
        found = "tools"
    elif isinstance(draft.stop, str):
        found = _STOPS.get(draft.stop, "unknown")
    elif draft.completed:
        found = "stop"
    elif not draft.last:
        found = "interrupted" if newest else "unknown"
    elif not stops:
        # Older versions never wrote a stop reason; where others have one, a missing one is a reply that was cut.
        found = "stop"
    return found


def _usage(draft: Draft) -> Usage:
    """The provider counts what it read from or wrote to its cache apart from the other input."""
    fresh = written = read = output = 0
    # A stream's messages carry the counts of their beginning; only its last record knows what was written.
    for usage in (draft.total,) if draft.total.get("output_tokens") else draft.usages.values():
        fresh += whole(usage.get("input_tokens"))
        written += whole(usage.get("cache_creation_input_tokens"))
        read += whole(usage.get("cache_read_input_tokens"))
        output += whole(usage.get("output_tokens"))
    return Usage(input_tokens=fresh + written + read, output_tokens=output, cached_tokens=read, cost_usd=draft.cost)


def unknown_fields(record: dict[str, Json]) -> dict[str, Json]:
    """Small fields of a request that this version does not know."""
    kept: dict[str, Json] = {}
    for key, value in record.items():
        if key in _KNOWN or len(kept) == 20 or len(key) > _SMALL:
            continue
        if isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= _SMALL):
            kept[key] = value
    return kept


def short(value: Json) -> str:
    """A name, a path, a version: the string, clipped."""
    return clipped(value, 1_000) if isinstance(value, str) else ""
