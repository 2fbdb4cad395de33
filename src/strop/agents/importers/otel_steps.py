"""Tool calls of a turn: from their own spans, completed by what the model's messages say of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import orjson

from strop.agents.importers.fields import bounded, bounded_mapping, mapping, maybe_whole, seconds_between, text
from strop.agents.importers.otel_messages import Call, answered, asked, loaded
from strop.agents.importers.otel_spans import Span
from strop.agents.importers.tool_names import neutral
from strop.agents.transcript import Json, Step, StepStatus, clipped

_READ_BY_US = ("gen_ai.", "llm.", "openinference.", "input.", "output.", "tool.", "tool_call.", "session.", "error.")
_EXIT_CODE_FIRST = re.compile(r'\{\s*"exit_code"\s*:\s*(-?[0-9]{1,15})\s*[,}]')
_EXIT_CODES = ("exit_code", "exitCode", "exit", "returncode", "return_code")


def steps_of(tools: Sequence[Span], models: Sequence[Span]) -> tuple[Step, ...]:
    """Every tool call in order of starting. One that only the messages tell of has the status `unknown`."""
    calls, results = _calls(models), _Results(models)
    found: list[tuple[int, Step]] = []
    for span in tools:
        call = _call_of(span, calls)
        if call is not None:
            calls.remove(call)
        found.append((span.nanoseconds, _step(span, call[1] if call else None, results)))
    for moment, call in calls:
        result = results.of(call.id)
        step = Step(
            tool=neutral(call.name or "unknown"),
            arguments=arguments(call.arguments),
            result=_text(result),
            exit_code=_exit_code(result),
            call=call.id,
        )
        found.append((moment, step))
    return tuple(step for _, step in sorted(found, key=lambda one: one[0]))


def kept(span: Span) -> dict[str, Json]:
    """Attributes that no convention known here gives a meaning, as they came."""
    found = {name: value for name, value in span.attributes.items() if not _is_read(name)}
    return {"attributes": bounded(found)} if found else {}


@lru_cache(maxsize=4_000)
def _is_read(name: str) -> bool:
    return name.startswith(_READ_BY_US)


def _calls(models: Sequence[Span]) -> list[tuple[int, Call]]:
    """Tool calls in the models' answers, each with the moment of the answer."""
    calls: list[tuple[int, Call]] = []
    known = set[str]()
    for span in models:
        for call in (call for message in answered(span) for call in message.calls):
            # A wrapper's span and the provider's own both tell of the same call.
            if not call.id or call.id not in known:
                known.add(call.id)
                calls.append((span.nanoseconds, call))
    return calls


class _Results:
    """Results that were sent back to the models, by the id of their call.

    Every call's input repeats the whole conversation: it is only read where a tool's own span does not tell.
    """

    def __init__(self, models: Sequence[Span]) -> None:
        self._models = models
        self._known: dict[str, Json] | None = None

    def of(self, name: str) -> Json:
        if not name:
            return None
        if self._known is None:
            messages = (message for span in self._models for message in asked(span))
            self._known = {call: result for message in messages for call, result in message.answers}
        return self._known.get(name)


def _call_of(span: Span, calls: Sequence[tuple[int, Call]]) -> tuple[int, Call] | None:
    name, tool = _call_id(span), _tool(span)
    for known in calls:
        if (known[1].id == name) if name else (known[1].name == tool and known[0] <= span.nanoseconds):
            return known
    return None


def _step(span: Span, call: Call | None, results: _Results) -> Step:
    given = span.get("gen_ai.tool.call.arguments", "input.value", "tool.parameters")
    if given is None and call is not None:
        given = call.arguments
    result = span.get("gen_ai.tool.call.result", "output.value")
    name = _call_id(span) or (call.id if call else "")
    if result is None:
        result = results.of(name)
    if result is None and span.failed:
        result = span.said or span.text("error.type")
    return Step(
        tool=neutral(_tool(span) or (call.name if call else "") or "unknown"),
        arguments=arguments(given),
        result=_text(result),
        status=_status(span),
        exit_code=_exit_code(result),
        call=name,
        started=span.started,
        seconds=seconds_between(span.started, span.ended),
        extra=kept(span),
    )


def _status(span: Span) -> StepStatus:
    if span.failed:
        return "failed"
    return "ok" if span.ended else "unfinished"


def _tool(span: Span) -> str:
    return span.text("gen_ai.tool.name", "tool.name") or span.name.removeprefix("execute_tool ")


def _call_id(span: Span) -> str:
    return span.text("gen_ai.tool.call.id", "tool_call.id", "tool.id")


def arguments(value: Json) -> Mapping[str, Json]:
    """A tool's arguments as an object; what is none is kept under `input`."""
    known = loaded(value)
    if isinstance(known, dict):
        return bounded_mapping(known)
    return {} if known in (None, "") else {"input": bounded(known)}


def _exit_code(result: Json) -> int | None:
    """Of a result that is an object and names one."""
    if isinstance(result, str):
        # The whole of a long output need not be parsed for the number before it.
        if (first := _EXIT_CODE_FIRST.match(result)) is not None:
            return int(first[1])
        if result[:1] != "{" or not ('"exit' in result or '"return' in result):
            return None
    known = mapping(loaded(result))
    return next((code for name in _EXIT_CODES if (code := maybe_whole(known.get(name))) is not None), None)


def _text(value: Json) -> str:
    if value is None or isinstance(value, str):
        return text(value)
    return clipped(orjson.dumps(bounded(value)).decode())
