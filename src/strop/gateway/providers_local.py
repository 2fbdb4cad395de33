"""Providers inside this process: the embedded models, and any function that a caller brings."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from strop.gateway.settings import ModelSettings

if TYPE_CHECKING:
    from dspy.lm15 import Request, Response


class EmbeddedProvider:
    """An offline model of this package. It may sleep `latency_ms`, so that concurrency can be tried out."""

    endpoint = "embedded"
    features = frozenset[str]()

    def __init__(self, settings: ModelSettings) -> None:
        self._model = settings.model
        self._sleep_s = settings.latency_ms / 1000

    def complete(self, request: Request, *, rollout: int | None, index: int) -> Response:
        from strop.embedded import answer

        response = answer(self._model, request, rollout=rollout, index=index)
        if self._sleep_s:
            time.sleep(self._sleep_s)
        return response


class FunctionProvider:
    """A function `(request, rollout, index) -> Response` as a model."""

    features = frozenset[str]()

    def __init__(self, function: Callable[[Request, int | None, int], Response], *, endpoint: str = "function") -> None:
        self._function = function
        self.endpoint = endpoint

    def complete(self, request: Request, *, rollout: int | None, index: int) -> Response:
        return self._function(request, rollout, index)
