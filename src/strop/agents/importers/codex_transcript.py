"""What a thread of Codex becomes when all of its records are in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Protocol

from strop.agents.commands import AFTER
from strop.agents.importers.codex_turn import Draft, turn_of
from strop.agents.importers.fields import NOTHING, mapping, text, when
from strop.agents.transcript import Json, Transcript, clipped


class Collected(Protocol):
    """What has been collected of a thread."""

    id: str
    drafts: list[Draft]
    unknown: dict[str, int]
    meta: Mapping[str, Json]
    forked: str | None
    model: str
    directory: str
    ends: bool


def transcript_of(thread: Collected, source: str) -> Transcript | None:
    """The session without what it was forked with: those turns are in the session that it came from."""
    meta = thread.meta
    agent, parent = _origin(meta)
    began = when(meta.get("timestamp"))
    for before, after in pairwise(thread.drafts):
        if before.task is None and before.last:
            after.extra[AFTER] = True
    turns = tuple(
        turn_of(draft, agent, newest=draft is thread.drafts[-1], ends=thread.ends)
        for draft in thread.drafts
        if draft.task is not None and not (thread.forked and _is_before(draft, began))
    )
    if not turns:
        return None
    provider = text(meta.get("model_provider"))[:200]
    model = next((turn.model for turn in reversed(turns) if turn.model), thread.model)
    prompt = meta.get("base_instructions")
    return Transcript(
        client="codex",
        id=thread.id,
        source=source,
        turns=turns,
        parent=parent,
        directory=text(meta.get("cwd"), thread.directory)[:1_000],
        version=text(meta.get("cli_version"))[:200],
        agent=agent,
        model=f"{provider}/{model}" if provider and model else model,
        system_prompt=text(mapping(prompt).get("text") if isinstance(prompt, dict) else prompt) or None,
        started=began or min((turn.started for turn in turns if turn.started), default=None),
        updated=max((turn.ended for turn in turns if turn.ended), default=began),
        extra=_extra(thread),
    )


def _extra(thread: Collected) -> Mapping[str, Json]:
    extra: dict[str, Json] = {"unknown_records": dict(thread.unknown)} if thread.unknown else {}
    if thread.forked:
        extra["forked_from"] = thread.forked
    if isinstance(given := thread.meta.get("instructions"), str) and given:
        extra["instructions"] = clipped(given, 4_000)
    return extra or NOTHING


def _is_before(draft: Draft, began: datetime | None) -> bool:
    started = when(draft.started)
    return started is not None and began is not None and started < began - timedelta(seconds=1)


def _origin(meta: Mapping[str, Json]) -> tuple[str, str | None]:
    """The role of a sub-agent and the thread that started it; nothing of either for a person's own."""
    spawn = mapping(mapping(mapping(meta.get("source")).get("subagent")).get("thread_spawn"))
    parent = spawn.get("parent_thread_id") or meta.get("parent_thread_id")
    agent = spawn.get("agent_role") or meta.get("agent_role") or spawn.get("agent_nickname")
    return text(agent)[:200], parent[:200] if isinstance(parent, str) and parent else None
