"""A DSPy language model on the gateway: DSPy asks, the gateway answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import dspy
from dspy import lm15
from dspy.clients.call_result import legacy_output
from dspy.clients.errors import error_boundary

from strop.errors import CallFailed, FailureKind
from strop.gateway.call import Reply
from strop.gateway.question import Question

if TYPE_CHECKING:
    from dspy._vendor.lm15.types import StreamEvent

    from strop.gateway.gateway import Channel, Gateway

_LM15: dict[FailureKind, type[lm15.LM15Error]] = {
    "auth": lm15.AuthError,
    "not_found": lm15.UnsupportedModelError,
    "bad_request": lm15.InvalidRequestError,
    "context_window": lm15.ContextLengthError,
    "refused_content": lm15.InvalidRequestError,
    "rate_limit": lm15.RateLimitError,
    "server": lm15.ServerError,
    "timeout": lm15.TimeoutError,
    "connection": lm15.TransportError,
    "garbage": lm15.ServerError,
}


class _Sample:
    """Which sample an LM call asks for: DSPy strips the rollout and turns n into n equal requests."""

    __slots__ = ("next_index", "rollout")

    def __init__(self, rollout: int | None) -> None:
        self.rollout = rollout
        self.next_index = 0


_sample: ContextVar[_Sample | None] = ContextVar("strop_sample", default=None)


_PIECE = re.compile(r"\s*\S+|\s+")


def _nobody_listens(lm: dspy.LM) -> bool:
    """True when DSPy would do nothing around the call: no callbacks, history, usage tracking or stream."""
    settings = dspy.settings
    return (
        settings.disable_history
        and not settings.callbacks
        and not lm.callbacks
        and settings.send_stream is None
        and not settings.usage_tracker
    )


def _plain_text(reply: Reply) -> Any:
    """What DSPy hands its adapters: the text, or a mapping when there is more than text."""
    text = reply.text
    if text is not None:
        return text
    output = legacy_output(reply.response)
    return output["text"] if len(output) == 1 else output


def _in_pieces(events: Iterable[StreamEvent]) -> Iterator[StreamEvent]:
    """The events with their text word by word: DSPy's stream listeners say nothing of a text that comes as one."""
    for event in events:
        delta = event.delta if isinstance(event, lm15.StreamDeltaEvent) else None
        if isinstance(event, lm15.StreamDeltaEvent) and isinstance(delta, lm15.TextDelta):
            for piece in _PIECE.findall(delta.text):
                yield replace(event, delta=replace(delta, text=piece))
        else:
            yield event


class GatewayEngine:
    """DSPy's `engine=`: one attempt, which the gateway may answer from the ledger."""

    def __init__(self, gateway: Gateway, channel: Channel) -> None:
        self._gateway = gateway
        self.channel = channel

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @property
    def supports_function_calling(self) -> bool:
        return "function_calling" in self.channel.provider.features

    @property
    def supports_reasoning(self) -> bool:
        return "reasoning" in self.channel.provider.features

    @property
    def supports_response_schema(self) -> bool:
        return "response_schema" in self.channel.provider.features

    @property
    def supported_params(self) -> frozenset[str]:
        return self.channel.provider.features - {"function_calling", "reasoning", "response_schema"}

    def complete(self, request: lm15.Request) -> lm15.Response:
        return self.answer(Question.of(request)).response

    def answer(self, question: Question) -> Reply:
        sample = _sample.get()
        rollout, index = (None, 0) if sample is None else (sample.rollout, sample.next_index)
        if sample is not None:
            sample.next_index += 1
        try:
            return self._gateway.answer(self.channel, question, rollout=rollout, index=index)
        except CallFailed as failure:
            # InferRules looks for this name in the text of the error.
            name = "ContextWindowExceededError: " if failure.kind == "context_window" else ""
            raise _LM15[failure.kind](f"{name}{failure.detail}") from failure

    def stream(self, request: lm15.Request) -> Iterator[StreamEvent]:
        return _in_pieces(lm15.response_to_events(self.complete(request)))

    def close(self) -> None:
        """The gateway owns the connections."""


class AsyncGatewayEngine:
    """The same for `acall`: the gateway is synchronous, so each call holds one thread of a pool."""

    _pool: ThreadPoolExecutor | None = None

    def __init__(self, engine: GatewayEngine) -> None:
        self._engine = engine

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    async def complete(self, request: lm15.Request) -> lm15.Response:
        cls = type(self)
        if cls._pool is None:
            cls._pool = ThreadPoolExecutor(max_workers=128, thread_name_prefix="strop-async")
        loop = asyncio.get_running_loop()
        context = copy_context()
        return await loop.run_in_executor(cls._pool, lambda: context.run(self._engine.complete, request))

    async def stream(self, request: lm15.Request) -> AsyncIterator[StreamEvent]:
        response = await self.complete(request)
        for event in _in_pieces(lm15.response_to_events(response)):
            yield event

    async def aclose(self) -> None:
        """The gateway owns the connections."""


class GatewayLM(dspy.LM):
    """`dspy.LM` without DSPy's cache and retries: the ledger has both."""

    def __init__(self, gateway: Gateway, channel: Channel) -> None:
        engine = GatewayEngine(gateway, channel)
        settings = channel.settings
        super().__init__(
            settings.model,
            temperature=settings.sampling_temperature,
            max_tokens=settings.output_limit,
            cache=False,
            num_retries=0,
            engine=engine,
            async_engine=AsyncGatewayEngine(engine),
        )
        self.channel = channel
        self.gateway = gateway

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.copy()

    def _warn_zero_temp_rollout(self, temperature: float | None, rollout_id: int | None) -> None:
        """A new rollout is a new call here, whatever the temperature; there is nothing to warn of."""

    def __call__(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        token = _sample.set(_Sample(self._rollout(kwargs)))
        try:
            if prompt is None and _nobody_listens(self):
                options = {**self.kwargs, **kwargs}
                question = Question.plain(self.model, messages, options)
                if question is not None:
                    return [_plain_text(self._ask(question)) for _ in range(options.get("n") or 1)]
            return super().__call__(prompt, messages=messages, **kwargs)
        finally:
            _sample.reset(token)

    async def acall(self, prompt: Any = None, *, messages: Any = None, **kwargs: Any) -> Any:
        token = _sample.set(_Sample(self._rollout(kwargs)))
        try:
            return await super().acall(prompt, messages=messages, **kwargs)
        finally:
            _sample.reset(token)

    def _ask(self, question: Question) -> Reply:
        with error_boundary(self.model, unexpected=True):
            engine: Any = self.engine
            return engine.answer(question)

    def _rollout(self, kwargs: dict[str, Any]) -> int | None:
        return kwargs.get("rollout_id", self.kwargs.get("rollout_id"))
