"""What a model is asked: the bytes that are the call's identity and its record, and the request itself when needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from strop.gateway.call import canonical
from strop.gateway.redact import Redactor

if TYPE_CHECKING:
    from dspy.lm15 import Message, Request

MEDIA_TOKENS = 50_000
# Providers put a prompt of their own around tools: Anthropic documents up to 530 tokens.
TOOLS_TOKENS = 1_000
_OPTIONS = {"temperature", "max_tokens", "rollout_id", "n"}
_ROLES = {"user", "assistant"}


class Question:
    """One request as the gateway sees it.

    `messages` is how many there are, `max_tokens` what the caller allows the answer, `unseen` the tokens that a request
    may cost beyond its text.
    """

    __slots__ = ("_make", "_pieces", "_request", "body", "max_tokens", "messages", "unseen")

    def __init__(
        self, *, body: bytes, make: Callable[[], Request], messages: int, max_tokens: int | None, unseen: int = 0
    ) -> None:
        self.body = body
        self.messages = messages
        self.max_tokens = max_tokens
        self.unseen = unseen
        self._make = make
        self._request: Request | None = None
        self._pieces: tuple[_Frame, bytes] | None = None

    @classmethod
    def of(cls, request: Request) -> Question:
        """The question that any request is."""
        body = canonical(request)
        return cls(
            body=body,
            make=lambda: request,
            messages=len(request.messages),
            max_tokens=request.config.max_tokens,
            unseen=MEDIA_TOKENS * body.count(b'"media_type"') + (TOOLS_TOKENS if request.tools else 0),
        )

    @classmethod
    def plain(cls, model: str, messages: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Question | None:
        """The question that text messages with the usual settings are, at a fraction of the cost; None for any other.

        The body is what `canonical` would make of the request, which is built only when the call is made.
        """
        if not messages or not options.keys() <= _OPTIONS:
            return None
        turns: list[tuple[str, str]] = []
        for message in messages:
            role, text = message.get("role"), message.get("content")
            if len(message) != 2 or not isinstance(role, str) or not isinstance(text, str) or not text:
                return None
            turns.append((role, text))
        system = turns.pop(0)[1] if turns[0][0] == "system" else None
        limit, temperature = options.get("max_tokens"), options.get("temperature")
        ordinary = (limit is None or (type(limit) is int and limit > 0)) and (
            temperature is None or (type(temperature) is float and 0 <= temperature <= 2)
        )
        if not turns or not ordinary or not all(role in _ROLES for role, _ in turns):
            return None
        role, text = turns.pop()
        frame = _frame(model, limit, temperature, system, tuple(turns), role)
        try:
            last = orjson.dumps(text)
        except orjson.JSONEncodeError:
            return None  # half a surrogate pair: the general way says so in its own words
        question = cls(
            body=frame.head + last + frame.tail,
            make=lambda: _request(model, limit, temperature, system, (*frame.earlier, _message(role, text))),
            messages=len(turns) + 1,
            max_tokens=limit,
        )
        question._pieces = frame, last
        return question

    @property
    def request(self) -> Request:
        if self._request is None:
            self._request = self._make()
        return self._request

    def stored(self, redact: Redactor) -> str:
        """The body as it may be written down. What precedes the last message is redacted once for all questions."""
        if self._pieces is None:
            return redact(self.body.decode())
        frame, last = self._pieces
        known = frame.clean
        if known is None or known[0] != redact.lessons:
            known = frame.clean = redact.lessons, redact(frame.head.decode()), redact(frame.tail.decode())
        return known[1] + redact(last.decode()) + known[2]


@dataclass(slots=True)
class _Frame:
    """A body without the text of its last message."""

    head: bytes
    tail: bytes
    earlier: tuple[Message, ...]
    clean: tuple[object, str, str] | None = None


@lru_cache(maxsize=256, typed=True)
def _frame(  # noqa: PLR0917 - each of them is part of the key
    model: str,
    limit: int | None,
    temperature: float | None,
    system: str | None,
    earlier: tuple[tuple[str, str], ...],
    role: str,
) -> _Frame:
    mark = "\0here\0"
    messages = tuple(_message(*turn) for turn in earlier)
    body = canonical(_request(model, limit, temperature, system, (*messages, _message(role, mark))))
    head, found, tail = body.rpartition(b'{"parts":[{"text":' + orjson.dumps(mark))
    assert found
    return _Frame(head + b'{"parts":[{"text":', tail, messages)


def _message(role: str, text: str) -> Message:
    from dspy import lm15

    return lm15.Message.user(text) if role == "user" else lm15.Message.assistant(text)


def _request(
    model: str, limit: int | None, temperature: float | None, system: str | None, messages: tuple[Message, ...]
) -> Request:
    from dspy import lm15

    config = lm15.Config(max_tokens=limit, temperature=temperature)
    return lm15.Request(model=model, messages=messages, system=system, config=config)
