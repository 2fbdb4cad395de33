"""The neutral example: one turn of one client's session, with its outcome and the evidence for it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_args

from strop.agents.commands import command_of
from strop.agents.injection import Flag, flags
from strop.agents.outcome import Evidence, Outcome
from strop.agents.transcript import ClientName, Finish, Json, Step, Transcript, Turn, Usage


@dataclass(frozen=True, kw_only=True)
class AgentExample:
    """One task that was given to an agent, what it did, and how that ended. Everything in it is redacted."""

    id: str
    client: ClientName
    session: str
    turn: str
    """The turn's key, stable within the session."""
    number: int
    """0-based, within the session."""
    project: str
    """The directory, its home part as `~`."""
    task: str
    outcome: Outcome
    started: datetime | None = None
    context: Mapping[str, Json] = field(default_factory=dict[str, Json])
    steps: tuple[Step, ...] = ()
    answer: str = ""
    finish: Finish = "unknown"
    usage: Usage = field(default_factory=Usage)
    seconds: float | None = None
    error: str | None = None
    model: str = ""
    agent: str = ""
    parent: str | None = None
    """The session whose agent gave the task."""
    source: str = ""
    flags: tuple[Flag, ...] = ()
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])

    @property
    def family(self) -> str:
        """What never leaves its split: the session, or the one whose agent started it."""
        return f"{self.client}:{self.parent or self.session}"

    @property
    def command(self) -> str:
        """The slash command, without its slash, whose text the task is; empty for a task that somebody wrote."""
        return command_of(self.client, self.task, self.extra)

    @property
    def usable(self) -> bool:
        """Whether there is a task that somebody wrote, and anything that was done or said about it."""
        return bool(self.task.strip()) and bool(self.steps or self.answer.strip()) and not self.command


def session_key(client: str, session: str) -> str:
    """32 hexadecimal digits that name a session of a client."""
    return hashlib.blake2b(f"{client}\0{session}".encode(errors="replace"), digest_size=16).hexdigest()


def example_id(client: str, session: str, turn: str) -> str:
    """24 hexadecimal digits, the same whenever and wherever the turn is imported."""
    return hashlib.blake2b(f"{client}\0{session}\0{turn}".encode(errors="replace"), digest_size=12).hexdigest()


def make_example(
    transcript: Transcript, number: int, outcome: Outcome, *, flagged: tuple[Flag, ...] | None = None
) -> AgentExample:
    """The example of one turn of a redacted transcript. `flagged` are the turn's flags where they are known."""
    turn = transcript.turns[number]
    return AgentExample(
        id=example_id(transcript.client, transcript.id, turn.key),
        client=transcript.client,
        session=transcript.id,
        turn=turn.key,
        number=number,
        project=transcript.directory,
        task=turn.task,
        outcome=outcome,
        started=turn.started or transcript.started,
        context=turn.context,
        steps=turn.steps,
        answer=turn.answer,
        finish=turn.finish,
        usage=turn.usage,
        seconds=_seconds(turn),
        error=turn.error,
        model=turn.model or transcript.model,
        agent=turn.agent or transcript.agent,
        parent=transcript.parent,
        source=transcript.source,
        flags=flags(turn) if flagged is None else flagged,
        extra=turn.extra,
    )


def to_json(example: AgentExample) -> dict[str, Any]:
    """Plain JSON values; times as ISO text in UTC."""
    steps = [_step_to_json(step) for step in example.steps]
    plain: dict[str, Any] = {
        "id": example.id,
        "client": example.client,
        "session": example.session,
        "turn": example.turn,
        "number": example.number,
        "project": example.project,
        "started": _iso(example.started),
        "task": example.task,
        "context": dict(example.context),
        "steps": steps,
        "answer": example.answer,
        "finish": example.finish,
        "usage": _usage_to_json(example.usage),
        "seconds": example.seconds,
        "error": example.error,
        "model": example.model,
        "agent": example.agent,
        "parent": example.parent,
        "source": example.source,
        "outcome": outcome_to_json(example.outcome),
        "flags": [{"kind": each.kind, "where": each.where, "text": each.text} for each in example.flags],
        "extra": dict(example.extra),
    }
    return plain


def from_json(plain: Mapping[str, Any]) -> AgentExample:
    """The example that `to_json` wrote."""
    values: dict[str, Any] = dict(plain)
    outcome: Mapping[str, Any] = values["outcome"]
    evidence = tuple(Evidence(**each) for each in outcome["evidence"])
    values["started"] = _moment(values["started"])
    values["steps"] = tuple(_step_from_json(step) for step in values["steps"])
    values["usage"] = Usage(**values["usage"])
    values["flags"] = tuple(Flag(**flag) for flag in values["flags"])
    values["outcome"] = Outcome(success=outcome["success"], complete=outcome["complete"], evidence=evidence)
    return AgentExample(**values)


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Success, completeness and the evidence."""
    return {
        "success": outcome.success,
        "complete": outcome.complete,
        "evidence": [
            {"kind": each.kind, "says": each.says, "where": each.where, "text": each.text} for each in outcome.evidence
        ],
    }


def clients() -> tuple[str, ...]:
    """Every client whose history can be read."""
    return get_args(ClientName)


def _usage_to_json(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": usage.cost_usd,
    }


def _step_to_json(step: Step) -> dict[str, Any]:
    return {
        "tool": step.tool,
        "arguments": dict(step.arguments),
        "result": step.result,
        "status": step.status,
        "exit_code": step.exit_code,
        "call": step.call,
        "started": _iso(step.started),
        "seconds": step.seconds,
        "extra": dict(step.extra),
    }


def _step_from_json(plain: Mapping[str, Any]) -> Step:
    values: dict[str, Any] = dict(plain)
    values["started"] = _moment(values["started"])
    return Step(**values)


def _seconds(turn: Turn) -> float | None:
    if turn.started is None or turn.ended is None:
        return None
    return max(0.0, (turn.ended - turn.started).total_seconds())


def _iso(moment: datetime | None) -> str | None:
    if moment is None:
        return None
    if moment.tzinfo is not UTC:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    return moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
