"""Ctrl-C and SIGTERM while a run is under way: the first stops it cleanly, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
TICK_S = 0.05


class Interrupts:
    """Calls `ask(first)` again and again from a thread of its own once a signal came, until the block is left.

    The handler itself only counts: it may have interrupted the main thread inside a lock that stopping needs.
    """

    def __init__(self, ask: Callable[[bool], None]) -> None:
        self._ask = ask
        self._over = threading.Event()
        self._before: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._watch, name="strop-interrupts", daemon=True)
        self.count = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._came) for one in SIGNALS}
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one, handler in self._before.items():
            signal.signal(one, handler)

    def _came(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1:
            os._exit(130)

    def _watch(self) -> None:
        first = True
        while not self._over.wait(TICK_S):
            if self.count:
                self._ask(first)
                first = False
