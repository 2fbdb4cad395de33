"""Spans of OTLP JSON: plain attributes by name, and what kind of work each span stands for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from strop.agents.importers.fields import NOTHING, items, mapping, mappings, text
from strop.agents.transcript import Json

Work = Literal["agent", "model", "tool", "other"]

_OPERATIONS: Mapping[str, Work] = {
    "invoke_agent": "agent", "create_agent": "other", "invoke_workflow": "agent", "execute_tool": "tool",
    "chat": "model", "text_completion": "model", "generate_content": "model",
    "AGENT": "agent", "CHAIN": "agent", "LLM": "model", "TOOL": "tool",
}  # fmt: skip
_INT = re.compile(r"-?[0-9]{1,19}\Z")
_NUMBERS = frozenset({bool, int, float})
_SCALARS = ("stringValue", "intValue", "boolValue", "doubleValue", "bytesValue")
_DEPTH = 64
"""Levels of an attribute's value that are decoded; what lies deeper is left out."""


@dataclass(slots=True)
class Call:
    """A tool call that the model asked for."""

    id: str
    name: str
    arguments: Json


@dataclass(slots=True)
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
    names: str | None = None
    """The attributes' names in one text, once they were asked for."""

    def get(self, *names: str) -> Json:
        """The value of the first of these attributes that is there and not empty."""
        for name in names:
            found = self.attributes.get(name)
            if found or (found is not None and type(found) in _NUMBERS):
                return found
        return None

    def text(self, *names: str) -> str:
        return text(self.get(*names))

    def names_any(self, start: str) -> bool:
        """Whether the name of an attribute may begin so."""
        if self.names is None:
            self.names = "\n".join(self.attributes)
        return start in self.names


def spans_of(document: Mapping[str, Json]) -> Iterator[Span | None]:
    """Every span of one export request, in the order of the document; None for one without its ids."""
    for group in mappings(document.get("resourceSpans")):
        resource = _by_name(mapping(group.get("resource")).get("attributes"))
        for scope in (*mappings(group.get("scopeSpans")), *mappings(group.get("instrumentationLibrarySpans"))):
            for span in items(scope.get("spans")):
                if type(span) is dict:
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
    status = mapping(span.get("status")) if "status" in span else NOTHING
    started, ended = _nanoseconds(span.get("startTimeUnixNano")), _nanoseconds(span.get("endTimeUnixNano"))
    return Span(
        trace[:64],
        own[:64],
        text(span.get("parentSpanId")),
        text(span.get("name")),
        _work(attributes),
        datetime.fromtimestamp(started / 1e9, UTC) if started else None,
        datetime.fromtimestamp(ended / 1e9, UTC) if ended else None,
        attributes,
        resource,
        _events(span["events"]) if "events" in span else [],
        "error.type" in attributes or status.get("code") in (2, "2", "STATUS_CODE_ERROR"),
        text(status.get("message")) if status else "",
        started,
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
            if type(value) is dict and (said := value.get("stringValue")) is not None:
                found[name] = said
            elif type(value) is dict and len(value) == 1 and type(whole := value.get("intValue")) is str:
                found[name] = int(whole) if _INT.match(whole) else whole
            else:
                found[name] = decoded(value)
    return found


def decoded(value: Json, depth: int = _DEPTH) -> Json:
    """An OTLP value ({"stringValue": ..}) as plain JSON; a value that is plain already stays as it is."""
    if type(value) is not dict:
        return value
    for name in _SCALARS:
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
