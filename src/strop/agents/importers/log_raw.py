"""The recorder's raw files (`session-*.json`): the messages and tool calls of a session before it became examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from strop.agents.importers.fields import (
    bounded,
    bounded_mapping,
    mapping,
    mappings,
    number,
    rest,
    text,
    when,
    whole,
)
from strop.agents.importers.log_examples import Complaints, kind, step_of_action
from strop.agents.transcript import Finish, Json, Step, Transcript, Turn, Usage

_KNOWN = frozenset({"sessionId", "messages", "toolCalls", "context", "startTime", "lastUpdateTime"})
_FINISHES: Mapping[str, Finish] = {
    "stop": "stop", "tool-calls": "tools", "length": "length", "error": "error", "content-filter": "error",
}  # fmt: skip
_SAME_NAMES = {
    "name": "tool",
    "arguments": "args",
    "input": "args",
    "callId": "callID",
    "id": "callID",
    "output": "result",
}


@dataclass
class _Open:
    """A turn while its messages are still being read."""

    key: str
    task: str
    started: datetime | None
    answers: list[Mapping[str, Json]] = field(default_factory=list[Mapping[str, Json]])
    steps: list[Step] = field(default_factory=list[Step])


def session_of_messages(log: Mapping[str, Json], complaints: Complaints) -> Transcript | None:
    """The session of a raw file; None, and a complaint, where its messages cannot be read at all."""
    session, messages = log.get("sessionId"), log.get("messages")
    if not isinstance(session, str) or not session:
        complaints.add("sessionId", f"a text is expected, not {kind(session)}")
        return None
    if not isinstance(messages, list):
        complaints.add("messages", f"a list is expected, not {kind(messages)}")
        return None
    opened = _opened(messages, complaints)
    _place_steps(opened, log.get("toolCalls"), complaints)
    context = dict(bounded_mapping(log.get("context")))
    directory = text(context.pop("workingDirectory", None))
    if directory:
        context["directory"] = directory
    if lsp := log.get("initialLspDiagnostics"):
        context["lspDiagnostics"] = bounded(lsp)
    turns = tuple(_turn(turn, context) for turn in opened)
    return Transcript(
        client="log",
        id=text(session),
        source=complaints.place,
        turns=turns,
        directory=directory,
        agent=next((turn.agent for turn in turns if turn.agent), ""),
        model=next((turn.model for turn in turns if turn.model), ""),
        started=when(log.get("startTime")),
        updated=when(log.get("lastUpdateTime")),
        extra=rest(log, _KNOWN),
    )


def _opened(messages: Sequence[Json], complaints: Complaints) -> list[_Open]:
    turns: list[_Open] = []
    for message in _latest(messages, complaints):
        content = _content(message.get("content"))
        if message.get("role") == "user":
            if content.strip():
                key = text(message.get("messageId")) or str(len(turns) + 1)
                turns.append(_Open(key=key, task=content, started=_time(message)))
        elif message.get("role") == "assistant" and turns:
            turns[-1].answers.append(message)
    return turns


def _latest(messages: Sequence[Json], complaints: Complaints) -> Iterator[Mapping[str, Json]]:
    """Messages in order of their first mention, each as it was written last: the recorder adds one at every update."""
    found: dict[str, Mapping[str, Json]] = {}
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            complaints.add(f"messages[{index}]", f"an object is expected, not {kind(message)}")
        elif message.get("role") not in ("user", "assistant", "system", "tool"):
            complaints.add(f"messages[{index}].role", "user or assistant is expected")
        else:
            found[text(message.get("messageId")) or f"#{index}"] = message
    yield from found.values()


def _place_steps(turns: Sequence[_Open], calls: Json, complaints: Complaints) -> None:
    """Give each tool call to the turn in which it was started; without a time, to the last one."""
    if calls is not None and not isinstance(calls, list):
        complaints.add("toolCalls", f"a list is expected, not {kind(calls)}")
        return
    for index, call in enumerate(calls or ()):
        named = {_SAME_NAMES.get(key, key): value for key, value in call.items()} if isinstance(call, dict) else call
        step = step_of_action(named, f"toolCalls[{index}]", complaints)
        if step is None:
            continue
        if not turns:
            complaints.add(f"toolCalls[{index}]", "no message of a user comes before it")
            continue
        owner = turns[-1]
        if started := step.started:
            begun = [turn for turn in turns if turn.started and turn.started <= started]
            owner = begun[-1] if begun else turns[0]
        owner.steps.append(step)


def _turn(turn: _Open, context: Mapping[str, Json]) -> Turn:
    infos = [mapping(message.get("info")) for message in turn.answers]
    last = infos[-1] if infos else {}
    said = [content for message in turn.answers if (content := _content(message.get("content"))).strip()]
    error = next((_error(info.get("error")) for info in reversed(infos) if info.get("error")), None)
    model = "/".join(part for part in (text(last.get("providerID")), text(last.get("modelID"))) if part)
    ends = [when(mapping(info.get("time")).get("completed")) for info in infos]
    return Turn(
        key=turn.key,
        task=turn.task,
        context=context,
        steps=tuple(turn.steps),
        answer=said[-1] if said else "",
        finish=_finish(text(last.get("finish")), error),
        usage=_usage(infos),
        error=error,
        started=turn.started,
        ended=max((end for end in ends if end), default=None),
        model=model,
        agent=text(last.get("agent")) or text(last.get("mode")),
    )


def _finish(said: str, error: str | None) -> Finish:
    if error is not None:
        return "interrupted" if error.startswith("MessageAbortedError") else "error"
    return _FINISHES.get(said, "unknown")


def _usage(infos: Sequence[Mapping[str, Json]]) -> Usage:
    sums = dict.fromkeys(("input", "output", "read", "write", "reasoning"), 0)
    costs = [cost for info in infos if (cost := number(info.get("cost"))) is not None]
    for info in infos:
        tokens = mapping(info.get("tokens"))
        counted = {**mapping(tokens.get("cache")), **tokens}
        for name in sums:
            sums[name] += whole(counted.get(name))
    return Usage(
        input_tokens=sums["input"] + sums["read"] + sums["write"],
        output_tokens=sums["output"] + sums["reasoning"],
        cached_tokens=sums["read"],
        reasoning_tokens=sums["reasoning"],
        cost_usd=sum(costs) if costs else None,
    )


def _error(value: Json) -> str:
    known = mapping(value)
    message = text(mapping(known.get("data")).get("message")) or text(known.get("message"))
    return ": ".join(part for part in (text(known.get("name")), message) if part) or text(value) or "unknown error"


def _content(value: Json) -> str:
    """A message's text, given as one or as parts."""
    if isinstance(value, list):
        return text("\n".join(text(part.get("text")) for part in mappings(value) if part.get("text")))
    return text(value)


def _time(message: Mapping[str, Json]) -> datetime | None:
    return when(message.get("timestamp")) or when(mapping(mapping(message.get("info")).get("time")).get("created"))
