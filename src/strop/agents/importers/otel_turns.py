"""The spans of one conversation put together as turns: who asked what, which tools ran, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from strop.agents.importers.fields import items, mappings, number, text, whole
from strop.agents.importers.otel_messages import Message, answered, asked, last_request, loaded, request_of
from strop.agents.importers.otel_spans import Span
from strop.agents.importers.otel_steps import kept, steps_of
from strop.agents.transcript import Finish, Json, Turn, Usage

_FINISHES: Mapping[str, Finish] = {
    "stop": "stop", "end_turn": "stop", "stop_sequence": "stop", "complete": "stop", "completed": "stop",
    "length": "length", "max_tokens": "length", "tool_call": "tools", "tool_calls": "tools", "tool_use": "tools",
    "error": "error", "content_filter": "error",
}  # fmt: skip
_UNUSED = Usage()
_HISTORY, _HISTORY_CHARACTERS = 20, 500


@dataclass(slots=True)
class _Group:
    """The spans of one turn in order of starting. `agent` is the outermost agent, where one was recorded."""

    agent: Span | None
    spans: list[Span] = field(default_factory=list)
    models: list[Span] = field(default_factory=list)
    tools: list[Span] = field(default_factory=list)

    def add(self, spans: Sequence[Span]) -> None:
        for span in spans:
            self.spans.append(span)
            if span.work == "model":
                self.models.append(span)
            elif span.work == "tool":
                self.tools.append(span)


def turns_of(spans: Sequence[Span]) -> tuple[Turn, ...]:
    """One turn for each outermost agent; without agents, for each request that the model calls answer together.

    Agents inside an agent belong to its turn. Model calls beside the agents of a trace (which give it a title, say)
    are left out.
    """
    return tuple(_turn(group) for group in _joined(_groups(spans)))


def model_name(span: Span) -> str:
    """provider/model, as far as the span says it."""
    provider = span.text("gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system")
    model = span.text("gen_ai.response.model", "gen_ai.request.model", "llm.model_name")
    return f"{provider}/{model}" if provider and model else model


def system_prompt(models: Sequence[Span]) -> str | None:
    """The first system message of the conversation, where instructions are sent as one."""
    for span in models[:3]:
        for message in asked(span):
            if message.role in ("system", "developer") and message.text:
                return message.text
    return None


def _groups(spans: Sequence[Span]) -> list[_Group]:
    ordered = sorted(spans, key=lambda span: (span.nanoseconds, span.id))
    known = {(span.trace, span.id): span for span in ordered}
    owners: dict[tuple[str, str], tuple[str, Span | None]] = {}
    groups: dict[tuple[str, str], _Group] = {}
    led = set[str]()
    for span in ordered:
        if span.work == "other":
            continue
        top, agent = _owner(span, known, owners)
        if agent is not None:
            led.add(span.trace)
        group = groups.get((span.trace, top))
        if group is None:
            group = groups[span.trace, top] = _Group(agent)
        group.add((span,))
    return [group for (trace, _), group in groups.items() if group.agent is not None or trace not in led]


def _owner(
    span: Span, known: Mapping[tuple[str, str], Span], owners: dict[tuple[str, str], tuple[str, Span | None]]
) -> tuple[str, Span | None]:
    """Which turn a span belongs to: its outermost agent, else the topmost span (whether it was exported or not)."""
    path: list[Span] = []
    here: Span | None = span
    found: tuple[str, Span | None] = (span.id, None)
    passed = set[str]()
    while here is not None and here.id not in passed:
        if (here.trace, here.id) in owners:
            found = owners[here.trace, here.id]
            break
        passed.add(here.id)
        path.append(here)
        found = (here.parent or here.id, None)
        here = known.get((here.trace, here.parent))
    for one in reversed(path):
        if found[1] is None and one.work == "agent":
            found = (one.id, one)
        owners[one.trace, one.id] = found
    return found


def _joined(groups: Sequence[_Group]) -> list[_Group]:
    """Model calls that were traced one by one, joined again while they answer the same request."""
    found: list[_Group] = []
    last: tuple[int, str] | None = None
    for group in groups:
        messages = asked(group.models[0]) if group.agent is None and group.models else []
        said = [message.text for message in messages if message.role == "user" and message.text.strip()]
        request = (len(said), said[-1]) if said else None
        # A call that goes on has the model's own messages behind the request; one that ends with it is asked anew.
        goes_on = bool(messages) and not (messages[-1].role == "user" and messages[-1].text.strip())
        if goes_on and request is not None and request == last:
            found[-1].add(group.spans)
        else:
            found.append(group)
        last = request
    return found


def _turn(group: _Group) -> Turn:
    agent, models = group.agent, group.models
    first, heads = group.spans[0], [span for span in (agent, *models) if span is not None]
    sent = next((messages for span in heads if (messages := asked(span))), [])
    task = _task(heads)
    steps = steps_of(group.tools, models)
    answer = _answer(agent, models)
    context: dict[str, Json] = {}
    if history := _history(sent):
        context["history"] = history
    captured = bool(task or answer or any(step.arguments or step.result for step in steps))
    extra: dict[str, Json] = {"trace": first.trace, **kept(agent or first)}
    ended = [span.ended for span in group.spans if span.ended]
    return Turn(
        key=(agent or first).id,
        task=task,
        context=context,
        steps=steps,
        answer=answer,
        finish=_finish(agent, models),
        usage=_usage(agent, models),
        error=_error(agent, models),
        started=first.started,
        ended=(agent.ended if agent else max(ended, default=None)),
        model=next((name for span in reversed(models) if (name := model_name(span))), ""),
        agent=next((name for span in group.spans if (name := span.text("gen_ai.agent.name", "agent.name"))), ""),
        extra=extra if captured else {**extra, "content_captured": False},
    )


def _task(heads: Sequence[Span]) -> str:
    """What the person asked: from the agent if it says, else from its first model call."""
    for span in heads:
        said = last_request(asked(span)) or request_of(span.get("input.value"))
        if said.strip():
            return said
    return ""


def _answer(agent: Span | None, models: Sequence[Span]) -> str:
    for span in (*((agent,) if agent else ()), *reversed(models)):
        said = next((one.text for one in reversed(answered(span)) if one.text and not one.text.isspace()), "")
        if not said and span is agent:
            said = _output(span.get("output.value"))
        if said:
            return said
    return _output(models[-1].get("output.value")) if models else ""


def _output(value: Json) -> str:
    """An operation's output in words: a text, or the one text of an object, or the last of its messages."""
    known = loaded(value)
    if isinstance(known, dict):
        for message in reversed(mappings(known.get("messages"))):
            if said := text(message.get("content")):
                return said
        said_all = [entry for entry in known.values() if isinstance(entry, str) and entry.strip()]
        if len(said_all) == 1:
            return text(said_all[0])
    return text(value)


def _history(sent: Sequence[Message]) -> list[Json]:
    """What was said before the request, newest last."""
    ends = [index for index, one in enumerate(sent) if one.role == "user" and one.text.strip()]
    before = sent[: ends[-1]] if ends else ()
    told = [one for one in before if one.role in ("user", "assistant") and one.text.strip()][-_HISTORY:]
    return [{"role": one.role, "content": one.text[:_HISTORY_CHARACTERS]} for one in told]


def _finish(agent: Span | None, models: Sequence[Span]) -> Finish:
    last = agent or (models[-1] if models else None)
    if last is None:
        return "unknown"
    if last.failed:
        return "error"
    if last.ended is None:
        return "interrupted"
    for span in reversed(models):
        reasons = items(span.get("gen_ai.response.finish_reasons"))
        said = text(reasons[-1]) if reasons else next((one.finish for one in answered(span) if one.finish), "")
        if said or span.get("llm.finish_reason"):
            return _FINISHES.get((said or span.text("llm.finish_reason")).lower().replace("-", "_"), "unknown")
    return "unknown"


def _error(agent: Span | None, models: Sequence[Span]) -> str | None:
    for span in (*((agent,) if agent else ()), *models[-1:]):
        if span.failed:
            return span.said or _exception(span) or span.text("error.type") or "the span's status is an error"
    return None


def _exception(span: Span) -> str:
    for name, attributes, _ in span.events:
        if name == "exception":
            return text(attributes.get("exception.message"))
    return ""


def _usage(agent: Span | None, models: Sequence[Span]) -> Usage:
    """Sums over the model calls; a call that is traced twice, one span in the other, counts once."""
    counted = set[str]()
    parents = {span.id: span.parent for span in models}
    found: list[Usage] = []
    for span in models:
        used = _span_usage(span)
        is_inside = span.parent in parents and counted & set(_ancestors(span.id, parents))
        if used is not _UNUSED and not is_inside:
            counted.add(span.id)
            found.append(used)
    if not found and agent is not None:
        return _span_usage(agent)
    if len(found) == 1:
        return found[0]
    sent = received = cached = reasoned = 0
    costs: list[float] = []
    for used in found:
        sent += used.input_tokens
        received += used.output_tokens
        cached += used.cached_tokens
        reasoned += used.reasoning_tokens
        if used.cost_usd is not None:
            costs.append(used.cost_usd)
    return Usage(
        input_tokens=sent, output_tokens=received, cached_tokens=cached, reasoning_tokens=reasoned,
        cost_usd=sum(costs) if costs else None,
    )  # fmt: skip


def _ancestors(name: str, parents: Mapping[str, str]) -> Iterator[str]:
    passed = {name}
    while (name := parents.get(name, "")) and name not in passed:
        passed.add(name)
        yield name


_SENT = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_RECEIVED = ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens", "llm.token_count.completion")
_CACHED = (
    "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens", "gen_ai.usage.input_tokens.cached",
    "llm.token_count.prompt_details.cache_read",
)  # fmt: skip
_REASONED = (
    "gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.output_tokens.reasoning",
    "llm.token_count.completion_details.reasoning",
)  # fmt: skip
_COST = ("llm.cost.total", "gen_ai.usage.cost")
_COUNTED = frozenset({*_SENT, *_RECEIVED, *_CACHED, *_REASONED, *_COST})


def _span_usage(span: Span) -> Usage:
    if _COUNTED.isdisjoint(span.attributes):
        return _UNUSED
    get = span.get
    sent, received = whole(get(*_SENT)), whole(get(*_RECEIVED))
    cached, reasoned, cost = whole(get(*_CACHED)), whole(get(*_REASONED)), number(get(*_COST))
    if not (sent or received or cached or reasoned) and cost is None:
        return _UNUSED
    return Usage(
        input_tokens=sent, output_tokens=received, cached_tokens=cached, reasoning_tokens=reasoned, cost_usd=cost
    )
