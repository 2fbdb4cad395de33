"""Single flight: equal calls at the same time are one call."""

from __future__ import annotations

import threading
from collections.abc import Callable

from strop.gateway.call import Recorded

POLL_S = 0.1


class Flight:
    """A call under way: the first caller makes it, the others wait for what comes of it."""

    __slots__ = ("_done", "error", "result")

    def __init__(self) -> None:
        self._done = threading.Event()
        self.result: Recorded | None = None
        self.error: BaseException | None = None

    def land(self, result: Recorded | None, error: BaseException | None = None) -> None:
        """Give every waiting caller the result, or the error that ended the call."""
        self.result, self.error = result, error
        self._done.set()

    def wait(self, check: Callable[[], None]) -> Recorded:
        """The result of the caller that made the call, or its error; `check` is called while waiting and may raise."""
        while not self._done.wait(POLL_S):
            check()
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result


class Flights:
    """The calls under way, by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[str, Flight] = {}

    def join(self, key: str) -> tuple[Flight, bool]:
        """The flight of `key`, and whether the caller is the one that has to fly it."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight, False
            flight = self._flights[key] = Flight()
            return flight, True

    def leave(self, key: str) -> None:
        """The flight has landed."""
        with self._lock:
            self._flights.pop(key, None)
