"""OpenTelemetry traces of agents: both families of conventions, their older forms, and contents that are not there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from strop.agents.importers.otel import OtelImporter
from strop.agents.transcript import Refusal, Transcript, Usage

START = 1_762_077_600  # 2025-11-02T10:00:00Z


def otlp(value: Any) -> Any:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [otlp(one) for one in value]}}
        case dict():
            return {"kvlistValue": {"values": [{"key": key, "value": otlp(one)} for key, one in value.items()]}}
    raise TypeError(value)


def attributes(values: dict[str, Any]) -> list[Any]:
    return [{"key": key, "value": otlp(value)} for key, value in values.items()]


def span(
    id: str, start: float, end: float | None, given: dict[str, Any], *, parent: str = "", trace: str = "t1",
    name: str = "", **more: Any,
) -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {
        "traceId": trace, "spanId": id, "name": name or id, "kind": 1, "attributes": attributes(given),
        "startTimeUnixNano": str(int((START + start) * 10**9)), **more,
    }  # fmt: skip
    if parent:
        found["parentSpanId"] = parent
    if end is not None:
        found["endTimeUnixNano"] = str(int((START + end) * 10**9))
    return found


def export(*spans: dict[str, Any], resource: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "resourceSpans": [
            {"resource": {"attributes": attributes(resource or {})}, "scopeSpans": [{"scope": {}, "spans": [*spans]}]}
        ]
    }


def read(path: Path, **options: Any) -> tuple[list[Transcript], list[Refusal]]:
    found = list(OtelImporter(**options).read(path))
    return [one for one in found if isinstance(one, Transcript)], [one for one in found if isinstance(one, Refusal)]


def read_export(tmp_path: Path, *spans: dict[str, Any], **resource: Any) -> tuple[list[Transcript], list[Refusal]]:
    path = tmp_path / "traces.json"
    path.write_text(json.dumps(export(*spans, resource=resource), indent=1), "utf-8")
    return read(path)


def messages(*told: tuple[str, Any]) -> str:
    """JSON in the form of the conventions: (role, text or parts)."""
    return json.dumps(
        [
            {"role": role, "parts": [{"type": "text", "content": said}] if isinstance(said, str) else said}
            for role, said in told
        ]
    )


CALL = [{"type": "tool_call", "id": "call_1", "name": "bash", "arguments": {"command": "pytest"}}]
BACK = [{"type": "tool_call_response", "id": "call_1", "response": "2 failed"}]
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "anthropic", "gen_ai.request.model": "claude"}

GENAI = [
    # Children are exported before the span that holds them.
    span("c1", 1, 3, {
        **CHAT, "gen_ai.conversation.id": "conv-1", "gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "You are a careful agent."}]),
        "gen_ai.input.messages": messages(("user", "hello"), ("assistant", "hi"), ("user", "Fix the add function")),
        "gen_ai.output.messages": messages(("assistant", CALL)),
    }, parent="a1"),
    span("t1", 3, 4.5, {
        "gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "bash", "gen_ai.tool.call.id": "call_1",
        "gen_ai.tool.call.arguments": '{"command": "pytest"}', "error.type": "exit",
        "gen_ai.tool.call.result": '{"exit_code": 1, "output": "2 failed"}', "shop.floor": 3,
    }, parent="a1"),
    span("c2", 5, 6, {
        **CHAT, "gen_ai.usage.input_tokens": 150, "gen_ai.usage.output_tokens": 9,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.input.messages": messages(("user", "Fix the add function"), ("assistant", CALL), ("tool", BACK)),
        "gen_ai.output.messages": messages(("assistant", "Fixed it.")),
    }, parent="a1"),
    span("a1", 0, 7, {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "coder", "gen_ai.conversation.id": "conv-1",
        "gen_ai.usage.input_tokens": 250,
    }, parent="http"),
    span("title", 0.5, 0.9, {**CHAT, "gen_ai.output.messages": messages(("assistant", "A title"))}, parent="http"),
]  # fmt: skip

OPENINFERENCE = [
    span("root", 0, 9, {
        "openinference.span.kind": "AGENT", "session.id": "s-1", "agent.name": "helper",
        "input.value": '{"question": "Which files are there?"}', "input.mime_type": "application/json",
        "output.value": "Two files.",
    }),
    span("llm1", 1, 2, {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt", "llm.provider": "openai",
        "llm.token_count.prompt": 50, "llm.token_count.completion": 7, "llm.token_count.prompt_details.cache_read": 5,
        "llm.token_count.completion_details.reasoning": 3, "llm.cost.total": 0.25,
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": "Be brief.",
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": "Which files are there?",
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.tool_calls.0.tool_call.id": "call_9",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "list_files",
        "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"path": "."}',
    }, parent="root"),
    # The provider's own span of the same call, inside: it must not be counted again.
    span("llm1-wire", 1.1, 1.9, {"openinference.span.kind": "LLM", "llm.token_count.prompt": 50}, parent="llm1"),
    span("tool", 3, 4, {
        "openinference.span.kind": "TOOL", "tool.name": "list_files", "output.value": "a.py b.py",
    }, parent="root", status={"code": 1}),
    span("llm2", 5, 6, {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt", "llm.provider": "openai",
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": "Two files.",
    }, parent="root"),
]  # fmt: skip


def test_genai(tmp_path: Path) -> None:
    found, refused = read_export(
        tmp_path, *GENAI, **{"service.name": "shop", "service.version": "1.2", "process.working_directory": "/srv"}
    )
    assert refused == []
    (session,) = found
    assert (session.client, session.id, session.agent, session.model) == ("otel", "conv-1", "coder", "anthropic/claude")
    assert (session.system_prompt, session.version, session.directory) == ("You are a careful agent.", "1.2", "/srv")
    assert (session.started, session.updated) == (
        datetime(2025, 11, 2, 10, 0, tzinfo=UTC), datetime(2025, 11, 2, 10, 0, 7, tzinfo=UTC),
    )  # fmt: skip
    (turn,) = session.turns
    assert (turn.key, turn.task, turn.answer, turn.finish, turn.error) == (
        "a1", "Fix the add function", "Fixed it.", "stop", None,
    )  # fmt: skip
    assert turn.context["history"] == [
        {"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"},
    ]  # fmt: skip
    assert turn.usage == Usage(input_tokens=250, output_tokens=29, cached_tokens=40)
    (step,) = turn.steps
    assert (step.tool, dict(step.arguments), step.status, step.exit_code, step.call, step.seconds) == (
        "bash", {"command": "pytest"}, "failed", 1, "call_1", 1.5,
    )  # fmt: skip
    assert step.extra == {"attributes": {"shop.floor": 3}}
    assert turn.extra["trace"] == "t1"


def test_openinference(tmp_path: Path) -> None:
    (session,), refused = read_export(tmp_path, *OPENINFERENCE)
    assert refused == []
    assert (session.id, session.agent, session.model, session.system_prompt) == (
        "s-1", "helper", "openai/gpt", "Be brief.",
    )  # fmt: skip
    (turn,) = session.turns
    assert (turn.task, turn.answer) == ("Which files are there?", "Two files.")
    assert turn.usage == Usage(
        input_tokens=50, output_tokens=7, cached_tokens=5, reasoning_tokens=3, cost_usd=pytest.approx(0.25)
    )
    (step,) = turn.steps
    # The span has no arguments and no id; the model's message has both.
    assert (step.tool, dict(step.arguments), step.result, step.status, step.call) == (
        "list_files", {"path": "."}, "a.py b.py", "ok", "call_9",
    )  # fmt: skip


def test_the_log_files_are_these_spans(tmp_path: Path) -> None:
    """The fuzz test and the benchmark start from files; this keeps them what the tests here were written for."""
    logs = Path(__file__).with_name("logs") / "otel"
    resource = {"service.name": "shop"}
    lines = [json.loads(line) for line in (logs / "genai.jsonl").read_text("utf-8").splitlines()]
    assert lines == [export(*GENAI[:2], resource=resource), export(*GENAI[2:], resource=resource)]
    other = [{**one, "traceId": "t2"} for one in OPENINFERENCE]
    assert json.loads((logs / "openinference.json").read_text("utf-8")) == export(*other)


def event(name: str, **given: Any) -> dict[str, Any]:
    return {"name": name, "timeUnixNano": "1", "attributes": attributes(given)}


@pytest.mark.parametrize(
    "events",
    [
        [event("gen_ai.user.message", content="Fix it"), event("gen_ai.choice", message="Done", finish_reason="stop")],
        [
            event("gen_ai.user.message", **{"gen_ai.event.content": '{"role": "user", "content": "Fix it"}'}),
            event(
                "gen_ai.choice",
                **{"gen_ai.event.content": '{"finish_reason": "stop", "index": 0, "message": {"content": "Done"}}'},
            ),
        ],
        [
            event("gen_ai.user.message", content=json.dumps([{"type": "text", "text": "Fix it"}])),
            event("gen_ai.choice", message='{"role": "assistant", "content": "Done"}', finish_reason="stop"),
        ],
        [
            event(
                "gen_ai.client.inference.operation.details",
                **{
                    "gen_ai.input.messages": messages(("user", "Fix it")),
                    "gen_ai.output.messages": json.dumps(
                        [
                            {
                                "role": "assistant",
                                "parts": [{"type": "text", "content": "Done"}],
                                "finish_reason": "stop",
                            }
                        ]
                    ),
                },
            )
        ],
    ],
)
def test_messages_as_events(tmp_path: Path, events: list[Any]) -> None:
    (session,), refused = read_export(tmp_path, span("c", 0, 1, CHAT, events=events))
    assert refused == []
    (turn,) = session.turns
    assert (turn.task, turn.answer, turn.finish) == ("Fix it", "Done", "stop")
    assert session.id == "t1"


def test_messages_as_log_records(tmp_path: Path) -> None:
    record = {
        "spanId": "c", "traceId": "t1", "eventName": "gen_ai.user.message", "body": otlp({"content": "Fix it"}),
    }  # fmt: skip
    document = export(span("c", 0, 1, CHAT)) | {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    path = tmp_path / "both.json"
    path.write_text(json.dumps(document))
    (session,), _ = read(path)
    assert session.turns[0].task == "Fix it"


@pytest.mark.parametrize(
    "given",
    [
        {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "Fix it", "gen_ai.completion.0.role": "assistant",
         "gen_ai.completion.0.content": "Done", "gen_ai.completion.0.finish_reason": "stop"},
        {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": "Fix it"}]}],
         "gen_ai.output.messages": [{"role": "assistant", "content": "Done", "finish_reason": "end_turn"}]},
        {"gen_ai.prompt": json.dumps([{"role": "user", "content": "Fix it"}]),
         "gen_ai.completion": json.dumps([{"role": "assistant", "content": "Done"}]),
         "gen_ai.response.finish_reasons": ["stop"]},
    ],
)  # fmt: skip
def test_older_and_structured_attributes(tmp_path: Path, given: dict[str, Any]) -> None:
    (session,), _ = read_export(tmp_path, span("c", 0, 1, CHAT | given))
    (turn,) = session.turns
    assert (turn.task, turn.answer, turn.finish) == ("Fix it", "Done", "stop")


def test_model_calls_without_an_agent_are_joined_by_what_they_answer(tmp_path: Path) -> None:
    def chat(id: str, start: float, sent: str, said: Any) -> dict[str, Any]:
        own = {"gen_ai.conversation.id": "c", "gen_ai.input.messages": sent}
        given = CHAT | own | {"gen_ai.output.messages": messages(("assistant", said))}
        return span(id, start, start + 1, given, trace=id)

    (session,), _ = read_export(
        tmp_path,
        chat("x1", 0, messages(("user", "Fix it")), CALL),
        chat("x2", 2, messages(("user", "Fix it"), ("assistant", CALL), ("user", BACK)), "Done"),
        chat("x3", 4, messages(("user", "Fix it"), ("assistant", "Done"), ("user", "Thanks")), "Welcome"),
    )
    assert [(turn.key, turn.task, turn.answer) for turn in session.turns] == [
        ("x1", "Fix it", "Done"), ("x3", "Thanks", "Welcome"),
    ]  # fmt: skip
    (step,) = session.turns[0].steps
    # No span of the tool itself: the messages tell what was called and what came back, not whether it worked.
    assert (step.tool, dict(step.arguments), step.result, step.status) == (
        "bash", {"command": "pytest"}, "2 failed", "unknown",
    )  # fmt: skip


def test_contents_not_captured(tmp_path: Path) -> None:
    bare = [
        span("a", 0, 3, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "coder"}),
        span("t", 1, 2, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "bash"}, parent="a"),
    ]
    (session,), (refusal,) = read_export(tmp_path, *bare)
    (turn,) = session.turns
    assert (turn.task, turn.extra["content_captured"], [step.status for step in turn.steps]) == ("", False, ["ok"])
    assert refusal.row == "t1"
    assert "capture of message contents was off" in refusal.reason


def test_failures_and_interruptions(tmp_path: Path) -> None:
    asked = {"gen_ai.input.messages": messages(("user", "Fix it"))}
    failed = span("a", 0, 3, CHAT | asked, trace="t1", status={"code": 2, "message": "429 slow down"})
    raised = span(
        "b", 0, 3, CHAT | asked | {"error.type": "Timeout"}, trace="t2",
        events=[event("exception", **{"exception.message": "took too long"})],
    )  # fmt: skip
    killed = span("c", 0, None, CHAT | asked, trace="t3")
    found, _ = read_export(tmp_path, failed, raised, killed)
    assert [(one.turns[0].finish, one.turns[0].error) for one in found] == [
        ("error", "429 slow down"), ("error", "took too long"), ("interrupted", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("result", "code"),
    [
        ('{"exit_code": 2, "output": "1 failed"}', 2),
        ('{ "exit_code" : -9}', -9),
        ('{"exit_code": 2, "output": "cut off by the exporter', 2),
        ('{"output": "ok", "returncode": 0}', 0),
        ('{"exit_code": null, "exit": 3}', 3),
        ('{"exit_code": "none", "return_code": 4}', 4),
        ('{"exit_code": 2.5}', None),
        ('the file says {"exit_code": 2}', None),
        ('{"output": "\\"exit_code\\": 7"}', None),
    ],
)
def test_the_exit_code_in_a_result(tmp_path: Path, result: str, code: int | None) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "bash", "gen_ai.tool.call.result": result}
    found, _ = read_export(tmp_path, span("a", 0, 3, {"gen_ai.operation.name": "invoke_agent"}),
                           span("t", 1, 2, tool, parent="a"))  # fmt: skip
    (step,) = found[0].turns[0].steps
    assert (step.exit_code, step.result) == (code, result)


def test_an_agent_inside_an_agent_belongs_to_its_turn(tmp_path: Path) -> None:
    agent = {"gen_ai.operation.name": "invoke_agent"}
    found, _ = read_export(
        tmp_path,
        span("outer", 0, 9, agent | {"gen_ai.input.messages": messages(("user", "Fix it"))}),
        span("hop", 1, 8, {"http.route": "/x"}, parent="outer"),
        span("inner", 2, 7, agent | {"gen_ai.input.messages": messages(("user", "a part of it"))}, parent="hop"),
        span("t", 3, 4, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "Edit"}, parent="inner"),
    )
    (turn,) = found[0].turns
    assert (turn.task, [step.tool for step in turn.steps]) == ("Fix it", ["edit"])


def test_parents_in_a_circle_end(tmp_path: Path) -> None:
    found, _ = read_export(
        tmp_path,
        span("x", 0, 1, CHAT, parent="y"),
        span("y", 0, 1, CHAT, parent="x"),
        span("z", 0, 1, {"gen_ai.operation.name": "invoke_agent"}, parent="z"),
    )
    assert found


def jsonl(path: Path, *documents: Any) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in documents), "utf-8")
    return path


def test_conversation_over_many_lines_of_a_file(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "traces.jsonl",
        export(*GENAI[:2]),
        "{cut off",
        {"resourceMetrics": []},
        export(*({**one, "traceId": "t2"} for one in OPENINFERENCE), {"name": "no ids"}),
        {"resourceSpans": {}},
        export(GENAI[2]),
        export(*GENAI[2:]),  # An exporter tried again: a span comes twice.
    )
    found, refused = read(path)
    assert [(one.id, len(one.turns), len(one.turns[0].steps)) for one in found] == [("s-1", 1, 1), ("conv-1", 1, 1)]
    assert [one.line for one in refused] == [2, 3, 4, 5]


def test_traces_of_other_things_are_refused_in_one_line(tmp_path: Path) -> None:
    found, (refusal,) = read_export(tmp_path, span("a", 0, 1, {"http.route": "/"}), span("b", 0, 1, {}, trace="t2"))
    assert found == []
    assert "GenAI or the OpenInference" in refusal.reason


def test_the_window_bounds_what_is_held(tmp_path: Path) -> None:
    sent = {"gen_ai.input.messages": messages(("user", "x" * 1000))}
    lines = [export(span(f"s{n}", n, n + 1, CHAT | sent, trace=f"t{n}")) for n in range(50)]
    path = jsonl(tmp_path / "traces.jsonl", *lines)
    closed: list[str] = []
    for found in OtelImporter(window=5_000).read(path):
        assert isinstance(found, Transcript)
        closed.append(found.id)
    assert closed == [f"t{n}" for n in range(50)]
    # A conversation that goes on after it was closed comes again with its new turns only.
    conversation = {"gen_ai.conversation.id": "c"}
    lines = [
        export(span(f"s{n}", n, n + 1, CHAT | sent | (conversation if n in (0, 49) else {}), trace=f"t{n}"))
        for n in range(50)
    ]
    found, _ = read(jsonl(tmp_path / "again.jsonl", *lines), window=5_000)
    assert [[turn.key for turn in one.turns] for one in found if one.id == "c"] == [["s0"], ["s49"]]
    found, _ = read(tmp_path / "again.jsonl")
    assert [[turn.key for turn in one.turns] for one in found if one.id == "c"] == [["s0", "s49"]]


def test_accepts(tmp_path: Path) -> None:
    importer = OtelImporter()
    path = tmp_path / "x.jsonl"
    assert importer.accepts(path, json.dumps(export(*GENAI)).encode()[:4096])
    assert not importer.accepts(path, b'{"session": "resourceSpans", "examples": [{"resourceSpans": 1}]}')
    assert not importer.accepts(path, b"")
    jsonl(path, export(*GENAI))
    assert importer.accepts(tmp_path, b"")
