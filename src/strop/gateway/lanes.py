"""How many calls may be at the models at once: a limit on calls, so that the work around them can overlap.

Writing a prompt, committing an intent, reading an answer and scoring it take time in which the model is not asked. With
as many workers as calls, that time would be lost to the limit; with a few workers more, it is not.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from queue import Empty, SimpleQueue

from strop.gateway.switch import Switch

POLL_S = 0.1


class _Places:
    """A semaphore that leaves at once when the run is stopped; first come, first served."""

    def __init__(self, size: int) -> None:
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(size):
            self._free.put(None)

    @contextmanager
    def one(self, switch: Switch) -> Generator[None]:
        while True:
            try:
                self._free.get(timeout=POLL_S)
                break
            except Empty:
                switch.check()
        try:
            switch.check()
            yield
        finally:
            self._free.put(None)


class Lanes:
    """At most `size` calls at the models; a quarter more may be declared in the ledger and wait for a lane."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.declared = _Places(size + size // 4)
        self.made = _Places(size)

    @property
    def workers(self) -> int:
        """How many workers keep the lanes full."""
        return self.size + self.size // 2


_lanes: ContextVar[Lanes | None] = ContextVar("strop_lanes", default=None)


def may_declare(switch: Switch) -> AbstractContextManager[None]:
    """Hold a place among the calls declared by this context's work, from before the intent to the end of the call."""
    limit = _lanes.get()
    return nullcontext() if limit is None else limit.declared.one(switch)


def may_call(switch: Switch) -> AbstractContextManager[None]:
    """Hold a lane while the model is asked."""
    limit = _lanes.get()
    return nullcontext() if limit is None else limit.made.one(switch)


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
