"""The providers' wire formats: how each asks, answers, streams and refuses. Pure functions from data to data."""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Messages = tuple[tuple[str, str], ...]
"""(role, text) in order; roles are "system", "user" and "assistant" in every dialect."""


def count_tokens(text: str) -> int:
    """The one rule by which every model of this server counts: word pieces of up to four letters, and marks."""
    return len(_TOKEN.findall(text))


_TOKEN = re.compile(r"\w{1,4}|[^\w\s]")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One model call in whatever dialect. `params` holds max_tokens, temperature, seed, stop, response_format."""

    dialect: str
    model: str
    messages: Messages
    params: dict[str, Any]
    stream: bool
    count: int = 1
    """How many samples are asked for (OpenAI's n, Gemini's candidateCount)."""
    stream_usage: bool = True

    @property
    def input_tokens(self) -> int:
        return sum(count_tokens(text) for _, text in self.messages)


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """One call that the model asks the client to make."""

    name: str
    arguments: dict[str, Any] | str
    """A JSON object; text for the free-form tools of the Responses dialect."""
    id: str

    @property
    def written(self) -> str:
        """The arguments as they go over the wire."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)

    @property
    def pieces(self) -> list[str]:
        """`written` as it is streamed: cut anywhere."""
        return [self.written[at : at + 12] for at in range(0, len(self.written), 12)]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One sample. Input counts all prompt tokens, cached and cache-written ones too; output counts reasoning too."""

    text: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    finish: str = "stop"
    """"stop" or "length"."""
    tools: tuple[ToolCall, ...] = ()
    """Spoken in the dialects of agent clients: openai, anthropic, responses."""


def counted(text: str, question: Question) -> Answer:
    """The text as an answer within the question's max_tokens, cut there as a provider would, with its counts."""
    limit = question.params.get("max_tokens")
    spans = list(_TOKEN.finditer(text))
    cut = limit is not None and len(spans) > limit
    if cut:
        text = text[: spans[limit - 1].end()] if limit else ""
        spans = spans[:limit]
    return Answer(
        text=text,
        input_tokens=question.input_tokens,
        output_tokens=len(spans),
        finish="length" if cut else "stop",
    )


@dataclass(frozen=True, kw_only=True)
class Dialect:
    name: str
    path: re.Pattern[str]
    """Full match of a POST path; a group `model` where the model is in the path."""
    media_type: str
    """Content type of a stream."""
    read: Callable[[Mapping[str, Any], Mapping[str, str]], Question]
    """From the JSON body and the path's groups."""
    write: Callable[[Question, Sequence[Answer]], dict[str, Any]]
    stream: Callable[[Question, Answer], list[str]]
    """The stream's events in order; their joined text is the whole stream."""
    refuse: Callable[[int, str, str], dict[str, Any]]
    """Error body from HTTP status, kind and model."""


def id_of(prefix: str, question: Question, answer: Answer) -> str:
    """An id for the answer: clients take answers of one id for one message."""
    return prefix + hashlib.sha256(repr((question.messages, answer)).encode()).hexdigest()[:24]


def pieces_of(text: str) -> list[str]:
    """The text in pieces of a word or two, as providers stream it; joined they are the text."""
    return re.findall(r"\s*\S+(?:\s+\S+)?|\s+$", text) or [text]


def _plain(content: Any) -> str:
    """Text of a message's content: a string, or a list of typed blocks or Gemini parts."""
    if isinstance(content, str):
        return content
    return "".join(str(block.get("text") or "") for block in content or [] if isinstance(block, dict))


def _known(**params: Any) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _explain(kind: str, model: str) -> str:
    """A message that names the trouble in words which clients look for."""
    return {
        "429": "Rate limit reached for requests. Please try again later.",
        "500": "The server had an error while processing your request.",
        "503": "The service is temporarily unavailable.",
        "529": "Overloaded",
        "401": "Incorrect API key provided.",
        "404": f"The model `{model}` does not exist or is not found.",
        "context": "This model's maximum context length is 8192 tokens; the prompt is too long, it exceeds the limit.",
    }.get(kind, f"refused: {kind}")


# --- OpenAI chat completions; also Ollama's, Groq's, Mistral's, Together's ... OpenAI dialect


def _openai_read(body: Mapping[str, Any], groups: Mapping[str, str]) -> Question:
    roles: dict[str, str] = {"developer": "system"}
    return Question(
        dialect="openai",
        model=str(body["model"]),
        messages=tuple((roles.get(role := m["role"], role), _plain(m.get("content"))) for m in body["messages"]),
        params=_known(
            max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
            temperature=body.get("temperature"),
            seed=body.get("seed"),
            stop=body.get("stop"),
            response_format=body.get("response_format"),
            tools=[tool["function"]["name"] for tool in body.get("tools") or ()] or None,
        ),
        stream=bool(body.get("stream")),
        count=int(body.get("n") or 1),
        stream_usage=bool((body.get("stream_options") or {}).get("include_usage")),
    )


def _openai_usage(answers: Sequence[Answer]) -> dict[str, Any]:
    sent, made = answers[0].input_tokens, sum(a.output_tokens for a in answers)
    return {
        "prompt_tokens": sent,
        "completion_tokens": made,
        "total_tokens": sent + made,
        "prompt_tokens_details": {"cached_tokens": answers[0].cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": sum(a.reasoning_tokens for a in answers), "audio_tokens": 0},
    }


def _openai_write(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": question.model,
        "choices": [
            {
                "index": index,
                "message": {"role": "assistant", "content": answer.text, "refusal": None} | _openai_tools(answer),
                "logprobs": None,
                "finish_reason": _openai_finish(answer),
            }
            for index, answer in enumerate(answers)
        ],
        "usage": _openai_usage(answers),
        "service_tier": "default",
    }


def _openai_finish(answer: Answer) -> str:
    return "tool_calls" if answer.tools else answer.finish


def _openai_tools(answer: Answer) -> dict[str, Any]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.written}}
        for call in answer.tools
    ]
    return {"tool_calls": calls} if calls else {}


def _openai_tool_deltas(index: int, call: ToolCall) -> list[dict[str, Any]]:
    """The name first, then the arguments in pieces."""
    opening = {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}
    parts = [opening, *({"function": {"arguments": piece}} for piece in call.pieces)]
    return [{"tool_calls": [{"index": index, **part}]} for part in parts]


def _openai_stream(question: Question, answer: Answer) -> list[str]:
    def event(delta: dict[str, Any] | None, finish: str | None = None, usage: dict[str, Any] | None = None) -> str:
        chunk = {
            "id": "chatcmpl-test",
            "object": "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": question.model,
            "service_tier": "default",
            "choices": [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        return f"data: {json.dumps(chunk | ({'usage': usage} if question.stream_usage else {}))}\n\n"

    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": piece}) for piece in pieces_of(answer.text)]
    for index, call in enumerate(answer.tools):
        events += [event(delta) for delta in _openai_tool_deltas(index, call)]
    events.append(event({}, finish=_openai_finish(answer)))
    if question.stream_usage:
        events.append(event(None, usage=_openai_usage([answer])))
    return [*events, "data: [DONE]\n\n"]


def _openai_refuse(status: int, kind: str, model: str) -> dict[str, Any]:
    code = {"429": "rate_limit_exceeded", "401": "invalid_api_key", "404": "model_not_found"}.get(kind)
    error_type = "server_error" if status >= 500 else "invalid_request_error"
    if kind == "context":
        code = "context_length_exceeded"
    return {"error": {"message": _explain(kind, model), "type": error_type, "param": None, "code": code}}


# --- Anthropic messages


def _anthropic_read(body: Mapping[str, Any], groups: Mapping[str, str]) -> Question:
    system = _plain(body.get("system"))
    return Question(
        dialect="anthropic",
        model=str(body["model"]),
        messages=((("system", system),) if system else ())
        + tuple((m["role"], _plain(m["content"])) for m in body["messages"]),
        params=_known(
            max_tokens=body["max_tokens"],
            temperature=body.get("temperature"),
            stop=body.get("stop_sequences"),
            response_format=(body.get("output_config") or {}).get("format"),
            tools=[tool["name"] for tool in body.get("tools") or ()] or None,
        ),
        stream=bool(body.get("stream")),
    )


def _anthropic_usage(answer: Answer) -> dict[str, Any]:
    return {
        "input_tokens": answer.input_tokens - answer.cached_tokens - answer.cache_write_tokens,
        "cache_creation_input_tokens": answer.cache_write_tokens,
        "cache_read_input_tokens": answer.cached_tokens,
        "output_tokens": answer.output_tokens,
    }


def _anthropic_stop(answer: Answer) -> str:
    return "tool_use" if answer.tools else {"stop": "end_turn", "length": "max_tokens"}[answer.finish]


def _anthropic_content(answer: Answer) -> list[dict[str, Any]]:
    calls = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in answer.tools]
    return ([{"type": "text", "text": answer.text}] if answer.text or not calls else []) + calls


def _anthropic_write(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    answer = answers[0]
    return {
        "id": id_of("msg_", question, answer),
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "content": _anthropic_content(answer),
        "stop_reason": _anthropic_stop(answer),
        "stop_sequence": None,
        "usage": _anthropic_usage(answer),
    }


def _anthropic_stream(question: Question, answer: Answer) -> list[str]:
    def event(kind: str, **data: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"

    usage = _anthropic_usage(answer)
    opening = _anthropic_write(question, [answer]) | {"content": [], "stop_reason": None}
    said = [({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces_of(answer.text)])]
    used = [
        (
            {"type": "tool_use", "id": call.id, "name": call.name, "input": {}},
            [{"type": "input_json_delta", "partial_json": piece} for piece in call.pieces],
        )
        for call in answer.tools
    ]
    streamed: list[tuple[dict[str, Any], list[dict[str, str]]]] = [*(said if answer.text or not used else ()), *used]
    events = [event("message_start", message=opening | {"usage": usage | {"output_tokens": 1}}), event("ping")]
    for index, (block, deltas) in enumerate(streamed):
        events.append(event("content_block_start", index=index, content_block=block))
        events += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        events.append(event("content_block_stop", index=index))
    return [
        *events,
        event("message_delta", delta={"stop_reason": _anthropic_stop(answer), "stop_sequence": None}, usage=usage),
        event("message_stop"),
    ]


def _anthropic_refuse(status: int, kind: str, model: str) -> dict[str, Any]:
    words = {
        400: "invalid_request_error",
        401: "authentication_error",
        404: "not_found_error",
        429: "rate_limit_error",
        529: "overloaded_error",
    }
    error = {"type": words.get(status, "api_error"), "message": _explain(kind, model)}
    return {"type": "error", "error": error, "request_id": "req_test"}


# --- Gemini generateContent


def _gemini_read(body: Mapping[str, Any], groups: Mapping[str, str]) -> Question:
    # The native client writes camelCase, LiteLLM snake_case; the service takes both.
    config = {_camel(name): value for name, value in (body.get("generationConfig") or {}).items()}
    system = body.get("systemInstruction") or body.get("system_instruction") or {}
    roles = {"model": "assistant"}
    turns = [("system", _plain(system.get("parts")))] if system else []
    turns += [(roles.get(c.get("role", "user"), "user"), _plain(c.get("parts"))) for c in body["contents"]]
    return Question(
        dialect="gemini",
        model=groups["model"],
        messages=tuple(turns),
        params=_known(
            max_tokens=config.get("maxOutputTokens"),
            temperature=config.get("temperature"),
            seed=config.get("seed"),
            stop=config.get("stopSequences"),
            response_format=config.get("responseJsonSchema") or config.get("responseSchema"),
        ),
        stream=groups["verb"] == "streamGenerateContent",
        count=int(config.get("candidateCount") or 1),
    )


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


def _gemini_part(question: Question, pieces: Sequence[str], finish: str | None) -> dict[str, Any]:
    return {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": text}]}, "index": index}
            | ({"finishReason": finish} if finish else {})
            for index, text in enumerate(pieces)
        ],
        "modelVersion": question.model,
        "responseId": "gemini-test",
    }


def _gemini_usage(answers: Sequence[Answer]) -> dict[str, Any]:
    sent = answers[0].input_tokens
    thought = sum(a.reasoning_tokens for a in answers)
    said = sum(a.output_tokens for a in answers) - thought
    return {
        "usageMetadata": {
            "promptTokenCount": sent,
            "candidatesTokenCount": said,
            "totalTokenCount": sent + said + thought,
        }
        | ({"cachedContentTokenCount": answers[0].cached_tokens} if answers[0].cached_tokens else {})
        | ({"thoughtsTokenCount": thought} if thought else {})
    }


def _gemini_finish(answer: Answer) -> str:
    return {"stop": "STOP", "length": "MAX_TOKENS"}[answer.finish]


def _gemini_write(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    return _gemini_part(question, [a.text for a in answers], _gemini_finish(answers[0])) | _gemini_usage(answers)


def _gemini_stream(question: Question, answer: Answer) -> list[str]:
    *early, last = pieces_of(answer.text)
    chunks = [_gemini_part(question, [piece], None) for piece in early]
    chunks.append(_gemini_part(question, [last], _gemini_finish(answer)) | _gemini_usage([answer]))
    return [f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks]


def _gemini_refuse(status: int, kind: str, model: str) -> dict[str, Any]:
    words = {
        400: "INVALID_ARGUMENT",
        401: "UNAUTHENTICATED",
        404: "NOT_FOUND",
        429: "RESOURCE_EXHAUSTED",
        500: "INTERNAL",
        503: "UNAVAILABLE",
    }
    return {"error": {"code": status, "message": _explain(kind, model), "status": words.get(status, "UNKNOWN")}}


# --- Ollama's own chat


def _ollama_read(body: Mapping[str, Any], groups: Mapping[str, str]) -> Question:
    options = body.get("options") or {}
    return Question(
        dialect="ollama",
        model=str(body["model"]),
        messages=tuple((m["role"], _plain(m["content"])) for m in body["messages"]),
        params=_known(
            max_tokens=options.get("num_predict"),
            temperature=options.get("temperature"),
            seed=options.get("seed"),
            stop=options.get("stop"),
            response_format=body.get("format"),
        ),
        # Ollama streams unless told not to.
        stream=bool(body.get("stream", True)),
    )


def _ollama_part(question: Question, text: str, *, done: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": question.model, "created_at": "2024-01-01T00:00:00Z", "message": message, "done": done}


def _ollama_end(answer: Answer) -> dict[str, Any]:
    return {
        "done_reason": answer.finish,
        "total_duration": 1_000_000,
        "load_duration": 0,
        "prompt_eval_count": answer.input_tokens,
        "prompt_eval_duration": 500_000,
        "eval_count": answer.output_tokens,
        "eval_duration": 500_000,
    }


def _ollama_write(question: Question, answers: Sequence[Answer]) -> dict[str, Any]:
    return _ollama_part(question, answers[0].text, done=True) | _ollama_end(answers[0])


def _ollama_lines(question: Question, answer: Answer) -> Iterator[dict[str, Any]]:
    for piece in pieces_of(answer.text):
        yield _ollama_part(question, piece, done=False)
    yield _ollama_part(question, "", done=True) | _ollama_end(answer)


def _ollama_stream(question: Question, answer: Answer) -> list[str]:
    return [json.dumps(line) + "\n" for line in _ollama_lines(question, answer)]


def _ollama_refuse(status: int, kind: str, model: str) -> dict[str, Any]:
    return {"error": _explain(kind, model)}


DIALECTS = (
    Dialect(
        name="openai",
        path=re.compile(r"/v1/chat/completions"),
        media_type="text/event-stream",
        read=_openai_read,
        write=_openai_write,
        stream=_openai_stream,
        refuse=_openai_refuse,
    ),
    Dialect(
        name="anthropic",
        path=re.compile(r"/v1/messages"),
        media_type="text/event-stream",
        read=_anthropic_read,
        write=_anthropic_write,
        stream=_anthropic_stream,
        refuse=_anthropic_refuse,
    ),
    Dialect(
        name="gemini",
        path=re.compile(r"/v1beta/models/(?P<model>[^:]+):(?P<verb>generateContent|streamGenerateContent)"),
        media_type="text/event-stream",
        read=_gemini_read,
        write=_gemini_write,
        stream=_gemini_stream,
        refuse=_gemini_refuse,
    ),
    Dialect(
        name="ollama",
        path=re.compile(r"/api/chat"),
        media_type="application/x-ndjson",
        read=_ollama_read,
        write=_ollama_write,
        stream=_ollama_stream,
        refuse=_ollama_refuse,
    ),
)
