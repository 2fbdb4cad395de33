"""The switch that stops a run for good: the first cause wins, every later call is refused in microseconds."""

from __future__ import annotations

import threading

from strop.errors import RunStopped, StopCause


class Switch:
    """Sticky stop of one run. `cause` keeps the error that tripped it, where there is one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.stopped: RunStopped | None = None
        self.cause: Exception | None = None
        self.tripped = threading.Event()

    def trip(self, cause: StopCause, detail: str, *, error: Exception | None = None) -> RunStopped:
        """Stop the run; returns what the first caller said."""
        with self._lock:
            if self.stopped is None:
                self.stopped = RunStopped(cause, detail)
                self.cause = error
                self.tripped.set()
            return self.stopped

    def check(self) -> None:
        """Raise `RunStopped` once the switch has been tripped."""
        stopped = self.stopped
        if stopped is not None:
            raise RunStopped(stopped.cause, stopped.detail)
