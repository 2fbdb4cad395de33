"""OpenTelemetry traces of agents as OTLP JSON, one export a file or a line: what collectors and SDKs write to files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from strop.agents.importers.fields import bounded, text
from strop.agents.importers.files import head, is_older, json_files, json_values, top_keys
from strop.agents.importers.otel_messages import instructions
from strop.agents.importers.otel_spans import Span, log_events_of, spans_of
from strop.agents.importers.otel_turns import model_name, system_prompt, turns_of
from strop.agents.transcript import ClientName, Json, Refusal, Transcript

WINDOW = 64 * 2**20
"""Characters of spans held while their conversations may still go on; beyond it the quietest ones are closed."""

_LOOKED_AT = 50
_NO_TEXTS = (
    "its spans carry no texts, so the turns have empty tasks: the capture of message contents was off when it was "
    "recorded (OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true turns it on)"
)
_NO_SPANS = "it holds no spans"
_NO_AGENT = "none of its spans follow the GenAI or the OpenInference conventions"


class OtelImporter:
    """Reads spans by the GenAI semantic conventions and by OpenInference; a conversation becomes a session."""

    client: ClientName = "otel"

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window

    def stores(self, environment: Mapping[str, str], home: Path) -> tuple[Path, ...]:  # noqa: ARG002 - the contract's
        """None: an exporter writes where it was told to; a path is always given."""
        return ()

    def accepts(self, path: Path, head: bytes) -> bool:
        """Whether the outermost keys are an OTLP export's; of a directory, those of any of its first files."""
        return _any_traces_in(path) if path.is_dir() else "resourceSpans" in top_keys(head)

    def read(self, path: Path, since: datetime | None = None) -> Iterator[Transcript | Refusal]:
        """Every conversation under `path`; one that is larger than the window, or whose spans lie farther apart than
        that, comes in several transcripts of the same id and different turns."""
        for file in json_files(path):
            for found in self._read_file(file):
                if isinstance(found, Refusal) or not is_older(found, since):
                    yield found

    def _read_file(self, path: Path) -> Iterator[Transcript | Refusal]:
        window, refused = _Window(str(path)), False
        for found in json_values(path):
            if isinstance(found, Refusal):
                refused = True
                yield found
                continue
            line, value = found
            if not isinstance(value, dict) or not ("resourceSpans" in value or "resourceLogs" in value):
                refused = True
                yield Refusal(source=str(path), line=line, reason="no OTLP export: `resourceSpans` is expected")
                continue
            broken = window.add(value)
            if broken:
                refused = True
                yield Refusal(source=str(path), line=line, row="resourceSpans", reason=broken)
            while window.weight > self._window:
                yield from window.close_quietest()
        while window.traces:
            yield from window.close_quietest()
        if not window.closed and not refused:
            yield Refusal(source=str(path), reason=_NO_AGENT if window.seen else _NO_SPANS)


def _any_traces_in(directory: Path) -> bool:
    for looked_at, file in enumerate(json_files(directory)):
        if looked_at == _LOOKED_AT:
            return False
        if "resourceSpans" in top_keys(head(file)):
            return True
    return False


@dataclass(slots=True)
class _Trace:
    name: str
    spans: dict[str, Span] = field(default_factory=dict)
    conversation: str = ""
    weight: int = 0
    touched: int = 0
    """When it was added to last, by the count of all such moments."""


class _Window:
    """Traces that are still being read, the one that was added to last at the end."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.traces: dict[str, _Trace] = {}
        self.weight = 0
        self.seen = False
        self.closed = 0
        self._touches = 0
        self._conversations: dict[str, set[str]] = {}
        """The traces of each conversation."""
        self._events: dict[str, list[tuple[str, Mapping[str, Json], Json]]] = {}

    def add(self, document: Mapping[str, Json]) -> str | None:
        """Take in one export; what is wrong with it, or None."""
        if not isinstance(document.get("resourceSpans", []), list):
            return "a list is expected"
        nameless = 0
        trace = _Trace("")
        for span in spans_of(document):
            self.seen = True
            if span is None:
                nameless += 1
                continue
            if span.trace != trace.name:
                trace = self._touched(span.trace)
            # An exporter that tries again writes a span twice.
            trace.spans[span.id] = span
            weight = _weight(span)
            trace.weight += weight
            self.weight += weight
            if not trace.conversation and (named := span.text("gen_ai.conversation.id", "session.id")):
                trace.conversation = named
                self._conversations.setdefault(named, set()).add(trace.name)
        for span_id, name, attributes, body in log_events_of(document):
            self._events.setdefault(span_id, []).append((name, attributes, body))
        return f"{nameless} spans have no traceId or no spanId" if nameless else None

    def _touched(self, name: str) -> _Trace:
        """The trace, moved to the end."""
        trace = self.traces.pop(name, None) or _Trace(name)
        self.traces[name] = trace
        self._touches += 1
        trace.touched = self._touches
        return trace

    def close_quietest(self) -> Iterator[Transcript | Refusal]:
        """Turn the conversation that was added to least recently into a transcript, and forget it."""
        first = next(iter(self.traces))
        conversation = self.traces[first].conversation
        names = self._conversations.pop(conversation, ()) if conversation else (first,)
        spans: list[Span] = []
        for trace in sorted([self.traces.pop(name) for name in names], key=lambda trace: trace.touched):
            self.weight -= trace.weight
            spans += trace.spans.values()
        if self._events:
            for span in spans:
                span.events += self._events.pop(span.id, [])
        if any(span.work != "other" for span in spans):
            yield from self._session(conversation or first, spans)

    def _session(self, name: str, spans: list[Span]) -> Iterator[Transcript | Refusal]:
        turns = turns_of(spans)
        if not turns:
            return
        self.closed += 1
        if all(turn.extra.get("content_captured") is False for turn in turns):
            yield Refusal(source=self.source, row=name, reason=_NO_TEXTS)
        models = [span for span in spans if span.work == "model"]
        resource = next((span.resource for span in spans if span.resource), {})
        yield Transcript(
            client="otel",
            id=name,
            source=self.source,
            turns=turns,
            directory=text(resource.get("process.working_directory")),
            version=text(resource.get("service.version")),
            agent=next((turn.agent for turn in turns if turn.agent), "") or text(resource.get("service.name")),
            model=next((found for span in models if (found := model_name(span))), ""),
            system_prompt=next((said for span in spans if (said := instructions(span))), "") or system_prompt(models),
            started=min((span.started for span in spans if span.started), default=None),
            updated=max((span.ended for span in spans if span.ended), default=None),
            extra={"resource": bounded({**resource})} if resource else {},
        )


def _weight(span: Span) -> int:
    """About the characters that a span holds."""
    held = 500 + sum([len(value) if type(value) is str else 100 for value in span.attributes.values()])
    for _, attributes, _ in span.events:
        held += sum([len(value) if type(value) is str else 100 for value in attributes.values()])
    return held
