"""What happened, and the bus that tells: the only way for a lower floor to be heard on a higher one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Event:
    """One thing that happened.

    `name` is `noun.verb` (`run.started`, `candidate.scored`), `scope` the label of what it belongs to (`run:ab12`),
    `data` plain JSON values.
    """

    name: str
    scope: str = ""
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


Listener = Callable[[Event], None]


class Bus:
    """Tells listeners in the order in which they came; one that raises goes to `on_error` and stops nobody."""

    def __init__(self, on_error: Callable[[Event, Exception], None] | None = None) -> None:
        self._listeners: list[Listener] = []
        self._lock = threading.Lock()
        self._on_error = on_error

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Add a listener; the returned function removes it again."""
        with self._lock:
            self._listeners.append(listener)

        def leave() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return leave

    def tell(self, event: Event) -> None:
        """Hand `event` to every listener, in the caller's thread."""
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a listener's fault must not become the teller's
                if self._on_error is not None:
                    self._on_error(event, error)
