"""OpenAI's Responses dialect, which Codex speaks: typed items in and out, function calls and free-form tool calls."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tests.support.provider_wire import DIALECTS, Answer, Dialect, Question, id_of, pieces_of


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text") or "") for block in content or [])


def _turns(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Messages, and what tools gave back as messages of the role "tool"; reasoning and calls are left out."""
    asked = body["input"]
    items = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
    turns = [("system", body["instructions"])] if body.get("instructions") else []
    for item in items:
        if "role" in item:
            turns.append(("system" if item["role"] == "developer" else item["role"], _text(item["content"])))
        elif item["type"].endswith("call_output"):
            turns.append(("tool", _text(item["output"])))
    return turns


def _read(body: Mapping[str, Any], groups: Mapping[str, str]) -> Question:
    params = {
        "max_tokens": body.get("max_output_tokens"),
        "temperature": body.get("temperature"),
        "response_format": (body.get("text") or {}).get("format"),
        "tools": [tool.get("name") or tool["type"] for tool in body.get("tools") or ()] or None,
    }
    return Question(
        dialect="responses",
        model=str(body["model"]),
        messages=tuple(_turns(body)),
        params={name: value for name, value in params.items() if value is not None},
        stream=bool(body.get("stream")),
    )


def _items(question: Question, answer: Answer) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    if answer.text or not answer.tools:
        content = [{"type": "output_text", "text": answer.text, "annotations": []}]
        message = {"type": "message", "id": id_of("msg_", question, answer), "role": "assistant"}
        items.append(message | {"content": content})
    for call in answer.tools:
        if isinstance(call.arguments, str):
            items.append({"type": "custom_tool_call", "id": f"ctc_{call.id}", "input": call.written})
        else:
            items.append({"type": "function_call", "id": f"fc_{call.id}", "arguments": call.written})
        items[-1] |= {"call_id": call.id, "name": call.name}
    return [item | {"status": "completed"} for item in items]


def _write(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    answer = answers[0]
    cut = answer.finish == "length"
    return {
        "id": id_of("resp_", question, answer),
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "error": None,
        "model": question.model,
        "output": _items(question, answer),
        "usage": {
            "input_tokens": answer.input_tokens,
            "input_tokens_details": {"cached_tokens": answer.cached_tokens},
            "output_tokens": answer.output_tokens,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": answer.input_tokens + answer.output_tokens,
        },
    }


def _stream(question: Question, answer: Answer) -> list[str]:
    numbers = iter(range(10**6))

    def event(kind: str, **data: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, 'sequence_number': next(numbers), **data})}\n\n"

    whole = _write(question, [answer])
    events = [event("response.created", response=whole | {"status": "in_progress", "output": [], "usage": None})]
    for index, item in enumerate(whole["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        opening = {"status": "in_progress", **({"content": []} if item["type"] == "message" else {})}
        events.append(event("response.output_item.added", output_index=index, item=item | opening))
        if item["type"] == "message":
            events += [
                event("response.output_text.delta", **place, content_index=0, delta=piece)
                for piece in pieces_of(answer.text)
            ]
        events.append(event("response.output_item.done", output_index=index, item=item))
    return [*events, event(f"response.{whole['status']}", response=whole)]


RESPONSES = Dialect(
    name="responses",
    path=re.compile(r"/v1/responses"),
    media_type="text/event-stream",
    read=_read,
    write=_write,
    stream=_stream,
    refuse=next(dialect.refuse for dialect in DIALECTS if dialect.name == "openai"),
)
