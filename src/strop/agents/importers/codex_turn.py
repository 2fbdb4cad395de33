"""Codex's turns: one request and what was done about it, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from strop.agents.importers.codex_steps import Call
from strop.agents.importers.fields import NOTHING, when, whole
from strop.agents.transcript import Finish, Json, Turn, Usage, clipped


@dataclass(slots=True)
class Draft:
    """A turn while its session is being read. `task` None: work that nobody asked for in words (a review, say)."""

    key: str
    task: str | None
    started: Json
    context: Mapping[str, Json]
    model: str = ""
    ended: Json = None
    calls: list[Call] = field(default_factory=list)
    answer: str = ""
    last: str = ""
    """What came last from the assistant: `text`, `tool` or nothing."""
    completed: bool = False
    aborted: bool = False
    error: str | None = None
    reverted: bool = False
    usage: Usage = field(default_factory=Usage)
    extra: dict[str, Json] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether work that comes in now belongs to it."""
        return not self.completed and not self.aborted


def turn_of(draft: Draft, agent: str, *, newest: bool, ends: bool) -> Turn:
    """The turn as it stands. `newest`: nothing was asked after it; `ends`: its client writes down the end of turns."""
    return Turn(
        key=draft.key,
        task=draft.task or "",
        context=draft.context,
        steps=tuple([call.step() for call in draft.calls]),
        answer=draft.answer,
        finish=_finish(draft, newest=newest, ends=ends),
        usage=draft.usage,
        error=draft.error,
        started=when(draft.started),
        ended=when(draft.ended),
        model=draft.model,
        agent=agent,
        reverted=draft.reverted,
        extra=draft.extra or NOTHING,
    )


def _finish(draft: Draft, *, newest: bool, ends: bool) -> Finish:
    found: Finish = "unknown"
    unfinished = any(call.status == "unfinished" for call in draft.calls)
    if draft.error is not None:
        found = "error"
    elif draft.aborted:
        found = "interrupted"
    elif draft.completed:
        found = "stop" if draft.last == "text" or not draft.calls else "tools"
    elif unfinished or (newest and (ends or not draft.last)):
        found = "interrupted"
    elif draft.last == "text" and not ends:
        # Older versions did not write down that a turn had ended: the last words are all there is.
        found = "stop"
    elif draft.last == "tool":
        found = "tools"
    return found


class Meter:
    """Tokens of turns out of counts that only ever grow (and start again when a thread is built anew)."""

    def __init__(self) -> None:
        self._before = Usage()
        self._newest: Mapping[str, Json] | None = None
        self._is_spare = True

    def take(self, total: Json, *, spare: bool = False) -> None:
        """The newest sum over the whole thread; an empty one (a record about rate limits) changes nothing.

        A spare one counts only while none of the other kind has come.
        """
        if isinstance(total, dict) and total and (self._is_spare or not spare):
            self._newest, self._is_spare = total, spare

    def since(self) -> Usage:
        """What was used since the last call."""
        if self._newest is None:
            return Usage()
        total, before = usage_of(self._newest), self._before
        self._newest, self._before = None, total
        if total.input_tokens < before.input_tokens or total.output_tokens < before.output_tokens:
            return total
        return Usage(
            input_tokens=total.input_tokens - before.input_tokens,
            output_tokens=total.output_tokens - before.output_tokens,
            cached_tokens=max(0, total.cached_tokens - before.cached_tokens),
            reasoning_tokens=max(0, total.reasoning_tokens - before.reasoning_tokens),
        )


def usage_of(counts: Mapping[str, Json]) -> Usage:
    """Counts in the client's own words; its input already includes what came from the cache."""
    return Usage(
        input_tokens=whole(counts.get("input_tokens")),
        output_tokens=whole(counts.get("output_tokens")),
        cached_tokens=whole(counts.get("cached_input_tokens")),
        reasoning_tokens=whole(counts.get("reasoning_output_tokens")),
    )


def added(one: Usage, other: Usage) -> Usage:
    """The sum of two."""
    return Usage(
        input_tokens=one.input_tokens + other.input_tokens,
        output_tokens=one.output_tokens + other.output_tokens,
        cached_tokens=one.cached_tokens + other.cached_tokens,
        reasoning_tokens=one.reasoning_tokens + other.reasoning_tokens,
    )


def reason_of(value: Json | Mapping[str, Json]) -> str:
    """What an error record says, as text or as an object with a message."""
    words = value.get("message") if isinstance(value, Mapping) else value
    return clipped(words, 2_000) if isinstance(words, str) and words else "error"
