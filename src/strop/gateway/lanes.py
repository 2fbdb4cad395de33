"""How many calls may be at the models at once: a limit on calls, so that the work around them can overlap.

Writing a prompt, committing an intent, reading an answer and scoring it take time in which the model is not asked. With
as many workers as calls, that time would be lost to the limit; with a few workers more, it is not.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from queue import Empty, SimpleQueue

from strop.gateway.switch import Switch

POLL_S = 0.1


class Lanes:
    """`size` places; first come, first served."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._free.put(None)

    @property
    def workers(self) -> int:
        """How many workers keep the lanes full."""
        return self.size + self.size // 2

    def take(self, switch: Switch) -> None:
        """Wait for a place; leaves at once when the run is stopped."""
        while True:
            try:
                self._free.get(timeout=POLL_S)
                return
            except Empty:
                switch.check()

    def give(self) -> None:
        """Leave the place to the next."""
        self._free.put(None)


_lanes: ContextVar[Lanes | None] = ContextVar("strop_lanes", default=None)


def lanes_here() -> Lanes | None:
    """The limit in force in this context."""
    return _lanes.get()


@contextmanager
def lanes(limit: Lanes) -> Generator[Lanes]:
    """Hold the calls made inside the block, and in threads that inherit its context, to `limit`.

    Inside another such block the outer limit stays in force, and is what is yielded.
    """
    outer = _lanes.get()
    token = _lanes.set(outer or limit)
    try:
        yield outer or limit
    finally:
        _lanes.reset(token)
