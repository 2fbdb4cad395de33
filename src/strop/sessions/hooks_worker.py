"""One hook in one thread: events in, outcomes out, and no longer than its time whatever it does."""

from __future__ import annotations

import queue
import threading
import time
from typing import Protocol, runtime_checkable

from strop.errors import StropError
from strop.sessions.events import SessionEvent
from strop.sessions.hooks_command import Outcome

TICK_S = 0.02
GRACE_S = 0.25
"""What a killed command needs to be collected."""


@runtime_checkable
class Hook(Protocol):
    """Something that hears the `events` (names). `run` may take `timeout_s` seconds, commands kept to it by itself."""

    @property
    def name(self) -> str: ...
    @property
    def events(self) -> frozenset[str]: ...
    @property
    def timeout_s(self) -> float: ...

    def run(self, event: SessionEvent) -> Outcome:
        """Do its work for one event."""
        ...

    def close(self) -> Outcome | None:
        """The session is over, however it ended; None when nothing was left to do."""
        ...


class Worker:
    """One hook in one thread, which starts with the first event that it wants."""

    def __init__(self, hook: Hook) -> None:
        self.hook = hook
        self._todo: queue.SimpleQueue[SessionEvent | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._given = self._done = 0
        self._outcomes: list[Outcome] = []
        self._began: float | None = None
        self._off = False
        self._started = False

    def give(self, event: SessionEvent | None) -> None:
        """Put an event in the queue, or None for the end of the session."""
        wanted = self._started if event is None else event.name in self.hook.events
        with self._lock:
            if self._off or not wanted:
                return
            self._given += 1
        self._todo.put(event)
        if not self._started:
            self._started = True
            threading.Thread(target=self._work, daemon=True, name=f"strop-hook-{self.hook.name}").start()

    def awaited(self, end: float) -> Outcome | None:
        """Wait until it has nothing to do, but not beyond `end` (monotonic); what it did since it was last asked."""
        while True:
            with self._lock:
                idle = self._done == self._given
                stuck = self._began is not None and time.monotonic() - self._began > self.hook.timeout_s + GRACE_S
                if idle or self._off or stuck or time.monotonic() >= end:
                    return self._taken(idle)
            time.sleep(TICK_S)

    def _taken(self, idle: bool) -> Outcome | None:
        left = 0 if idle else self._given - self._done
        if left and not self._off:
            self._off = True
            told = f"did not end within {self.hook.timeout_s:g} s; {left} events were not delivered"
            self._outcomes.append(Outcome(ok=False, detail=told, hung=True))
        found, self._outcomes = self._outcomes, []
        failed = [each for each in found if not each.ok]
        if failed:
            more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
            return Outcome(ok=False, detail=failed[0].detail + more, hung=any(each.hung for each in failed))
        return found[-1] if found else None

    def _work(self) -> None:
        while True:
            event = self._todo.get()
            with self._lock:
                if self._off:
                    return
                self._began = time.monotonic()
            outcome = _guarded(self.hook, event)
            with self._lock:
                self._began = None
                self._done += 1
                if self._off:
                    return
                if outcome is not None:
                    self._outcomes.append(outcome)
                    self._off = outcome.hung
            if event is None:
                return


def _guarded(hook: Hook, event: SessionEvent | None) -> Outcome | None:
    try:
        return hook.close() if event is None else hook.run(event)
    except StropError as error:
        return Outcome(ok=False, detail=error.message)
    except Exception as error:  # noqa: BLE001 - a hook's fault must not become the session's
        return Outcome(ok=False, detail=f"{type(error).__name__}: {error}")
