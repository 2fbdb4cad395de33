"""How fast one model may be asked: calls in flight, calls and tokens a minute, pauses that the provider asked for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager

from strop.gateway.settings import ModelSettings
from strop.gateway.switch import Switch

WINDOW_S = 60.0


class Pace:
    """Gatekeeper of one model within one process. Without limits it costs nothing."""

    def __init__(self, settings: ModelSettings, *, window_s: float = WINDOW_S) -> None:
        self._calls_limit = settings.requests_per_minute
        self._tokens_limit = settings.tokens_per_minute
        self._window_s = window_s
        self._slots = threading.BoundedSemaphore(settings.concurrency) if settings.concurrency else None
        self._lock = threading.Lock()
        self._started: deque[tuple[float, int]] = deque()
        self._tokens = 0
        self._paused_until = 0.0

    @property
    def limits(self) -> bool:
        """Whether a call may have to wait here."""
        return self._slots is not None or self._calls_limit is not None or self._tokens_limit is not None

    @contextmanager
    def turn(self, tokens: int, switch: Switch) -> Generator[None]:
        """Hold one slot while a call is in flight; waits for it, and leaves at once when the run is stopped."""
        if self._slots is not None:
            while not self._slots.acquire(timeout=0.1):
                switch.check()
        try:
            self._await_start(tokens, switch)
            yield
        finally:
            if self._slots is not None:
                self._slots.release()

    def pause(self, seconds: float) -> None:
        """Start nothing for a while: the provider said so."""
        with self._lock:
            self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    def _await_start(self, tokens: int, switch: Switch) -> None:
        while True:
            if self._calls_limit is None and self._tokens_limit is None and self._paused_until == 0.0:
                return
            delay = self._try_start(tokens)
            if delay <= 0:
                return
            switch.tripped.wait(min(delay, 1.0))
            switch.check()

    def _try_start(self, tokens: int) -> float:
        """Seconds to wait, or 0 when the call has been counted as started."""
        now = time.monotonic()
        with self._lock:
            if now < self._paused_until:
                return self._paused_until - now
            self._paused_until = 0.0
            while self._started and self._started[0][0] <= now - self._window_s:
                self._tokens -= self._started.popleft()[1]
            if self._calls_limit is not None and len(self._started) >= self._calls_limit:
                return self._started[0][0] + self._window_s - now
            over = self._tokens_limit is not None and self._tokens + tokens > self._tokens_limit
            if over and self._started:
                return self._started[0][0] + self._window_s - now
            self._started.append((now, tokens))
            self._tokens += tokens
            return 0.0
