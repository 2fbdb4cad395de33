"""Tells listeners what happened, one event at a time; a listener that fails stops nobody."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, cast

from strop.errors import BadInput
from strop.sessions.events import EVENTS, EventName, SessionEvent

Listener = Callable[[Any], object]
_log = logging.getLogger("strop.sessions")
DRAIN_S = 5.0


class Teller:
    """Listeners by event. Coroutines run on a loop of their own thread, in order; `drain` waits for them."""

    def __init__(self) -> None:
        self._named: dict[str, list[Listener]] = {}
        self._every: list[Listener] = []
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Future[Any]] = []

    def on(self, name: EventName, listener: Listener) -> Callable[[], None]:
        """Hand the documented payload of the events `name` to `listener`; the returned function ends that.

        Raises:
            BadInput: there is no such event.
        """
        if name not in EVENTS:
            raise BadInput(f"there is no event {name!r}", hint=f"known: {', '.join(EVENTS)}")
        return self._add(self._named.setdefault(name, []), listener)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hand every event, as an object, to `listener`; the returned function ends that."""
        return self._add(self._every, listener)

    def tell(self, event: SessionEvent) -> None:
        """Tell everybody, in the caller's thread, one event at a time."""
        with self._lock:
            for listener in tuple(self._named.get(event.name, ())):
                self._call(listener, event.payload, event)
            for listener in tuple(self._every):
                self._call(listener, event, event)

    def drain(self) -> None:
        """Wait for asynchronous listeners, then end their loop."""
        with self._lock:
            waiting, loop = self._waiting, self._loop
            self._waiting, self._loop = [], None
        for each in waiting:
            try:
                each.result(timeout=DRAIN_S)
            except Exception as error:  # noqa: BLE001 - a listener's fault must not become the session's
                _log.warning("an asynchronous listener failed: %s: %s", type(error).__name__, error)
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)

    def _add(self, listeners: list[Listener], listener: Listener) -> Callable[[], None]:
        with self._lock:
            listeners.append(listener)

        def leave() -> None:
            with self._lock:
                if listener in listeners:
                    listeners.remove(listener)

        return leave

    def _call(self, listener: Listener, payload: object, event: SessionEvent) -> None:
        try:
            made = listener(payload)
        except Exception as error:  # noqa: BLE001 - a listener's fault must not become the session's
            _log.warning("a listener of %r failed: %s: %s", event.name, type(error).__name__, error)
            return
        if inspect.isawaitable(made):
            self._waiting = [each for each in self._waiting if not each.done()]
            self._waiting.append(asyncio.run_coroutine_threadsafe(_awaited(made), self._running_loop()))

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = asyncio.new_event_loop()

            def run() -> None:
                asyncio.set_event_loop(loop)
                try:
                    loop.run_forever()
                finally:
                    loop.close()

            threading.Thread(target=run, daemon=True, name="strop-session-listeners").start()
            self._loop = loop
        return self._loop


def _awaited(made: Any) -> Coroutine[Any, Any, Any]:
    async def wait() -> Any:
        return await made

    return cast("Coroutine[Any, Any, Any]", made if inspect.iscoroutine(made) else wait())
