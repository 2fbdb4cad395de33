"""Tells a failing request from a failing provider: the first is data, the second ends the run."""

from __future__ import annotations

import threading
from collections import deque

from strop.errors import ProviderDown
from strop.gateway.call import Failure
from strop.gateway.settings import ModelSettings

IN_A_ROW = 5
WINDOW = 50
SHARE = 0.2

_HINTS = {
    "auth": "set the key in the environment or in .env; `strop doctor` shows which one is looked for",
    "not_found": "check the model's name and api_base; `strop models` lists the priced ones",
    "connection": "check api_base and the network",
    "rate_limit": "set requests_per_minute for this model, or lower the concurrency",
    "timeout": "raise timeout_s of the model, or lower the concurrency",
}


class Health:
    """Watches the final outcomes of one model within one run."""

    def __init__(self, settings: ModelSettings) -> None:
        self._model = settings.model
        self._lock = threading.Lock()
        self._row = 0
        self._last: deque[bool] = deque(maxlen=WINDOW)

    def answered(self) -> None:
        """A call got its answer."""
        with self._lock:
            self._row = 0
            self._last.append(True)

    def failed(self, failure: Failure) -> ProviderDown | None:
        """A call failed for good. Returns the error that ends the run, when this is the provider's fault."""
        if failure.kind in {"auth", "not_found"}:
            return ProviderDown(self._model, failure.detail, hint=_HINTS[failure.kind])
        if failure.kind in {"bad_request", "context_window", "refused_content"}:
            return None
        with self._lock:
            self._row += 1
            self._last.append(False)
            row, bad, seen = self._row, self._last.count(False), len(self._last)
        hint = _HINTS.get(failure.kind)
        if row >= IN_A_ROW:
            return ProviderDown(self._model, f"{row} calls in a row failed, the last with: {failure.detail}", hint=hint)
        if seen == WINDOW and bad > SHARE * WINDOW:
            return ProviderDown(
                self._model, f"{bad} of the last {seen} calls failed, the last with: {failure.detail}", hint=hint
            )
        return None
