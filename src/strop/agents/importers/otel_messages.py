"""Messages of model spans, whichever convention they follow: GenAI attributes, GenAI events, OpenInference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from strop.agents.importers.fields import items, mapping, mappings, text
from strop.agents.importers.lines import parsed
from strop.agents.importers.otel_spans import Call, Message, Span, decoded
from strop.agents.transcript import Json

_MAX_MESSAGES = 2_000


def asked(span: Span) -> list[Message]:
    """What was sent, oldest first; empty where contents were not captured."""
    if span.asked is None:
        span.asked = _asked(span)
    return span.asked


def answered(span: Span) -> list[Message]:
    """What came back: usually one message."""
    if span.answered is None:
        span.answered = _answered(span)
    return span.answered


def _asked(span: Span) -> list[Message]:
    given = span.get("gen_ai.input.messages", "gen_ai.prompt")
    found = ([] if given is None else _genai(given)) or _indexed(span, "llm.input_messages")
    if not found and span.events:
        found = [
            message
            for name, attributes, body in span.events
            if name != "gen_ai.choice" and (message := _event(name, attributes, body))
        ]
        found = found or _details(span, "gen_ai.input.messages")
    return found or _indexed(span, "gen_ai.prompt")


def _answered(span: Span) -> list[Message]:
    given = span.get("gen_ai.output.messages", "gen_ai.completion")
    found = ([] if given is None else _genai(given)) or _indexed(span, "llm.output_messages")
    if not found and span.events:
        choices = (_event(name, attributes, body) for name, attributes, body in span.events if name == "gen_ai.choice")
        found = [message for message in choices if message]
        found = found or _details(span, "gen_ai.output.messages")
    return found or _indexed(span, "gen_ai.completion")


def instructions(span: Span) -> str:
    """The system prompt where it is an attribute of its own."""
    given = loaded(span.get("gen_ai.system_instructions", "gen_ai.system.instructions"))
    if isinstance(given, list):
        return "\n\n".join(said for part in given if (said := _said(mapping(part)) or text(part)))
    return text(given)


def loaded(value: Json) -> Json:
    """The JSON inside a text; the text itself where it holds none."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return parsed(value)
        except ValueError:
            return value
    return value


def _genai(value: Json) -> list[Message]:
    """Messages as {role, parts}, or as the providers' {role, content, tool_calls}; a plain text is a user's."""
    given = loaded(value)
    if isinstance(given, str) and given.strip():
        return [Message(role="user", text=text(given))]
    if isinstance(given, dict):
        given = given.get("messages", [given])
    return [_message(message) for message in mappings(given)[-_MAX_MESSAGES:]]


def _message(message: Mapping[str, Json]) -> Message:
    content = message.get("parts", message.get("content"))
    texts: list[str] = [text(content)] if isinstance(content, str) else []
    calls: list[Call] = []
    answers: list[tuple[str, Json]] = []
    for part in items(content):
        if type(part) is not dict:
            continue
        kind = part.get("type")
        if kind == "text" or kind is None:
            texts.append(_said(part))
        elif kind in ("tool_call", "tool_use"):
            calls.append(_call(part))
        elif kind in ("tool_call_response", "tool_result"):
            name = text(part.get("id")) or text(part.get("tool_use_id"))
            answers.append((name, part.get("response", part.get("result", part.get("content")))))
    if "tool_calls" in message:
        calls += [_call(call) for call in mappings(message["tool_calls"])]
    role = text(message.get("role"))
    if role == "tool" and not answers:
        answers.append((text(message.get("tool_call_id")) or text(message.get("id")), "\n".join(texts)))
    return Message(
        role=role,
        text=texts[0] if len(texts) == 1 else "\n".join([said for said in texts if said]),
        calls=tuple(calls),
        answers=tuple(answers),
        finish=text(message["finish_reason"]) if "finish_reason" in message else "",
    )


def _call(part: Mapping[str, Json]) -> Call:
    function = mapping(part.get("function")) or part
    return Call(
        id=text(part.get("id")),
        name=text(function.get("name")),
        arguments=loaded(function.get("arguments", function.get("input"))),
    )


def _said(part: Mapping[str, Json]) -> str:
    return text(part.get("content")) or text(part.get("text"))


def _event(name: str, attributes: Mapping[str, Json], body: Json) -> Message | None:
    """gen_ai.user.message and its siblings: the message is the body, a JSON text in an attribute, or the attributes."""
    if not name.startswith("gen_ai.") or not name.endswith((".message", ".choice")):
        return None
    given = mapping(decoded(body)) or mapping(loaded(attributes.get("gen_ai.event.content")))
    if not given:
        given = {key: loaded(value) for key, value in attributes.items()}
    finish = text(given.get("finish_reason"))
    if isinstance(inner := given.get("message"), dict):
        given = inner
    elif isinstance(inner, str):
        given = {**given, "content": inner}
    # `gen_ai.user.message`: the word in the middle is the role, unless the message names its own.
    spoken = "assistant" if name == "gen_ai.choice" else name.split(".")[1]
    found = _message({"role": spoken, **given, **({"finish_reason": finish} if finish else {})})
    return found if found.text or found.calls or found.answers or found.finish else None


def _details(span: Span, attribute: str) -> list[Message]:
    """The newer single event that carries all messages of one model call."""
    for name, attributes, body in span.events:
        if name == "gen_ai.client.inference.operation.details":
            given = attributes.get(attribute) or mapping(decoded(body)).get(attribute)
            return _genai(given)
    return []


def _indexed(span: Span, prefix: str) -> list[Message]:
    """Messages that are spread over flat attributes, `llm.input_messages.0.message.content` and so on."""
    start = f"{prefix}."
    if not span.names_any(start):
        return []
    rows: dict[int, dict[str, Json]] = {}
    for name, value in span.attributes.items():
        if not name.startswith(start):
            continue
        number, _, field = name[len(start) :].partition(".")
        if number.isascii() and number.isdigit() and len(number) < 6:
            rows.setdefault(int(number), {})[field.removeprefix("message.")] = value
    return [_flat(rows[number]) for number in sorted(rows)[-_MAX_MESSAGES:]]


def _flat(row: Mapping[str, Json]) -> Message:
    calls = [
        Call(
            id=text(call.get("id")),
            name=text(call.get("function.name")) or text(call.get("name")),
            arguments=loaded(call.get("function.arguments", call.get("arguments"))),
        )
        for call in _numbered(row, "tool_calls.", "tool_call.")
    ]
    parts = [text(part.get("text")) for part in _numbered(row, "contents.", "message_content.")]
    said = text(row.get("content")) or "\n".join(part for part in parts if part)
    role = text(row.get("role"))
    answers = ((text(row.get("tool_call_id")), said),) if role == "tool" else ()
    return Message(role=role, text=said, calls=tuple(calls), answers=answers, finish=text(row.get("finish_reason")))


def _numbered(row: Mapping[str, Json], start: str, inner: str) -> Iterator[Mapping[str, Json]]:
    found: dict[str, dict[str, Json]] = {}
    for name, value in row.items():
        if name.startswith(start):
            number, _, field = name[len(start) :].partition(".")
            found.setdefault(number, {})[field.removeprefix(inner)] = value
    for number in sorted(found, key=lambda one: (len(one), one)):
        yield found[number]


def request_of(value: Json) -> str:
    """The person's words in an operation's input: a text, messages, or an object with one field that says it."""
    if value is None:
        return ""
    given = loaded(value)
    if isinstance(given, str):
        return text(given)
    if isinstance(given, list):
        return last_request(_genai([*given]))
    known = mapping(given)
    if items(known.get("messages")):
        return last_request(_genai(known.get("messages")))
    for name in ("input", "question", "query", "task", "prompt", "message", "user_input", "text"):
        if isinstance(said := known.get(name), str) and said.strip():
            return text(said)
    said_all = [entry for entry in known.values() if isinstance(entry, str) and entry.strip()]
    return text(said_all[0]) if len(said_all) == 1 else text(value)


def last_request(messages: list[Message]) -> str:
    """The last thing a person said in a conversation; results of tools are sent as a user's by some."""
    return next((one.text for one in reversed(messages) if one.role in ("user", "human") and one.text.strip()), "")
