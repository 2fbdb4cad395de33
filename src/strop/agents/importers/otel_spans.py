"""Spans of OTLP JSON: plain attributes by name, and what kind of work each span stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from strop.agents.importers.fields import mapping, mappings, text
from strop.agents.transcript import Json

Work = Literal["agent", "model", "tool", "other"]

_OPERATIONS: Mapping[str, Work] = {
    "invoke_agent": "agent", "create_agent": "other", "invoke_workflow": "agent", "execute_tool": "tool",
    "chat": "model", "text_completion": "model", "generate_content": "model",
    "AGENT": "agent", "CHAIN": "agent", "LLM": "model", "TOOL": "tool",
}  # fmt: skip
_INT = re.compile(r"-?[0-9]{1,19}\Z")
_DEPTH = 64
"""Levels of an attribute's value that are decoded; what lies deeper is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A tool call that the model asked for."""

    id: str
    name: str
    arguments: Json


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One message of a conversation. `answers` are results of tools, by the id of their call."""

    role: str
    text: str
    calls: tuple[Call, ...] = ()
    answers: tuple[tuple[str, Json], ...] = ()
    finish: str = ""


@dataclass(slots=True)
class Span:
    """One span, its attributes decoded."""

    trace: str
    id: str
    parent: str
    name: str
    work: Work
    started: datetime | None
    ended: datetime | None
    attributes: Mapping[str, Json]
    resource: Mapping[str, Json]
    events: list[tuple[str, Mapping[str, Json], Json]]
    failed: bool
    said: str
    """The status's message."""
    nanoseconds: int = 0
    """Start, for order: times that are equal to the microsecond happen."""
    asked: list[Message] | None = None
    answered: list[Message] | None = None
    """Messages once they were read, by `otel_messages`."""

    def get(self, *names: str) -> Json:
        """The value of the first of these attributes that is there and not empty."""
        for name in names:
            found = self.attributes.get(name)
            if found is not None and found not in ("", [], {}):
                return found
        return None

    def text(self, *names: str) -> str:
        return text(self.get(*names))


def spans_of(document: Mapping[str, Json]) -> Iterator[Span | None]:
    """Every span of one export request, in the order of the document; None for one without its ids."""
    for group in mappings(document.get("resourceSpans")):
        resource = _by_name(mapping(group.get("resource")).get("attributes"))
        for scope in (*mappings(group.get("scopeSpans")), *mappings(group.get("instrumentationLibrarySpans"))):
            for span in mappings(scope.get("spans")):
                yield _span(span, resource)


def log_events_of(document: Mapping[str, Json]) -> Iterator[tuple[str, str, Mapping[str, Json], Json]]:
    """The log records that belong to a span: (span id, event name, attributes, body)."""
    for group in mappings(document.get("resourceLogs")):
        for scope in mappings(group.get("scopeLogs")):
            for record in mappings(scope.get("logRecords")):
                attributes = _by_name(record.get("attributes"))
                name = text(record.get("eventName")) or text(attributes.get("event.name"))
                if name.startswith("gen_ai.") and isinstance(span := record.get("spanId"), str):
                    yield span, name, attributes, record.get("body")


def _span(span: Mapping[str, Json], resource: Mapping[str, Json]) -> Span | None:
    trace, own = span.get("traceId"), span.get("spanId")
    if not isinstance(trace, str) or not isinstance(own, str) or not trace or not own:
        return None
    attributes = _by_name(span.get("attributes"))
    status = mapping(span.get("status"))
    started, ended = _nanoseconds(span.get("startTimeUnixNano")), _nanoseconds(span.get("endTimeUnixNano"))
    return Span(
        trace=trace[:64],
        id=own[:64],
        parent=text(span.get("parentSpanId")),
        name=text(span.get("name")),
        work=_work(attributes),
        started=datetime.fromtimestamp(started / 1e9, UTC) if started else None,
        ended=datetime.fromtimestamp(ended / 1e9, UTC) if ended else None,
        attributes=attributes,
        resource=resource,
        events=_events(span["events"]) if "events" in span else [],
        failed=status.get("code") in (2, "2", "STATUS_CODE_ERROR") or "error.type" in attributes,
        said=text(status.get("message")),
        nanoseconds=started,
    )


def _events(events: Json) -> list[tuple[str, Mapping[str, Json], Json]]:
    return [
        (text(event.get("name")), _by_name(event.get("attributes")), event.get("body")) for event in mappings(events)
    ]


def _work(attributes: Mapping[str, Json]) -> Work:
    for name in ("gen_ai.operation.name", "openinference.span.kind"):
        if isinstance(word := attributes.get(name), str):
            return _OPERATIONS.get(word) or _OPERATIONS.get(word.upper(), "other")
    # Instrumentations older than the operation's name say the model, or the tool, and no more.
    if "gen_ai.tool.name" in attributes:
        return "tool"
    return "model" if "gen_ai.request.model" in attributes or "llm.model_name" in attributes else "other"


def _nanoseconds(value: Json) -> int:
    """Since 1970; 0 where there is none, and beyond the year 2286 (19 digits)."""
    if isinstance(value, str):
        return int(value) if len(value) <= 19 and value.isascii() and value.isdigit() else 0
    return value if isinstance(value, int) and 0 < value < 10**19 else 0


def _by_name(attributes: Json) -> dict[str, Json]:
    if not isinstance(attributes, list):
        return {}
    found: dict[str, Json] = {}
    for attribute in attributes:
        if type(attribute) is dict and type(name := attribute.get("key")) is str:
            value = attribute.get("value")
            said = value.get("stringValue") if type(value) is dict else None
            found[name] = decoded(value) if said is None else said
    return found


def decoded(value: Json, depth: int = _DEPTH) -> Json:
    """An OTLP value ({"stringValue": ..}) as plain JSON; a value that is plain already stays as it is."""
    if not isinstance(value, dict):
        return value
    for name in ("stringValue", "intValue", "boolValue", "doubleValue", "bytesValue"):
        if name in value:
            scalar = value[name]
            return int(scalar) if name == "intValue" and isinstance(scalar, str) and _INT.match(scalar) else scalar
    if depth == 0:
        return None
    if "arrayValue" in value:
        listed = mapping(value["arrayValue"]).get("values")
        return [decoded(entry, depth - 1) for entry in listed] if isinstance(listed, list) else []
    if "kvlistValue" in value:
        entries = mappings(mapping(value["kvlistValue"]).get("values"))
        return {text(entry.get("key")): decoded(entry.get("value"), depth - 1) for entry in entries}
    return value
